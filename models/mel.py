"""The log-mel spectrogram Whisper hears: 16 kHz samples in, 80 bands every 10 ms out.

Training and serving both call this, so what a checkpoint has learnt is what it is served. Same
numbers as faster-whisper's FeatureExtractor (and OpenAI's `log_mel_spectrogram`). Knows nothing of
windows, models or text.
"""

from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000  # Hz
HOP = 160  # samples; 10 ms a frame
N_FFT = 400  # samples; 25 ms
BANDS = 80
# The quietest value kept lies 80 dB under the loudest one, and none under a power of 1e-10.
RANGE, FLOOR = 8.0, -10.0  # log10 of power


@lru_cache
def mel_filters(bands: int = BANDS, n_fft: int = N_FFT) -> np.ndarray:
    """Slaney's mel filters (librosa's default), float32 [bands, n_fft // 2 + 1].

    Linear below 1 kHz (3 mels per 200 Hz), logarithmic above (27 mels per factor 6.4); each
    triangle has unit area.
    """
    hertz_per_mel, knee, log_step = 200.0 / 3, 15.0, np.log(6.4) / 27.0
    top = knee + np.log((SAMPLE_RATE / 2) / 1000.0) / log_step
    mels = np.linspace(0.0, top, bands + 2)
    edges = np.where(mels < knee, mels * hertz_per_mel, 1000.0 * np.exp(log_step * (mels - knee)))
    bins = np.fft.rfftfreq(n_fft, 1.0 / SAMPLE_RATE)  # Hz
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


@lru_cache
def _window() -> np.ndarray:
    return np.hanning(N_FFT + 1)[:-1].astype(np.float32)  # periodic Hann


def log_mel(pcm: np.ndarray, bands: int = BANDS) -> np.ndarray:
    """float32 [T] at 16 kHz in -1..1 -> float32 [bands, T // HOP + 1], about -1..1.5.

    One hop of silence is appended, as faster-whisper does, so the last frame is about the end.
    Values depend on the loudest one of the whole input: transcribe what was cut, do not cut what
    was transformed. Any length from one sample on.
    """
    pcm = np.pad(np.asarray(pcm, np.float32), (0, HOP))
    half = N_FFT // 2
    # numpy's reflection repeats for inputs shorter than half a window.
    pcm = np.pad(pcm, (half, half), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(pcm, N_FFT)[::HOP][:-1]  # [F, N_FFT]
    power = np.abs(np.fft.rfft(frames * _window())).astype(np.float32).T ** 2  # [bins, F]
    log = np.log10(np.maximum(mel_filters(bands) @ power, 10.0**FLOOR))
    return (np.maximum(log, log.max() - RANGE) + 4.0) / 4.0


def pad_frames(mel: np.ndarray, frames: int) -> np.ndarray:
    """[bands, F] -> [bands, frames], continued with the floor that digital silence has."""
    missing = frames - mel.shape[1]
    if missing <= 0:
        return mel[:, :frames]
    floor = max(mel.max() - RANGE / 4.0, (FLOOR + 4.0) / 4.0)
    return np.pad(mel, ((0, 0), (0, missing)), constant_values=floor)
