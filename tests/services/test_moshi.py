"""The speech-to-speech service between a host's door and Pipecat's frames."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    SpeechOutputAudioRawFrame,
    TTSTextFrame,
)
from pipecat.tests.utils import SleepFrame, run_test

from models.host_client import HostClient, HostError, Stream
from models.host_server import HostServer, bind
from services.backlog import LONG, Backlog
from services.moshi import MoshiService
from tests.models.scripted_host import FRAME, TOKENS, ScriptedHost

# Tokens a, b, ... of the script: pieces of two Telugu words, one of them cut inside a letter.
PIECES = (
    [b""] * 10
    + [
        " నమ".encode(),  # a
        "స్కారం".encode(),  # b
        " మీ".encode(),  # c
        "రు".encode()[:4],  # d
        "రు".encode()[4:],  # e
    ]
)


@asynccontextmanager
async def opened(path: Path, script: str, **host: int) -> AsyncIterator[Stream]:
    """A stream on a scripted engine behind a real door, served in a thread."""
    address = f"ipc://{path}/door"
    socket = bind(address)
    over = threading.Event()

    def serve() -> None:
        server = HostServer(socket, ScriptedHost(**host))
        while not over.is_set():
            server.step()
        socket.close(linger=0)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        async with HostClient(address) as client:
            yield await client.open({"script": script})
    finally:
        over.set()
        thread.join()


async def played(
    path: Path, script: str, seconds: float, **host: int
) -> tuple[list[Frame], list[HostError | None], dict[str, float]]:
    """What the service pushes while a caller is silent for so long."""
    ends: list[HostError | None] = []

    async def on_end(fault: HostError | None) -> None:
        ends.append(fault)

    async with opened(path, script, **host) as stream:
        service = MoshiService(stream, PIECES, on_end, lambda: None)
        packet = InputAudioRawFrame(bytes(640), 16000, 1)
        sent: list[Frame] = [packet, packet, SleepFrame(sleep=seconds)]
        down, _ = await run_test(service, frames_to_send=sent)
        return list(down), ends, stream.counters


def texts(frames: list[Frame]) -> list[str]:
    return [f.text for f in frames if isinstance(f, LLMTextFrame)]


def sound(frames: list[Frame]) -> np.ndarray:
    """Loudness of every frame that went out."""
    out = [f for f in frames if isinstance(f, SpeechOutputAudioRawFrame)]
    return np.array([np.abs(np.frombuffer(f.audio, "<i2").astype(int)).max() for f in out])


async def test_words_and_letters_come_whole(tmp_path: Path) -> None:
    down, _, _ = await played(tmp_path, "..ABCDE" + "." * 20, 2.6)
    shown = texts(down)
    assert "".join(shown).strip() == "నమస్కారం మీరు"
    assert not any("\ufffd" in text for text in shown)
    words = [f.text for f in down if isinstance(f, TTSTextFrame)]
    assert words == ["నమస్కారం", "మీరు"]
    kinds = [type(f) for f in down]
    assert kinds.count(LLMFullResponseStartFrame) == kinds.count(LLMFullResponseEndFrame) == 1
    assert kinds.index(LLMFullResponseStartFrame) < kinds.index(LLMTextFrame)
    assert TOKENS["e"] < len(PIECES)


async def test_an_answer_ends_with_quiet_and_another_begins(tmp_path: Path) -> None:
    down, _, _ = await played(tmp_path, "AB" + "." * 14 + "CDE" + "." * 14, 3.2)
    kinds = [type(f) for f in down]
    assert kinds.count(LLMFullResponseStartFrame) == 2
    assert kinds.count(LLMFullResponseEndFrame) == 2


async def test_idle_noise_of_the_codec_is_silence_to_the_caller(tmp_path: Path) -> None:
    down, _, _ = await played(tmp_path, "~~~~A" + "~" * 10, 1.6)
    levels = sound(down)
    assert (levels[:4] == 0).all()
    assert levels[4] > 1000
    assert (levels[-3:] == 0).all()
    assert {len(f.audio) for f in down if isinstance(f, SpeechOutputAudioRawFrame)} == {2 * FRAME}


async def test_the_caller_is_heard_at_the_codec_s_rate(tmp_path: Path) -> None:
    _, ends, counters = await played(tmp_path, "", 0.3)
    assert counters["heard"] == 2 * 320 * 3 // 2
    assert ends == []  # the call ended first


async def test_a_fault_of_the_model_is_told_once_and_after_its_last_words(tmp_path: Path) -> None:
    down, ends, counters = await played(tmp_path, "AB!", 0.8)
    assert [str(fault) for fault in ends] == ["the script says so"]
    assert "".join(texts(down)).strip() == "నమస్కారం"
    assert counters["missed"] == 7


@pytest.mark.timeout(60)
async def test_silence_makes_up_for_a_stall(tmp_path: Path) -> None:
    """Half a second of frames at once: without it the caller would hear everything later."""
    down, _, _ = await played(tmp_path, "", 2.4, burst_after=8, burst=6)
    assert len(sound(down)) < 2.4 / 0.08 - 2


async def test_speech_is_never_left_out(tmp_path: Path) -> None:
    down, _, _ = await played(tmp_path, "A" * 60, 2.4, burst_after=8, burst=6)
    assert len(sound(down)) >= 2.4 / 0.08 - 4


def test_the_backlog_empties_in_real_time() -> None:
    now = [0.0]
    backlog = Backlog(24000, lambda: now[0])
    for _ in range(3):
        backlog.add(1920)
    assert not backlog.short
    now[0] += 0.16
    assert backlog.waiting == pytest.approx(1920)
    assert backlog.short
    now[0] += 10.0
    assert backlog.waiting == 0
    assert 0.08 < LONG < 0.24
