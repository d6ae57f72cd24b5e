"""16 to 24 kHz in pieces: the same as in one piece, as loud, and free of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.upsample import IN_RATE, OUT_RATE, Upsampler


def sine(hz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 700), max_size=12))
def test_however_it_is_cut_the_sound_is_the_same(cuts: list[int]) -> None:
    pcm = np.random.default_rng(3).integers(-9000, 9000, 2000).astype(np.int16)
    whole = Upsampler().push(pcm)
    up, at, parts = Upsampler(), 0, []
    for cut in cuts:
        parts.append(up.push(pcm[at : at + cut]))
        at = min(len(pcm), at + cut)
    parts.append(up.push(pcm[at:]))
    pieces = np.concatenate(parts)
    assert np.array_equal(pieces, whole)
    assert len(whole) == len(pcm) * 3 // 2


@pytest.mark.parametrize("hz", [100, 440, 1000, 3000, 6000])
def test_tones_keep_pitch_and_level_and_come_a_millisecond_late(hz: int) -> None:
    out = Upsampler().push(sine(hz, IN_RATE)).astype(float)
    wanted = sine(hz, OUT_RATE).astype(float)
    assert Upsampler.delay == OUT_RATE // 1000
    late = out[Upsampler.delay :]
    error = (late - wanted[: len(late)])[100:-100]
    assert np.sqrt(np.mean(error**2)) < 0.02 * 8000


def test_no_image_of_the_band_appears_above_it() -> None:
    spectrum = np.abs(np.fft.rfft(Upsampler().push(sine(5000, IN_RATE, 1.0)) * np.hanning(24000)))
    image = spectrum[10_500:11_500].max()  # 16 - 5 kHz
    assert 20 * np.log10(image / spectrum.max()) < -50
