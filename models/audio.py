"""Sound as numbers: WAV files, sample rates, loudness, and where speech starts and ends.

Pure numpy on whole recordings; knows nothing about frames, calls or models. PCM is `[T]` mono,
either int16 or float32 in -1..1, unless a docstring says otherwise.

**The audible rule**, used for every latency the project publishes. A 10 ms window is loud when its
RMS exceeds -45 dBFS (full scale = RMS 1.0); windows start every millisecond. Loud windows less than
50 ms apart form one stretch, trimmed to its outermost samples above the same level; a stretch
shorter than 30 ms is a click, not speech. -45 dBFS lies above the idle noise of a codec (-60) and
below the quietest vowel of a voice at normal level (-35).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import soundfile
import soxr

AUDIBLE_DBFS = -45.0
WINDOW_MS = 10
HOP_MS = 1
MERGE_MS = 50
HOLD_MS = 30
RATES = range(4_000, 384_001)


class AudioError(ValueError):
    """A file or an array is no audio that can be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive samples `[start, end)` in which something is heard."""

    start: int
    end: int


def read_wav(source: str | Path | BinaryIO, rate: int) -> np.ndarray:
    """Mono float32 `[T]` in -1..1 at `rate` Hz from any file libsndfile reads.

    Channels are averaged; other sample rates are resampled.

    Raises:
        AudioError: no such file, no audio in it, no samples, or samples that are not numbers.
    """
    name = source if isinstance(source, str | Path) else getattr(source, "name", "the audio")
    if isinstance(source, str | Path):
        if not Path(source).is_file():
            raise AudioError(f"{name}: no such file")
        source = str(source)
    try:
        frames, file_rate = soundfile.read(source, dtype="float32", always_2d=True)  # [T, C]
    except (soundfile.LibsndfileError, RuntimeError) as e:
        raise AudioError(f"{name}: not a readable audio file ({e}); give a PCM WAV") from e
    if frames.shape[0] == 0:
        raise AudioError(f"{name}: holds no samples")
    if file_rate not in RATES:
        raise AudioError(f"{name}: sample rate {file_rate} Hz is outside 4-384 kHz")
    if not np.isfinite(frames).all():
        raise AudioError(f"{name}: holds samples that are not numbers (NaN or infinite)")
    return resample(frames.mean(axis=1), file_rate, rate)


def write_wav(path: str | Path, pcm: np.ndarray, rate: int) -> None:
    """Writes 16-bit PCM; `pcm` is `[T]` or `[T, C]`, int16 or float32 in -1..1.

    As FLAC where the name ends so, which is the same samples in half the bytes; else as WAV.
    """
    kind = "FLAC" if str(path).endswith(".flac") else "WAV"
    soundfile.write(str(path), to_int16(pcm), rate, subtype="PCM_16", format=kind)


def write_stereo(path: str | Path, left: np.ndarray, right: np.ndarray, rate: int) -> None:
    """Writes two mono tracks as left and right; the shorter one is continued with silence."""
    frames = np.zeros((max(len(left), len(right)), 2), dtype=np.int16)
    frames[: len(left), 0] = to_int16(left)
    frames[: len(right), 1] = to_int16(right)
    write_wav(path, frames, rate)


def to_int16(pcm: np.ndarray) -> np.ndarray:
    """int16 of the same shape; floats are scaled by 32768 and clipped at full scale.

    Raises:
        AudioError: another dtype, whose scale would be a guess.
    """
    if pcm.dtype == np.int16:
        return pcm
    _require_float(pcm)
    return np.clip(np.rint(pcm * 32768.0), -32768, 32767).astype(np.int16)


def to_float32(pcm: np.ndarray) -> np.ndarray:
    """float32 in -1..1 of the same shape.

    Raises:
        AudioError: another dtype than int16 or a float.
    """
    if pcm.dtype == np.int16:
        return pcm.astype(np.float32) / 32768.0
    _require_float(pcm)
    return pcm.astype(np.float32, copy=False)


def resample(pcm: np.ndarray, rate: int, to: int) -> np.ndarray:
    """`[T]` at `rate` to `[round(T * to / rate)]` at `to`, same dtype, no delay."""
    if rate == to:
        return pcm
    length = round(len(pcm) * to / rate)
    out = cast(np.ndarray, soxr.resample(pcm, rate, to, quality="HQ"))
    if len(out) < length:
        out = np.pad(out, (0, length - len(out)))
    return out[:length]


def dbfs(pcm: np.ndarray) -> float:
    """RMS level relative to full scale 1.0 (a full-scale sine is -3 dBFS); -inf for silence."""
    if len(pcm) == 0:
        return float("-inf")
    power = float(np.mean(np.square(to_float32(pcm), dtype=np.float64)))
    return 10.0 * float(np.log10(power)) if power > 0 else float("-inf")


def audible(
    pcm: np.ndarray, rate: int, *, level_dbfs: float = AUDIBLE_DBFS, merge_ms: int = MERGE_MS
) -> list[Stretch]:
    """The stretches of `pcm` in which something is heard, by the audible rule of this module."""
    x = np.abs(to_float32(pcm))
    window = max(1, rate * WINDOW_MS // 1000)
    if len(x) < window:
        return []
    starts = np.arange(0, len(x) - window + 1, max(1, rate * HOP_MS // 1000))  # [W]
    energy = np.concatenate(([0.0], np.cumsum(np.square(x, dtype=np.float64))))  # [T + 1]
    amplitude = 10.0 ** (level_dbfs / 20.0)
    loud = energy[starts + window] - energy[starts] > window * amplitude**2  # [W]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.view(np.int8), [0]))))
    # A loud window may begin or end quietly: trim to the samples that are themselves loud, which
    # every loud window has (the mean of the squares cannot exceed the greatest of them).
    found: list[Stretch] = []
    for first, last in zip(edges[::2], edges[1::2] - 1, strict=True):
        at, until = int(starts[first]), int(starts[last]) + window
        peaks = np.flatnonzero(x[at:until] >= amplitude)
        piece = Stretch(at + int(peaks[0]), at + int(peaks[-1]) + 1)
        if found and piece.start - found[-1].end < rate * merge_ms // 1000:
            found[-1] = Stretch(found[-1].start, max(found[-1].end, piece.end))
        else:
            found.append(piece)
    return [s for s in found if s.end - s.start >= rate * HOLD_MS // 1000]


def speech_end(pcm: np.ndarray, rate: int) -> int | None:
    """The sample after the last audible one of a clean recording; None if nothing is audible."""
    stretches = audible(pcm, rate)
    return stretches[-1].end if stretches else None


def first_audible(pcm: np.ndarray, rate: int, start: int = 0) -> int | None:
    """The first audible sample at or after `start`; None if there is none."""
    stretches = audible(pcm[start:], rate)
    return start + stretches[0].start if stretches else None


def _require_float(pcm: np.ndarray) -> None:
    if not np.issubdtype(pcm.dtype, np.floating):
        raise AudioError(f"samples are {pcm.dtype}: only int16 and floats in -1..1 are PCM here")
