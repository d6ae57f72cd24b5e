"""The speaker encoder against the figures of its original, on clips made of numbers."""

import os

import numpy as np
import pytest
import torch

from models import speaker
from models.audio import audible, resample, to_float32
from models.espeak import Espeak
from models.mel import SAMPLE_RATE
from models.speaker import (
    EncoderMissing,
    SpeakerEncoder,
    likeness,
    mel_power,
    partial_starts,
    prepared,
)

# The six greatest of 256 values of Resemblyzer 0.1.4 `embed_utterance` with librosa 0.11.0.
ORIGINAL = {
    (9.1, 130): {246: 0.250516, 120: 0.203063, 158: 0.194339, 218: 0.184032, 146: 0.17945},
    (3.0, 210): {150: 0.235548, 246: 0.21713, 202: 0.195708, 122: 0.184595, 11: 0.178507},
}
TEXT = "నమస్కారం, మీకు ఏ విధంగా సహాయం చేయగలను?"
OTHER_TEXT = "రేపు ఉదయం పది గంటలకు డాక్టర్ గారిని కలవవచ్చు."


def buzz(seconds: float, hertz: float) -> np.ndarray:
    """A voice-like sound: fifteen harmonics, a wavering pitch, syllables."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * (hertz * at + 2 * np.sin(2 * np.pi * 3 * at))
    loud = 0.55 + 0.45 * np.sin(2 * np.pi * 2.5 * at)
    return (0.1 * loud * sum(np.sin(k * phase) / k for k in range(1, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    try:
        return SpeakerEncoder.load()
    except EncoderMissing:
        if "CI" in os.environ:  # it is in the lock
            raise
        pytest.skip("resemblyzer is not installed")


@pytest.mark.parametrize("clip", ORIGINAL)
def test_embeddings_are_those_of_the_original(encoder, clip):
    mean = encoder.partials(buzz(*clip)).mean(axis=0)
    found = mean / np.linalg.norm(mean)
    for place, value in ORIGINAL[clip].items():
        assert found[place] == pytest.approx(value, abs=1e-3)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-5)


def test_a_voice_is_more_like_itself_than_like_another(encoder):
    espeak = Espeak()
    heard = {}
    for voice in ("arjun", "ravi", "priya", "lakshmi"):
        for text in (TEXT, OTHER_TEXT):
            pcm = to_float32(np.concatenate(list(espeak.stream(text, voice))))
            heard[voice, text] = encoder.embed(resample(pcm, espeak.sample_rate, SAMPLE_RATE))
    for (voice, text), here in heard.items():
        if text == TEXT:
            alike = {v: likeness(here, there) for (v, t), there in heard.items() if t != text}
            assert max(alike, key=lambda v: alike[v]) == voice


def test_the_level_of_a_recording_does_not_change_the_voice(encoder):
    loud = buzz(3.0, 130) * 0.2
    assert likeness(encoder.embed(loud), encoder.embed(loud / 10)) > 0.98


def test_drift_is_small_for_one_voice_and_large_for_two(encoder):
    one, two = buzz(9.0, 130), np.concatenate([buzz(4.5, 130), buzz(4.5, 230)])
    same, changed = encoder.drift(one), encoder.drift(two)
    assert same < 0.05
    assert changed > 4 * same
    assert encoder.drift(buzz(4.0, 130)) is None


def test_silence_is_nobody(encoder):
    assert encoder.embed(np.zeros(SAMPLE_RATE, np.float32)) is None
    assert encoder.embed(np.zeros(0, np.float32)) is None


def test_a_checkpoint_of_the_published_layout_is_read(tmp_path):
    """Only the network's own tensors are taken; the file also holds a loss's and an optimiser's."""
    torch.manual_seed(0)
    made = SpeakerEncoder().eval()
    state = made.state_dict() | {"similarity_weight": torch.ones(1)}
    torch.save({"step": 1, "model_state": state, "optimizer_state": {}}, tmp_path / "a.pt")
    read = SpeakerEncoder.load(tmp_path / "a.pt")
    assert np.array_equal(read.partials(buzz(2.0, 130)), made.partials(buzz(2.0, 130)))


def test_without_the_weights_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(speaker, "find_spec", lambda name: None)
    with pytest.raises(EncoderMissing, match="install resemblyzer"):
        SpeakerEncoder.load()
    with pytest.raises(EncoderMissing):
        SpeakerEncoder.load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("samples", "starts"),
    [(1, [0]), (25_600, [0]), (30_000, [0]), (34_000, [0, 77]), (48_000, [0, 77, 154])],
)
def test_partials_begin_where_the_originals_do(samples, starts):
    assert partial_starts(samples) == starts


def test_features_are_of_power():
    pcm = buzz(1.0, 130)
    mel = mel_power(pcm)
    assert mel.shape == (101, 40)
    assert np.allclose(mel_power(pcm / 2), mel / 4, rtol=1e-4)


def test_pauses_are_shortened_and_ends_cut():
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    pcm = np.concatenate([silence, buzz(1.0, 130), silence, buzz(1.0, 130), silence])
    speech = prepared(pcm)
    assert 2.0 * SAMPLE_RATE - 3000 < len(speech) < 2.6 * SAMPLE_RATE
    pauses = audible(speech, SAMPLE_RATE)
    assert pauses[0].start < 0.2 * SAMPLE_RATE
