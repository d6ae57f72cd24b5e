"""SpeechT5 behind the TTS interface: a real host's door, and espeak-ng where it fails."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from pipecat.frames.frames import (
    AggregatedTextFrame,
    Frame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSTextFrame,
)
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.tests.utils import SleepFrame, run_test

from models.espeak import Espeak
from models.host import EngineSpec
from models.host_client import HostError
from models.host_server import HostServer, bind
from models.speecht5 import SpeechT5
from models.speecht5_host import SpeechT5Host
from models.speecht5_layout import load
from models.speecht5_voices import Decoding
from services.speecht5 import FACTORY, SpeechT5Service, SpeechT5Synthesizer
from tests.models import tiny_speecht5

TEXT = "నమస్కారం అండి, మీరు ఎలా ఉన్నారు?"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_speecht5.write(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voice that loses its place: nobody leads its attention, and it never stops."""
    return tiny_speecht5.write(tmp_path_factory.mktemp("lost"), Decoding())


@contextmanager
def served(
    voice: Path, folder: Path, *, never_stops: bool = False
) -> Iterator[SpeechT5Synthesizer]:
    """A synthesizer on a host behind a real door, served in a thread."""
    parts = load(voice)
    if never_stops:
        with torch.no_grad():
            parts.acoustic.speech_decoder_postnet.prob_out.bias.fill_(-20.0)
    address = f"ipc://{folder}/door"
    socket, over = bind(address), threading.Event()

    def serve() -> None:
        server = HostServer(socket, SpeechT5Host(SpeechT5(parts)))
        while not over.is_set():
            server.step()
        socket.close(linger=0)

    thread = threading.Thread(target=serve)
    thread.start()
    pytest.importorskip("espeakng_loader")
    synthesizer = SpeechT5Synthesizer(address, stand_in=Espeak())
    synthesizer.start()
    try:
        yield synthesizer
    finally:
        synthesizer.close()
        over.set()
        thread.join()


def speaking(synthesizer: SpeechT5Synthesizer, idle: bool, patience: float = 3.0) -> bool:
    """Whether the host comes to speak nothing (or something) in time."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        health = synthesizer.health
        if health and bool(health.engine.get("speaking", 0.0)) != idle:
            return True
        time.sleep(0.05)
    return False


def test_sound_comes_in_pieces_at_24_khz(good: Path, tmp_path: Path) -> None:
    with served(good, tmp_path) as synthesizer:
        pieces = list(synthesizer.stream(TEXT, "priya", "happy"))
    assert synthesizer.replaced == 0
    assert len(pieces) > 1
    assert all(piece.dtype == np.int16 for piece in pieces)
    assert sum(map(len, pieces)) > 24_000 // 2
    assert np.abs(np.concatenate(pieces).astype(int)).max() > 0


def test_several_calls_speak_at_once_and_one_can_be_stopped(good: Path, tmp_path: Path) -> None:
    with served(good, tmp_path) as synthesizer:
        stop = threading.Event()
        lengths: dict[str, int] = {}

        def call(voice: str) -> None:
            told = stop if voice == "ravi" else None
            text = TEXT * 20 if voice == "ravi" else TEXT
            for piece in synthesizer.stream(text, voice, stop=told):
                lengths[voice] = lengths.get(voice, 0) + len(piece)
                if voice == "ravi":
                    stop.set()

        threads = [threading.Thread(target=call, args=(v,)) for v in ("arjun", "ravi", "priya")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert lengths["ravi"] < 24_000 * 2  # of forty clauses it heard one piece
        assert min(lengths["arjun"], lengths["priya"]) > 24_000 // 2
        assert speaking(synthesizer, idle=True)


def test_the_stand_in_says_what_the_model_could_not(lost: Path, tmp_path: Path) -> None:
    reasons: list[str] = []
    with served(lost, tmp_path, never_stops=True) as synthesizer:
        pieces = list(synthesizer.stream(TEXT, "priya", replaced=reasons.append))
    assert synthesizer.replaced == 1
    assert reasons
    assert "lost its place" in reasons[0]
    loud = np.abs(np.concatenate(pieces).astype(int)) > 3_000
    assert loud.sum() > 1_000  # a random vocoder is never as loud as a voice


def test_without_a_host_the_stand_in_speaks_or_it_is_said_why(tmp_path: Path) -> None:
    alone = SpeechT5Synthesizer(EngineSpec(FACTORY, {"model": str(tmp_path)}))
    with pytest.raises(HostError, match="give an existing directory"):
        alone.start()  # an empty directory
    with pytest.raises(HostError):
        list(alone.stream(TEXT, "priya"))
    alone.close()


def test_unknown_names_and_empty_text(good: Path, tmp_path: Path) -> None:
    with served(good, tmp_path) as synthesizer:
        with pytest.raises(ValueError, match="arjun, ravi, priya, lakshmi"):
            list(synthesizer.stream(TEXT, "nobody"))
        with pytest.raises(ValueError, match="neutral, happy"):
            list(synthesizer.stream(TEXT, "priya", "bored"))
        assert list(synthesizer.stream("...", "priya")) == []
        with pytest.raises(ValueError, match="2000 are possible"):
            list(synthesizer.stream("క" * 2_100, "priya"))
        assert synthesizer.replaced == 0


async def spoken(synthesizer: SpeechT5Synthesizer, times: int = 1) -> list[Frame]:
    service = SpeechT5Service(synthesizer, voice="priya", emotion="neutral")
    sent: list[Frame] = [TTSSpeakFrame(TEXT), SleepFrame(sleep=2.0)] * times
    down, _ = await run_test(service, frames_to_send=sent)
    return list(down)


async def test_the_service_speaks_and_marks_every_word(good: Path, tmp_path: Path) -> None:
    with served(good, tmp_path) as synthesizer:
        down = await spoken(synthesizer)
    assert any(isinstance(frame, TTSAudioRawFrame) for frame in down)
    words = [f.text for f in down if isinstance(f, TTSTextFrame)]
    assert words == TEXT.split()
    assert not any(isinstance(frame, RTVIServerMessageFrame) for frame in down)
    assert any(isinstance(frame, AggregatedTextFrame) for frame in down)


async def test_the_page_is_told_who_stood_in(lost: Path, tmp_path: Path) -> None:
    with served(lost, tmp_path, never_stops=True) as synthesizer:
        down = await spoken(synthesizer)
    told = [f.data for f in down if isinstance(f, RTVIServerMessageFrame)]
    assert len(told) == 1
    assert told[0] == {**told[0], "type": "voice", "id": "espeak-ng", "fallback": True}
    assert "lost its place" in told[0]["reason"]
    assert [f.text for f in down if isinstance(f, TTSTextFrame)] == TEXT.split()


async def test_the_page_is_told_when_the_model_speaks_again(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(good, tmp_path) as synthesizer:
        hosted, calls = synthesizer._hosted, iter((1, 2, 3))

        def first_time_away(*args):
            if next(calls) == 1:
                raise HostError("away")
            return hosted(*args)

        monkeypatch.setattr(synthesizer, "_hosted", first_time_away)
        down = await spoken(synthesizer, times=3)
    told = [f.data for f in down if isinstance(f, RTVIServerMessageFrame)]
    assert told == [
        {"type": "voice", "id": "espeak-ng", "fallback": True, "reason": "SpeechT5: away"},
        {"type": "voice", "id": "SpeechT5", "fallback": False, "reason": ""},
    ]
