"""Sound from a mel spectrogram without a vocoder: Griffin and Lim (1984), for looking into a run.

While the acoustic model trains there may be no vocoder yet; phases are then guessed until the
spectrum fits. It costs a recogniser one word in six, so it is for comparing, not for serving.
"""

import numpy as np

from models.speecht5_mel import HOP, WINDOW, mel_filters

ROUNDS = 30


def sound(mel: np.ndarray, rounds: int = ROUNDS) -> np.ndarray:
    """float32 [F, BANDS], log10 of magnitudes -> float32 [(F - 1) * HOP] in -1..1."""
    filters = mel_filters()
    magnitude = np.maximum(10.0**mel @ np.linalg.pinv(filters).T, 0.0).astype(np.float32)
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    rng = np.random.default_rng(0)
    spectrum = magnitude * np.exp(2j * np.pi * rng.random(magnitude.shape))
    for _ in range(rounds):
        pcm = _overlapped(spectrum, window)
        frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP]
        turned = np.fft.rfft(frames * window)
        spectrum = magnitude * turned / np.maximum(np.abs(turned), 1e-8)
    pcm = _overlapped(spectrum, window)[WINDOW // 2 : -(WINDOW // 2)]
    return np.clip(pcm, -1.0, 1.0).astype(np.float32)


def _overlapped(spectrum: np.ndarray, window: np.ndarray) -> np.ndarray:
    """[F, bins] -> the sound whose windows come closest, [WINDOW + (F - 1) * HOP]."""
    frames = np.fft.irfft(spectrum, WINDOW) * window
    length = WINDOW + (len(frames) - 1) * HOP
    pcm, weight = np.zeros(length), np.full(length, 1e-3)
    for number, frame in enumerate(frames):
        at = number * HOP
        pcm[at : at + WINDOW] += frame
        weight[at : at + WINDOW] += window**2
    return pcm / weight
