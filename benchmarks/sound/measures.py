"""The sound of one answer: clipping, peak, and the longest gap inside it.

Pure signal measures with no model behind them. Knows nothing of files, rows or transcripts. PCM is
float32 `[T]` in -1..1.
"""

from dataclasses import dataclass

import numpy as np

from models.audio import audible, to_float32

FULL_SCALE = 32767 / 32768  # the loudest positive sample of 16 bit


@dataclass(frozen=True)
class Sound:
    """What `measure` finds; None where there is nothing to measure."""

    clipped: float | None  # share of samples at full scale
    peak_dbfs: float | None  # greatest magnitude against 1.0
    longest_gap_ms: float | None  # silence between the first and the last audible sample


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
