"""The cascade's models come up side by side, and none is left behind when one does not."""

import threading

import pytest

from maata.profile import CascadeSettings
from models.llama import Llama
from pipelines import cascade_models
from services.speecht5 import SpeechT5Synthesizer
from services.turns import TurnModels

LONG = 20.0  # seconds; nothing waits for so long unless it waits for what never comes


class Voice(SpeechT5Synthesizer):
    """Remembers whether it was ended."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> Voice:
    made = Voice("tcp://127.0.0.1:1")
    monkeypatch.setattr(TurnModels, "load", lambda: "turns")
    monkeypatch.setattr(cascade_models, "warm_up", lambda _: None)
    monkeypatch.setattr(cascade_models, "_llama", lambda _: None)
    monkeypatch.setattr(cascade_models, "load_recognizer", lambda _: "recognizer")
    monkeypatch.setattr(cascade_models, "_synthesizer", lambda _: made)
    return made


def test_the_voice_loads_while_the_others_do(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = threading.Event(), threading.Event()

    def meet(mine: threading.Event, theirs: threading.Event, value: object) -> object:
        mine.set()
        assert theirs.wait(LONG), "they were loaded one after the other"
        return value

    monkeypatch.setattr(cascade_models, "_synthesizer", lambda _: meet(one, other, voice))
    monkeypatch.setattr(cascade_models, "_llama", lambda _: meet(other, one, None))
    parts: list[tuple[str, float]] = []
    models = cascade_models.load_cascade(CascadeSettings(), lambda *part: parts.append(part))
    assert models.synthesizer is voice
    assert {part for part, share in parts if share == 1.0} == {"turns", "asr", "llm", "tts"}


def test_a_voice_is_ended_when_another_model_fails(
    voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> Llama:
        raise OSError("no such weights")

    monkeypatch.setattr(cascade_models, "_llama", broken)
    with pytest.raises(OSError, match="no such weights"):
        cascade_models.load_cascade(CascadeSettings(), lambda part, share: None)
    assert voice.closed


def test_the_first_failure_is_told_when_the_voice_fails_too(
    voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(sentence: str):
        def load(_: object) -> None:
            raise RuntimeError(sentence)

        return load

    monkeypatch.setattr(cascade_models, "_llama", fails("CUDA out of memory"))
    monkeypatch.setattr(cascade_models, "_synthesizer", fails("the voice does not load"))
    with pytest.raises(cascade_models.EngineError, match="no room for llm"):
        cascade_models.load_cascade(CascadeSettings(), lambda part, share: None)
