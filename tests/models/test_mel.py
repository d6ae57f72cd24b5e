"""The spectrogram is faster-whisper's, number for number; padding is silence."""

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from models.mel import HOP, log_mel, mel_filters, pad_frames

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("samples", [1, 159, 400, 16_000, 48_123])
@pytest.mark.parametrize("bands", [80, 128])
def test_same_as_faster_whisper(samples: int, bands: int) -> None:
    pcm = (RNG.standard_normal(samples) * 0.1).astype(np.float32)
    expected = FeatureExtractor(feature_size=bands)(pcm)
    ours = log_mel(pcm, bands)
    assert ours.shape == (bands, samples // HOP + 1) == expected.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_filters_cover_the_band_without_holes() -> None:
    filters = mel_filters()
    assert filters.shape == (80, 201)
    assert (filters >= 0).all()
    assert (filters.sum(axis=1) > 0).all()


def test_digital_silence_is_finite() -> None:
    mel = log_mel(np.zeros(1600, np.float32))
    assert np.isfinite(mel).all()
    assert np.ptp(mel) == 0


def test_padding_frames_equals_padding_samples() -> None:
    pcm = (RNG.standard_normal(16_000) * 0.1).astype(np.float32)
    padded = pad_frames(log_mel(pcm), 150)
    silent = log_mel(np.pad(pcm, (0, 8_000 - HOP)))
    # The last frame of each sees the edge differently: reflection in one, silence in the other.
    np.testing.assert_allclose(padded[:, :99], silent[:, :99], atol=1e-5)
    np.testing.assert_allclose(padded[:, 103:], silent[:, 103:150], atol=1e-5)
    assert pad_frames(padded, 100).shape == (80, 100)
