"""The sound of a listening test's clips: cut from a call, made equally loud, spoilt.

Knows nothing of engines or pages. PCM is mono float32 `[T]` in -1..1 at `RATE`.
"""

from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from benchmarks.sound.stereo import Form, read_bot
from models.audio import AudioError, resample

RATE = 24_000  # what the bots send
LEVEL_DBFS = -26.0  # nominal active speech level of listening tests (ITU-T P.830)
PEAK = 0.99
LONGEST_S = 15  # longer answers are cut for all engines alike: raters tire
FADE_MS = 15
PADDING_MS = 100  # silence around every clip, so that no player swallows an onset
# The Modulated Noise Reference Unit's Q (ITU-T P.810): speech-correlated noise 5 dB below the
# speech, plainly bad to anybody, and the words remain.
LOW_Q_DB = 5.0
LOW_BAND = (300.0, 3400.0)  # Hz: the telephone band
_BLOCK_MS, _HOP_MS = 400, 100  # gating blocks (ITU-R BS.1770-5, annex 1)
_RELATIVE_GATE_DB = -10.0
_QUIET_DBFS = -70.0

# Best first; the first that fits the page is taken. MP3 at about 128 and 56 kbit/s.
FORMATS = (
    Form("audio/flac", "FLAC", "PCM_16", 1.0),
    Form("audio/mpeg", "MP3", "MPEG_LAYER_III", 0.2),
    Form("audio/mpeg", "MP3", "MPEG_LAYER_III", 0.7),
)


def read_answer(path: Path, from_ms: float, to_ms: float) -> np.ndarray:
    """The bot's side of a call between two times, at `RATE`.

    Raises:
        AudioError: no such file, not stereo, unreadable, or nothing between the two times.
    """
    pcm, rate = read_bot(path, from_ms, to_ms)
    return resample(pcm, rate, RATE)


def active_level(pcm: np.ndarray) -> float:
    """Mean power in dBFS of the 400 ms blocks at most 10 dB below the mean of all; -inf: silence.

    The gating of ITU-R BS.1770-5 without its frequency weighting: pauses count for nothing.
    """
    block, hop = RATE * _BLOCK_MS // 1000, RATE * _HOP_MS // 1000
    energy = np.concatenate(([0.0], np.cumsum(np.square(pcm, dtype=np.float64))))
    block = min(block, len(pcm))
    if not block:
        return float("-inf")
    starts = np.arange(0, len(pcm) - block + 1, hop)
    power = (energy[starts + block] - energy[starts]) / block  # [blocks]
    loud = power[power > 10 ** (_QUIET_DBFS / 10)]
    if not len(loud):
        return float("-inf")
    active = loud[loud >= loud.mean() * 10 ** (_RELATIVE_GATE_DB / 10)]
    return 10.0 * float(np.log10(active.mean()))


def levelled(pcm: np.ndarray) -> tuple[np.ndarray, float]:
    """The clip at `LEVEL_DBFS` between two short silences, and the gain in dB that took it there.

    Cut to `LONGEST_S`, edges faded. The gain is less where full scale would be passed.

    Raises:
        AudioError: nothing is heard in it.
    """
    pcm = pcm[: LONGEST_S * RATE].astype(np.float32)
    level = active_level(pcm)
    if not np.isfinite(level):
        raise AudioError("nothing is heard in it")
    gain = min(10 ** ((LEVEL_DBFS - level) / 20), PEAK / float(np.abs(pcm).max()))
    fade = np.minimum(1.0, (np.arange(len(pcm)) + 0.5) / (RATE * FADE_MS / 1000))
    shaped = pcm * gain * fade * fade[::-1]
    padding = np.zeros(RATE * PADDING_MS // 1000, np.float32)
    whole = np.concatenate((padding, shaped.astype(np.float32), padding))
    return whole, 20.0 * float(np.log10(gain))


def spoilt(pcm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A low anchor: the same speech in the telephone band with speech-correlated noise.

    `y = band(x (1 + 10^(-Q/20) n))`, n white Gaussian of unit variance (ITU-T P.810).
    """
    noise = rng.standard_normal(len(pcm))
    noisy = pcm * (1.0 + 10 ** (-LOW_Q_DB / 20) * noise)
    band = butter(4, LOW_BAND, "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfiltfilt(band, noisy)).astype(np.float32)
