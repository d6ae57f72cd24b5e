"""Speech and other sound on a track: whether by the VAD, when by the energy, to the sample."""

import hashlib

import numpy as np
import pytest

import benchmarks.ruler.onsets as onsets
from benchmarks.ruler.onsets import VadError, hear, probabilities, speech, vad_path
from models.audio import Stretch, audible, resample, to_int16
from models.espeak import synthesize, voice_settings
from tests.benchmarks.scripted_server import silence, tone

RATE = 24_000


def spoken(text: str, voice: str = "priya") -> np.ndarray:
    """int16 [T] at RATE, audible from its first to its last sample."""
    pcm = synthesize(text, voice_settings(voice)[0]).astype(np.float32) / 32768
    pcm = to_int16(resample(2 * pcm, 22_050, RATE))
    sounds = audible(pcm, RATE)
    return pcm[sounds[0].start : sounds[-1].end]


def noise(ms: int, dbfs: float) -> np.ndarray:
    rng = np.random.default_rng(ms)
    wave = rng.standard_normal(RATE * ms // 1000) * 10 ** (dbfs / 20)
    return to_int16(np.clip(wave, -1, 1).astype(np.float32))


def track(*parts: np.ndarray | int) -> np.ndarray:
    """Sounds, and milliseconds of silence."""
    return np.concatenate([silence(p, RATE) if isinstance(p, int) else p for p in parts])


WORD = spoken("నమస్కారం")


@pytest.mark.parametrize("text", ["హా", "సరే", "ఖచ్చితంగా చెప్తాను", "శ్రీను ఇంట్లో లేడు"])
@pytest.mark.parametrize("voice", ["priya", "ravi"])
def test_speech_is_placed_to_the_sample(text, voice):
    pcm = spoken(text, voice)
    whole = track(700, pcm, 900)
    [found] = speech(whole, RATE, merge_ms=500)
    assert found.start == RATE * 700 // 1000
    # Where the same sound ends alone, its fading end hangs half out of the energy's last window.
    assert found.end == audible(whole, RATE)[-1].end
    assert found.end <= found.start + len(pcm)


@pytest.mark.parametrize(
    "sound",
    [
        noise(5, -6),  # a click
        noise(400, -32),  # a breath
        noise(3000, -25),
        np.tile(np.repeat([9000, -9000], 30), 400).astype(np.int16),  # a tone of 400 Hz
    ],
)
def test_sound_that_is_no_speech_is_no_answer(sound):
    heard = hear(track(500, sound, 900, WORD, 500), RATE)
    assert [s.start for s in heard.speech] == [RATE * 1400 // 1000 + len(sound)]
    assert hear(track(500, sound, 500), RATE).speech == []
    assert len(heard.other) == (len(sound) > RATE * 30 // 1000)


def test_a_click_ahead_of_an_answer_is_not_its_onset():
    """Nor where the two are joined into one piece."""
    pcm = track(500, noise(60, -20), 120, WORD, 500)
    [piece] = speech(pcm, RATE, merge_ms=200)
    assert piece.start == RATE * 680 // 1000


def test_hiss_that_runs_into_speech_does_not_start_it():
    pcm = track(500, noise(800, -38), WORD, 500)
    found = speech(pcm, RATE, merge_ms=200)
    assert abs(found[0].start - RATE * 1300 // 1000) < RATE * 64 // 1000  # the VAD's resolution


def test_a_released_stop_belongs_to_the_speech_before_it():
    pcm = track(500, WORD, 90, noise(40, -30), 500)
    heard = hear(pcm, RATE)
    assert heard.other == []
    assert heard.speech[-1].end == len(pcm) - RATE // 2


def test_a_verdict_does_not_depend_on_the_place():
    first = [s.start for s in speech(track(500, WORD, 2000, noise(300, -25), 1000, WORD), RATE)]
    assert len(first) >= 2
    for lead in (0, 501, 5013):
        alone = speech(track(lead, WORD, 400), RATE)
        assert alone[0].start == RATE * lead // 1000
    long = hear(track(500, *(part for _ in range(20) for part in (WORD, 1000))), RATE, merge_ms=300)
    assert len({s.end - s.start for s in long.speech}) == 1
    assert len(long.speech) == 20


def test_the_scripted_voice_is_speech():
    """What other tests' servers say must be heard like an engine's."""
    for ms in (200, 300, 600, 2000, 5000):
        pcm = tone(ms, RATE)
        assert speech(track(300, pcm, 300), RATE) == [Stretch(7200, 7200 + len(pcm))]


def test_nothing_on_the_track():
    assert hear(np.zeros(0, np.int16), RATE).speech == []
    assert hear(silence(500, RATE), RATE).other == []
    assert probabilities(np.zeros(1000, np.float32)).shape == (2,)


def test_the_vad_is_the_pinned_one(monkeypatch):
    assert hashlib.sha256(vad_path().read_bytes()).hexdigest() == onsets.VAD_SHA256
    monkeypatch.setattr(onsets, "VAD_SHA256", "0" * 64)
    with pytest.raises(VadError, match="another VAD"):
        vad_path()
    monkeypatch.setattr(onsets, "VAD_FILE", "pipecat/none.onnx")
    with pytest.raises(VadError, match="make setup"):
        vad_path()
