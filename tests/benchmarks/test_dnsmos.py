"""The predictor against the figures of its original, on clips made of numbers."""

import os

import numpy as np
import pytest

from benchmarks.sound import dnsmos
from benchmarks.sound.dnsmos import RATE, SEGMENT, Dnsmos, DnsmosMissing, log_mel, segments


def buzz(seconds: float, hertz: float) -> np.ndarray:
    """A voice-like sound: fifteen harmonics, a wavering pitch, syllables."""
    at = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (hertz * at + 2 * np.sin(2 * np.pi * 3 * at))
    loud = 0.55 + 0.45 * np.sin(2 * np.pi * 2.5 * at)
    return (0.1 * loud * sum(np.sin(k * phase) / k for k in range(1, 16))).astype(np.float32)


def hiss(seconds: float) -> np.ndarray:
    # RandomState's stream is frozen; the figures below were taken on it.
    return np.random.RandomState(7).standard_normal(round(seconds * RATE)).astype(np.float32)


# SIG, BAK, OVRL, P.808 of speechmos 0.0.1.1 `dnsmos.run` with librosa 0.11.0.
ORIGINAL = {
    "one segment": (buzz(9.1, 130), (3.137399, 2.931139, 2.322616, 2.642005)),
    "repeated": (buzz(3.0, 210), (3.279978, 3.208644, 2.573735, 2.480226)),
    "noisy": (buzz(5.0, 130) + 0.03 * hiss(5.0), (2.897924, 1.932210, 1.818100, 2.254987)),
}


@pytest.fixture(scope="module")
def predictor() -> Dnsmos:
    try:
        return Dnsmos.load()
    except DnsmosMissing:
        if "CI" in os.environ:  # it is in the lock
            raise
        pytest.skip("speechmos is not installed")


@pytest.mark.parametrize("clip", ORIGINAL)
def test_predictions_are_those_of_the_original(predictor, clip):
    pcm, expected = ORIGINAL[clip]
    found = predictor.predict(pcm)
    assert (found.sig, found.bak, found.ovrl, found.p808) == pytest.approx(expected, abs=0.002)


def test_a_name_says_which_predictor_it_is(predictor):
    assert predictor.name.startswith("DNSMOS (speechmos ")


def test_an_empty_clip_has_no_prediction(predictor):
    assert predictor.predict(np.zeros(0, np.float32)) is None


def test_without_the_wheel_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(dnsmos, "find_spec", lambda name: None)
    with pytest.raises(DnsmosMissing, match="install speechmos"):
        Dnsmos.load()


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.5, 7), (2.0, 7), (3.0, 3), (5.0, 1), (9.0, 9), (9.5, 1), (12.3, 3)]
)
def test_clips_are_repeated_and_cut_as_in_the_original(seconds, count):
    """Shorter clips double until they are long enough; every whole second starts a segment."""
    pcm = np.arange(round(seconds * RATE), dtype=np.float32)
    pieces = segments(pcm)
    assert pieces.shape == (count, SEGMENT)
    at = (np.arange(count)[:, None] * RATE + np.arange(SEGMENT)) % len(pcm)
    assert np.array_equal(pieces, pcm[at])


def test_features_have_a_range_of_eighty_decibels():
    mel = log_mel(buzz(9.01, 130)[: SEGMENT - 160])
    assert mel.shape == (900, 120)
    assert mel.max() == pytest.approx(1.0)
    assert mel.min() >= -1.0
