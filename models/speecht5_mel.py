"""The spectrogram SpeechT5 speaks in: 80 mel bands every 16 ms, logarithm to the base ten.

Same numbers as transformers' `SpeechT5FeatureExtractor` with its defaults (1,024 samples of Hann
window, hop 256, Slaney's filters from 80 to 7,600 Hz, magnitudes), ten times as fast. Knows nothing
of text or models.
"""

from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000  # Hz
HOP = 256  # samples; 62.5 frames a second
WINDOW = 1_024  # samples
BANDS = 80
LOWEST, HIGHEST = 80.0, 7_600.0  # Hz
FLOOR = 1e-10  # the hub's; a directory's preprocessor_config.json may name another


@lru_cache(maxsize=1)
def mel_filters() -> np.ndarray:
    """Slaney's triangles of unit area, float32 [BANDS, WINDOW // 2 + 1].

    Linear below 1 kHz (3 mels a 200 Hz), logarithmic above (27 mels per factor 6.4).
    """
    knee, log_step = 15.0, np.log(6.4) / 27.0
    first = LOWEST * 3.0 / 200.0
    last = knee + np.log(HIGHEST / 1000.0) / log_step
    mels = np.linspace(first, last, BANDS + 2)
    edges = np.where(mels < knee, mels * 200.0 / 3.0, 1000.0 * np.exp(log_step * (mels - knee)))
    bins = np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)  # Hz
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)  # periodic Hann


def log_mel(pcm: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """float32 [T] at 16 kHz in -1..1 -> float32 [T // HOP + 1, BANDS], no value under log10(floor).

    Frame n is centred on sample n * HOP.
    """
    half = WINDOW // 2
    pcm = np.pad(np.asarray(pcm, np.float32), (half, half), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP]  # [F, WINDOW]
    magnitude = np.abs(np.fft.rfft(frames * _window())).astype(np.float32)  # [F, bins]
    return np.log10(np.maximum(magnitude @ mel_filters().T, floor))
