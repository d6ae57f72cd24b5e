"""How much of a recording a codec keeps: STOI and log-spectral distance against the original.

Both need the reference, so they measure reconstructions, never answers. STOI predicts how many
words listeners understand, through `pystoi` (MIT); without it the figure is None. PESQ is left out:
its package has to be compiled, and it rates neural codecs by errors nobody hears. Knows nothing of
codecs.

Sources: Taal et al., "An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy
Speech", 2011; Gray and Markel, "Distance Measures for Speech Processing", 1976 (d2, in dB).
"""

import warnings
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from scipy.signal import fftconvolve

from models.audio import to_float32

MISSING = "STOI not measured: install pystoi"
_WINDOW_MS, _HOP_MS = 32, 16
_RANGE_DB = 60.0  # under the loudest bin of the original; deeper bins are equal for any ear
_QUIET_DB = 40.0  # frames further under the loudest one are pauses (as in STOI)
_LAG_MS = 250  # the most a reconstruction is shifted by to find its place


class LengthError(ValueError):
    """Nothing to compare: one of the two sides is too short."""


@dataclass(frozen=True)
class CodecQuality:
    """One reconstruction against its original."""

    stoi: float | None  # 0..1; None without pystoi, or with too little speech to say
    lsd_db: float  # RMS over bins, mean over spoken frames; 0 is identical
    delay: int  # samples that the reconstruction came late, corrected before comparing


def compare(original: np.ndarray, decoded: np.ndarray, rate: int) -> CodecQuality:
    """Both mono `[T]` at `rate` Hz, int16 or float; the delay between the two is found and removed.

    Levels are compared as they are for the distance; STOI ignores them.

    Raises:
        LengthError: less than a window of either is left after aligning.
    """
    x, y = to_float32(original), to_float32(decoded)
    window = rate * _WINDOW_MS // 1000
    if min(len(x), len(y)) < window:
        raise LengthError(f"needs {_WINDOW_MS} ms of both, got {len(x)} and {len(y)} samples")
    delay = lag(x, y, rate * _LAG_MS // 1000)
    x, y = (x, y[delay:]) if delay >= 0 else (x[-delay:], y)
    size = min(len(x), len(y))
    if size < window:
        raise LengthError(f"only {size} samples of the two overlap")
    x, y = x[:size], y[:size]
    return CodecQuality(stoi(x, y, rate), log_spectral_distance(x, y, rate), delay)


def lag(x: np.ndarray, y: np.ndarray, most: int) -> int:
    """Samples by which `y` is later than `x`, the peak of their correlation within +-`most`."""
    correlation = fftconvolve(y.astype(np.float64), x[::-1].astype(np.float64))
    zero = len(x) - 1  # index of lag 0
    first = max(0, zero - most)
    return first + int(np.argmax(correlation[first : zero + most + 1])) - zero


def stoi(x: np.ndarray, y: np.ndarray, rate: int) -> float | None:
    """STOI of `y` against the clean `x`, equally long and aligned.

    None without pystoi, or with under about 0.4 s of speech (30 frames of 12.8 ms).
    """
    if find_spec("pystoi") is None:
        return None
    from pystoi import stoi as measure  # pyright: ignore[reportMissingImports] - an extra

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # too few frames: its 1e-5 is no figure
        try:
            return float(measure(x.astype(np.float64), y.astype(np.float64), rate))
        except (RuntimeWarning, ValueError):  # ValueError: not one frame
            return None


def log_spectral_distance(x: np.ndarray, y: np.ndarray, rate: int) -> float:
    """Decibels between the spectra of `x` and `y` `[T]`, over the frames in which `x` speaks."""
    window, hop = rate * _WINDOW_MS // 1000, rate * _HOP_MS // 1000
    original, decoded = _spectra(x, window, hop), _spectra(y, window, hop)  # [F, bins]
    energy = np.sum(original**2, axis=1)
    if not energy.any():
        return 0.0 if not decoded.any() else float("inf")
    spoken = energy > energy.max() * 10 ** (-_QUIET_DB / 10)
    floor = original.max() * 10 ** (-_RANGE_DB / 20)
    difference = 20 * np.log10(
        np.maximum(original[spoken], floor) / np.maximum(decoded[spoken], floor)
    )
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def _spectra(x: np.ndarray, window: int, hop: int) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    return np.abs(np.fft.rfft(frames * np.hanning(window), axis=1))
