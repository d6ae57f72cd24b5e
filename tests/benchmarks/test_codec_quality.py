"""Reconstructions whose distance from the original is known."""

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.sound import codec as codec_quality
from benchmarks.sound.codec import LengthError, compare, lag, log_spectral_distance, stoi
from models.audio import to_int16
from tests.benchmarks.test_dnsmos import RATE, buzz, hiss

with_pystoi = pytest.mark.skipif(find_spec("pystoi") is None, reason="pystoi is not installed")


@with_pystoi
def test_stoi_is_that_of_its_package():
    """The figure of pystoi 0.4.1 itself; the same sound has 1."""
    clean = buzz(3.0, 130)
    assert stoi(clean, clean + 0.05 * hiss(3.0), RATE) == pytest.approx(0.70409, abs=1e-4)
    assert stoi(clean, clean, RATE) == pytest.approx(1.0, abs=1e-6)


@with_pystoi
def test_too_little_speech_has_no_stoi():
    assert stoi(buzz(0.3, 130), buzz(0.3, 130), RATE) is None
    assert stoi(np.zeros(100, np.float32), np.zeros(100, np.float32), RATE) is None


def test_without_the_package_the_rest_is_measured(monkeypatch):
    monkeypatch.setattr(codec_quality, "find_spec", lambda name: None)
    found = compare(buzz(1.0, 130), buzz(1.0, 130), RATE)
    assert (found.stoi, found.lsd_db, found.delay) == (None, 0.0, 0)


def test_half_the_level_is_six_decibels_in_every_bin_heard():
    """White noise fills every bin, and only its rare dips reach the floor."""
    original = 0.1 * hiss(2.0)
    assert log_spectral_distance(original, original / 2, RATE) == pytest.approx(6.02, abs=0.02)


def test_more_noise_is_further_away():
    clean = buzz(2.0, 130)
    near, far = (log_spectral_distance(clean, clean + g * hiss(2.0), RATE) for g in (0.001, 0.03))
    assert 0 < near < far


@pytest.mark.parametrize("delay", [-480, -1, 0, 37, 1920])
def test_the_delay_of_a_codec_is_found_and_removed(delay):
    clean = buzz(2.0, 130) + 0.01 * hiss(2.0)
    decoded = np.pad(clean, (delay, 0)) if delay >= 0 else clean[-delay:]
    assert lag(clean, decoded, 4000) == delay
    found = compare(clean, decoded, RATE)
    assert found.delay == delay
    assert found.lsd_db == pytest.approx(0.0, abs=1e-6)


def test_int16_and_float_give_the_same():
    clean = buzz(1.0, 130)
    noisy = clean + 0.01 * hiss(1.0)
    floats = compare(clean, noisy, RATE)
    assert compare(to_int16(clean), to_int16(noisy), RATE).lsd_db == pytest.approx(
        floats.lsd_db, rel=0.01
    )


def test_silence_against_silence_and_against_sound():
    silence = np.zeros(RATE, np.float32)
    assert log_spectral_distance(silence, silence, RATE) == 0.0
    assert log_spectral_distance(silence, buzz(1.0, 130), RATE) == float("inf")


def test_too_short_to_compare():
    with pytest.raises(LengthError, match="32 ms"):
        compare(np.zeros(10, np.float32), buzz(1.0, 130), RATE)
