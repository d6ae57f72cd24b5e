"""Calls in Moshi's protocol to a scripted server with known times: one ruler for both wires."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import sphn
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.caller import Call, place_call
from benchmarks.caller.dialect import dialect_of, is_moshi
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.moshi_line import MoshiDialect, Upsampler, codec_delay
from benchmarks.caller.playback import DEFAULT_JITTER_MS
from benchmarks.caller.wire import IN_RATE, OUT_RATE, Audio, Message, WireError
from benchmarks.ruler.recording import Utterance
from models.audio import speech_end, to_float32
from pipelines.moshi_wire import AnswerAudio, CallerAudio, error_message, text_message
from tests.benchmarks.scripted_server import silence, tone

FRAME = OUT_RATE * 80 // 1000
QUICK = Manners(lead_in_ms=100, answer_over_ms=300, answer_timeout_s=3)


@dataclass
class Chat:
    """One call as a scripted server of 80 ms frames lived it; monotonic times."""

    socket: ServerConnection
    reader: sphn.OpusStreamReader = field(default_factory=lambda: sphn.OpusStreamReader(OUT_RATE))
    writer: sphn.OpusStreamWriter = field(default_factory=lambda: sphn.OpusStreamWriter(OUT_RATE))
    origins: list[float] = field(default_factory=list)  # the caller's sample 0, by each page
    sent: list[float] = field(default_factory=list)  # when each frame of the stream was written
    answers: list[int] = field(default_factory=list)  # the frames in which answers begin
    line: list[np.ndarray] = field(default_factory=list)  # frames to say; silence when empty

    async def speak(self) -> None:
        """A frame every 80 ms, as the stock server sends them."""
        start = time.monotonic()
        n, silent = 0, True
        while True:
            await asyncio.sleep(max(0.0, start + n * 0.08 - time.monotonic()))
            frame = self.line.pop(0) if self.line else np.zeros(FRAME, np.int16)
            if silent and frame.any():
                self.answers.append(n)
            self.sent.append(time.monotonic())
            silent = not frame.any()
            await self.socket.send(b"\x01" + self.writer.append_pcm(to_float32(frame)))
            n += 1

    async def listen(self, answer: Callable[[], Awaitable[None]]) -> None:
        """Calls `answer` 200 ms after the caller's speech has ended."""
        pages, quiet, heard = 0, 0, False
        async for data in self.socket:
            assert isinstance(data, bytes)
            assert data[0] == 1
            pcm = self.reader.append_bytes(data[1:])
            if not len(pcm):  # headers
                continue
            pages += 1
            self.origins.append(time.monotonic() - pages * 0.04)
            loud = bool((np.abs(pcm) > 0.03).any())
            heard, quiet = heard or loud, 0 if loud else quiet + 40
            if heard and quiet >= 200:
                heard = False
                await answer()


Script = Callable[[Chat], Awaitable[None]]


@asynccontextmanager
async def moshi(script: Script) -> AsyncIterator[tuple[str, list[Chat]]]:
    """A server that runs `script` for every call, after the handshake."""
    chats: list[Chat] = []

    async def handle(socket: ServerConnection) -> None:
        chat = Chat(socket)
        chats.append(chat)
        speaking = asyncio.create_task(chat.speak())
        try:
            await socket.send(b"\x00")
            await script(chat)
        except ConnectionClosed:
            pass
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/api/chat", chats


def utterance() -> Utterance:
    pcm = np.concatenate((silence(70, IN_RATE), tone(400, IN_RATE), silence(130, IN_RATE)))
    return Utterance("said", pcm)


def answering(wait_frames: int) -> Script:
    """Answers so many frames after it knew that the caller had ended."""

    async def script(chat: Chat) -> None:
        async def answer() -> None:
            await chat.socket.send(text_message(" నమ"))
            await chat.socket.send(text_message("స్తే"))
            said = tone(400, OUT_RATE)
            frames = [said[at : at + FRAME] for at in range(0, len(said), FRAME)]
            chat.line += [np.zeros(FRAME, np.int16)] * wait_frames + frames

        await chat.listen(answer)

    return script


async def test_v2v_is_the_true_one_after_the_stated_correction():
    """Measured is the server's answer, the network, the jitter buffer and the codec's way back."""

    def ms(samples: int) -> float:
        return samples * 1000 / OUT_RATE

    async def transports_ms(wait_frames: int) -> tuple[list[float], Call]:
        async with moshi(answering(wait_frames)) as (url, chats):
            call = await place_call(url, [utterance(), utterance()], QUICK)
        packets, origin = call.recording.packets, min(chats[0].origins)
        sent = [1000 * (at - origin) for at in chats[0].sent]
        assert ms(packets[0].heard - packets[0].arrived) == DEFAULT_JITTER_MS
        for turn, frame in zip(call.recording.turns(), chats[0].answers, strict=True):
            assert turn.v2v_ms is not None
            assert turn.user_end_ms is not None
            assert sent[frame] > turn.user_end_ms + wait_frames * 80 + 150
            # A sudden onset is heard up to 4 ms before its time: the codec's echo ahead of it.
            measured = turn.v2v_ms - codec_delay().down_ms
            assert measured == pytest.approx(ms(packets[frame].heard) - turn.user_end_ms, abs=4.0)
        arrived = [ms(packet.arrived) for packet in packets]
        return [a - s for a, s in zip(arrived[1:], sent[1:], strict=False)], call

    results = await asyncio.gather(*(transports_ms(n) for n in (0, 3, 10)))
    late = [ms for transports, _ in results for ms in transports]
    assert -3 < min(late) < 3, late  # a busy machine holds up many frames, but not all of them
    for _, call in results:
        assert [turn.bot_text for turn in call.recording.turns()] == ["నమస్తే", "నమస్తే"]
        assert call.wire_ms == {"opus_ms": round(codec_delay().up_ms + codec_delay().down_ms, 1)}


def test_the_codec_delay_is_opus_look_ahead_and_a_whole_frame():
    """Look-ahead 6.5 ms both ways (RFC 6716: 2.5 ms, and 4 ms of SILK), 10 ms on average until a
    frame of 40 ms is full beyond the packet of 20, and 1 ms of resampling."""
    delay = codec_delay()
    assert 5 < delay.down_ms < 8
    assert 10 + 5 <= delay.up_ms <= 10 + 8 + 2.5  # measured in steps of a packet


def test_packets_are_resampled_as_one_stream():
    n = np.arange(IN_RATE)
    wave = (0.3 * 32767 * np.sin(2 * np.pi * 1000 * n / IN_RATE)).astype(np.int16)
    upsampler = Upsampler()
    out = np.concatenate([upsampler.push(wave[at : at + 320]) for at in range(0, len(wave), 320)])
    late = np.arange(OUT_RATE) - OUT_RATE // 1000
    assert np.abs(out - 0.3 * np.sin(2 * np.pi * 1000 * late / OUT_RATE))[100:].max() < 1e-3


def test_it_speaks_what_the_projects_own_server_understands():
    caller, server = MoshiDialect(), CallerAudio()
    said = np.concatenate((tone(400, IN_RATE), silence(400, IN_RATE)))
    messages = [caller.encode(said[at : at + 320]) for at in range(0, len(said), 320)]
    assert sum(m is not None for m in messages) == 21  # headers, then a page every second packet
    pcm = b"".join(piece for m in messages if m for piece in server.decode(m[1:]))
    end = speech_end(np.frombuffer(pcm, dtype="<i2"), OUT_RATE)
    assert end is not None
    assert end / OUT_RATE == pytest.approx(0.4, abs=0.05)

    answer = AnswerAudio().encode(tone(800, OUT_RATE).tobytes())
    heard = caller.decode(b"\x01" + answer)
    assert isinstance(heard, Audio)
    assert len(heard.pcm) == OUT_RATE * 800 // 1000
    assert caller.decode(b"\x00") == Message("bot-ready")
    assert caller.decode(text_message("మాట")) == Message("bot-llm-text", {"text": "మాట"})
    refusal = caller.decode(error_message("all places are taken"))
    assert refusal == Message("error", {"error": "all places are taken", "fatal": True})
    for nonsense in ("text", b"", b"\x01no Ogg at all, and longer than a page header is"):
        with pytest.raises(WireError):
            MoshiDialect().decode(nonsense)


async def test_a_server_that_is_busy_or_says_no():
    async def full(chat: Chat) -> None:
        await chat.socket.send(error_message("all places are taken"))
        await chat.socket.close(4429, "full")

    async with moshi(full) as (url, _):
        call = await place_call(url, [utterance()], QUICK)
    assert call.refused
    assert "all places are taken" in (call.ended or "")

    async def queue(socket: ServerConnection) -> None:  # the stock server, with a caller on it
        await socket.wait_closed()

    async with serve(queue, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        manners = Manners(ready_timeout_s=0.2)
        with pytest.raises(Refused, match="did not get ready"):
            await place_call(f"ws://127.0.0.1:{port}/api/chat", [utterance()], manners)


def test_the_path_tells_the_wire():
    assert is_moshi("ws://host:8998/api/chat")
    assert is_moshi("wss://host/api/chat/?text_seed=1")
    assert not is_moshi("ws://host:7860/ws?engine=s2s")
    assert isinstance(dialect_of("ws://host:8998/api/chat"), MoshiDialect)
    assert not isinstance(dialect_of("ws://host/ws"), MoshiDialect)
