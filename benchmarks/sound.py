"""The sound of one answer: clipping, peak, gaps inside it, and how abrupt its joins are.

Pure signal measures with no model behind them. Reads the bot's side of a stereo recording; knows
nothing of rows, engines or transcripts. PCM is float32 `[T]` in -1..1.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import maximum_filter1d

from models.audio import AudioError, audible, to_float32

FULL_SCALE = 32767 / 32768  # the loudest positive sample of 16 bit
_WINDOW_MS = 10  # of the spectra on both sides of a join: shorter than a vowel's period pair
_FLOOR_DB = 60.0  # under the loudest bin of the whole: what lies deeper is not heard as a change


@dataclass(frozen=True)
class Sound:
    """What `measure` finds; None where there is nothing to measure."""

    clipped: float | None  # share of samples at full scale
    peak_dbfs: float | None  # greatest magnitude against 1.0
    longest_gap_ms: float | None  # silence between the first and the last audible sample


def read_bot(path: Path) -> tuple[np.ndarray, int]:
    """The right channel of a recording: float32 `[T]` and its sample rate, not resampled.

    Raises:
        AudioError: no such file, not readable, empty, or without a second channel.
    """
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    try:
        frames, rate = soundfile.read(str(path), dtype="float32", always_2d=True)  # [T, C]
    except (soundfile.LibsndfileError, RuntimeError) as e:
        raise AudioError(f"{path}: not a readable audio file ({e})") from e
    if not len(frames):
        raise AudioError(f"{path}: holds no samples")
    if frames.shape[1] < 2:
        raise AudioError(f"{path}: has one channel; a recording has the caller left, the bot right")
    return np.nan_to_num(np.ascontiguousarray(frames[:, 1])), rate


def measure(pcm: np.ndarray, rate: int) -> Sound:
    """Clipping, peak and the longest gap of one answer at its recorded rate.

    Resampling or a lossy file moves peaks: of such audio the first two are approximate.
    """
    x = np.abs(to_float32(pcm))
    if not len(x) or not x.any():
        return Sound(None, None, None)
    return Sound(
        float(np.mean(x >= FULL_SCALE)),
        float(20 * np.log10(x.max())),
        longest_gap_ms(pcm, rate),
    )


def longest_gap_ms(pcm: np.ndarray, rate: int) -> float | None:
    """The longest silence between two audible stretches; 0 without any, None if all is silent."""
    heard = audible(pcm, rate)
    if not heard:
        return None
    gaps = [later.start - earlier.end for earlier, later in zip(heard, heard[1:], strict=False)]
    return 1000.0 * max(gaps, default=0) / rate


def joins_jump(pcm: np.ndarray, rate: int, joins: list[int]) -> float | None:
    """How abrupt the sound is at `joins` (sample positions), against everywhere else in it.

    The share of other audible places whose spectrum changes less than it does at the join, mean
    over joins: 0.5 is a join like any other place, 1.0 one more abrupt than all speech around it.
    A change is the RMS difference in dB of two neighbouring log spectra (spectral flux); a place
    is as abrupt as the largest change of a window that touches it. None without a join inside the
    audio, or with nothing audible to compare with.
    """
    hop = max(1, rate * _WINDOW_MS // 1000 // 4)
    window = 4 * hop
    flux = _flux(to_float32(pcm), window, hop)  # [F]: at sample window / 2 + (f + 0.5) * hop
    if flux is None:
        return None
    peaks = maximum_filter1d(flux, 5)
    centres = window / 2 + (np.arange(len(flux)) + 0.5) * hop
    inside = [j for j in joins if centres[0] <= j <= centres[-1]]
    spoken = np.zeros(len(flux), bool)
    for stretch in audible(pcm, rate):
        spoken |= (centres >= stretch.start) & (centres < stretch.end)
    for join in inside:
        spoken &= np.abs(centres - join) > 2 * window
    elsewhere = np.sort(peaks[spoken])
    if not inside or not len(elsewhere):
        return None
    at_joins = [peaks[np.argmin(np.abs(centres - join))] for join in inside]
    below = np.searchsorted(elsewhere, at_joins)
    equal = np.searchsorted(elsewhere, at_joins, side="right") - below
    return float(np.mean(below + equal / 2) / len(elsewhere))


def _flux(x: np.ndarray, window: int, hop: int) -> np.ndarray | None:
    if len(x) < window + hop:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]  # [F + 1, window]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1))
    if not spectra.any():
        return None
    decibels = 20 * np.log10(np.maximum(spectra, spectra.max() * 10 ** (-_FLOOR_DB / 20)))
    return np.sqrt(np.mean(np.diff(decibels, axis=0) ** 2, axis=1))
