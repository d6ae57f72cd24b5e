"""Moshi's own protocol through a real server and a real host, called by the stock client's code.

Of the installed `moshi.client` everything runs but the sound card, which is in memory here.
"""

import asyncio
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sphn
import uvicorn
import websockets
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection

from models.audio import to_float32
from models.host import EngineSpec, Host
from models.host_client import Stream
from models.host_messages import Chunk
from models.telugu.captions import CaptionStream, piece_bytes
from models.telugu.standard import complete
from pipelines import moshi_chat
from pipelines.moshi_chat import MAX_REJECTED, chat
from pipelines.moshi_wire import SOUNDLESS, Kind
from tests.live import say
from tests.pipelines.moshi_caller import FRAME, RATE, SoundCard, StockClient, opus

pytestmark = pytest.mark.timeout(300)

SLOTS = 2
START = 200.0  # seconds the host may take to load where every core is taken
SPEECH = "మీరు చెప్పేది నాకు బాగా వినిపిస్తోంది"
# 50 pieces for the tiny model: letters, signs without their letter, and the bytes of one letter.
SYLLABLES = ["▁న", "స్", "కా", "ర", "ం", "్", "ి", "ు", "▁మ", "ా", "ట", "క్", "ష", "ే", "▁ఎ", "ల"]
LETTER = ["<0xE0>", "<0xB0>", "<0x95>", "ో", "ఉ", "న్న", "▁ok"]
PIECES = [b""] * 4 + [piece_bytes(piece) for piece in 2 * (SYLLABLES + LETTER)]


class Overheard(Host):
    """A host that remembers what goes through the door, for comparison with what callers get."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.taken: list[list[Chunk]] = []  # of each stream, what it was given
        self.given: list[list[Chunk]] = []  # of each stream, what it answered

    async def open(self, *args: Any, **options: Any) -> Stream:
        stream = await super().open(*args, **options)
        taken, given = [], []
        push, give = stream.push, stream.give

        async def heard(chunk: Chunk) -> None:
            taken.append(chunk)
            await push(chunk)

        def said(chunk: Chunk) -> bool:
            given.append(chunk)
            return give(chunk)

        stream.push, stream.give = heard, said
        self.taken.append(taken)
        self.given.append(given)
        return stream


class Served:
    """A server that mounts the chat, with a host of its own, on a thread and loop of its own."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.host: Overheard
        self.loop: asyncio.AbstractEventLoop
        self.begun = 0
        self.outcomes: list[str] = []
        self.counters: list[Any] = []
        config = uvicorn.Config(
            self._app(),
            port=0,
            log_level="error",
            ws_max_size=64 * 1024,
            ws_ping_interval=2,
            ws_ping_timeout=8,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def _app(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            self.loop = asyncio.get_running_loop()
            self.host = Overheard(self.spec)
            self.host.start()
            yield
            await self.host.close()

        app = FastAPI(lifespan=lifespan)

        async def mounted(websocket: WebSocket) -> None:
            self.begun += 1
            query = dict(websocket.query_params)
            if "accept" in query:
                await websocket.accept()
            limits = {key: float(query[key]) for key in ("longest", "idle") if key in query}
            options = {key: query[key] for key in ("voice", "emotion") if key in query}
            outcome = await chat(
                websocket, self.host, PIECES, options, count=self.counters.append, **limits
            )
            self.outcomes.append(outcome)

        app.add_api_websocket_route("/api/chat", mounted)
        return app

    def __enter__(self) -> "Served":
        self._thread.start()
        wait(lambda: self._server.started)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        wait(lambda: self.host.health.state == "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/chat"

    @property
    def calls(self) -> int:
        """How many chats there are; one that is over has its place in the engine freed."""
        return self.begun - len(self.outcomes)


def wait(condition: Callable[[], Any], seconds: float = START) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for happens on other threads)
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(EngineSpec("tests.models.tiny_moshi:tiny_host", {"slots": SLOTS})) as server:
        yield server


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A sentence at 24 kHz, float32."""
    import soxr

    return soxr.resample(to_float32(say(SPEECH)), 16_000, RATE)


@pytest.fixture
def call(
    served: Served, speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], StockClient]:
    """Makes calls with the stock client; each has its speaker in `card.recorded`."""
    card = SoundCard(speech)
    # The real one cannot even be imported where there is no PortAudio.
    monkeypatch.setitem(sys.modules, "sounddevice", ModuleType("sounddevice"))
    client = importlib.import_module("moshi.client")
    monkeypatch.setattr(client, "sd", card)
    return lambda: StockClient(client, card, served.port)


@asynccontextmanager
async def raw(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A caller who can also misbehave; past the handshake."""
    async with websockets.connect(url, max_size=2**20, **options) as socket:
        assert await asyncio.wait_for(socket.recv(), 30) == b"\x00"
        yield socket


async def ended(socket: ClientConnection) -> tuple[int | None, str, list[bytes]]:
    """Reads to the end: close code, reason, and the messages that are no audio."""
    said: list[bytes] = []
    async with asyncio.timeout(30):
        with suppress(websockets.ConnectionClosed):
            while True:
                message = await socket.recv()
                assert isinstance(message, bytes)
                if message[0] not in (Kind.HANDSHAKE, Kind.AUDIO):
                    said.append(message)
        await socket.wait_closed()
    return socket.close_code, socket.close_reason or "", said


async def answers(socket: ClientConnection, messages: int = 5) -> None:
    """Audio goes on coming."""
    async with asyncio.timeout(30):
        while messages:
            messages -= (await socket.recv())[0] == Kind.AUDIO


async def all_free(served: Served) -> None:
    await until(lambda: served.calls == 0)
    await until(lambda: served.host.health.engine.get("calls", 0) == 0)


def likeness(one: np.ndarray, other: np.ndarray, delays: int = 400) -> float:
    """The greatest correlation of `other` with `one` delayed by 0 to `delays` samples."""
    length = min(len(one), len(other)) - delays
    assert length > RATE // 2
    return max(float(np.corrcoef(one[d : d + length], other[:length])[0, 1]) for d in range(delays))


def pcm_of(chunks: list[Chunk]) -> np.ndarray:
    return to_float32(np.frombuffer(b"".join(chunk.pcm for chunk in chunks), dtype="<i2"))


async def test_the_stock_client_hears_what_the_model_says_and_is_heard(
    served: Served, speech: np.ndarray, call: Callable[[], StockClient]
) -> None:
    await all_free(served)
    at, counted = len(served.host.given), len(served.counters)
    client = call()
    await until(lambda: client.card.recorded and len(client.card.heard()) > 4 * RATE)
    await client.hang_up()
    await all_free(served)
    taken, given = served.host.taken[at], served.host.given[at]

    # Opus takes 6.5 ms of delay, and of a voice it keeps the waveform.
    assert likeness(pcm_of(taken)[: len(speech)], speech) > 0.9
    heard = client.card.heard()
    # The untrained model's noise fares worse, so: also to the sample what Opus makes of it.
    assert likeness(heard, pcm_of(given)) > 0.6
    reader = sphn.OpusStreamReader(RATE)
    coded = np.concatenate([reader.append_bytes(ogg) for ogg in opus(pcm_of(given))])
    assert len(given) - 25 < len(heard) / FRAME <= len(given)
    assert np.array_equal(heard, coded[: len(heard)])

    captions = CaptionStream(PIECES)
    said = "".join(captions.token(token) for chunk in given for token in chunk.tokens)
    assert len(client.text) > 5
    assert said.startswith(client.text)
    assert "Lost connection" not in client.log
    assert client.log.count("unknown message kind") == 1  # the handshake, which it does not know
    assert served.outcomes[-1] == "hung up"
    assert served.counters[counted]["fed"] >= len(heard) / FRAME


async def test_words_never_end_within_a_letter(served: Served) -> None:
    async with raw(served.url) as socket:
        texts: list[str] = []
        async with asyncio.timeout(30):
            while len(texts) < 8:
                message = await socket.recv()
                assert isinstance(message, bytes)
                if message[0] == Kind.TEXT:
                    texts.append(message[1:].decode())  # raises within a letter's bytes
    for n in range(1, len(texts)):
        shown = "".join(texts[:n])
        joined = shown + texts[n]
        assert all(texts)
        assert complete(joined)[: len(shown)] == shown
    assert "<0x" not in "".join(texts)


async def test_calls_at_the_same_time_until_the_places_are_taken(
    served: Served, call: Callable[[], StockClient]
) -> None:
    await all_free(served)
    one = call()
    await until(lambda: one.card.recorded and len(one.card.heard(0)))
    other = call()
    await until(lambda: len(other.card.recorded) == 2 and len(other.card.heard(1)))

    before = len(served.outcomes)
    third = call()
    await asyncio.wait_for(third.running, 30)  # its connection is closed
    assert f"[all {SLOTS} places are taken; try again in" in third.text
    async with websockets.connect(served.url) as socket:
        code, reason, said = await ended(socket)
    assert code == 4429
    assert reason.startswith(f"all {SLOTS} places are taken; try again in")
    await until(lambda: served.outcomes[before:] == ["full", "full"])
    assert said == [b"\x05" + reason.encode(), b"\x02 [" + reason.encode() + b"]"]

    length = [len(one.card.heard(speaker)) for speaker in (0, 1)]
    await until(lambda: all(len(one.card.heard(n)) > length[n] + RATE for n in (0, 1)))
    await one.hang_up()
    await until(lambda: served.calls == 1)
    fourth = call()
    await until(lambda: len(fourth.card.recorded) == 4 and len(fourth.card.heard(3)) > RATE)
    assert not other.running.done()
    await other.hang_up()
    await fourth.hang_up()
    await all_free(served)


async def test_sampling_parameters_are_let_be_and_voices_chosen(served: Served) -> None:
    await all_free(served)
    before = len(served.outcomes)
    query = (
        "text_temperature=0.7&text_topk=25&audio_seed=1&pad_mult=0&voice=b&emotion=calm&accept=1"
    )
    async with raw(f"{served.url}?{query}") as socket:
        await answers(socket)
    async with websockets.connect(f"{served.url}?voice=robot") as socket:
        code, reason, _ = await ended(socket)
    assert code == 4400
    assert "robot" in reason
    await all_free(served)
    assert sorted(served.outcomes[before:]) == ["hung up", "refused"]


async def test_what_means_nothing_is_ignored(served: Served, speech: np.ndarray) -> None:
    await all_free(served)
    async with raw(served.url) as socket:
        for _ in range(3):
            await socket.send("text where bytes belong")
            await socket.send(b"")
            for kind in (0, 2, 3, 4, 5, 6, 7, 8, 255):
                await socket.send(bytes([kind]) + b"\x00\xff")
            await socket.send(b"\x01")
        for ogg in opus(speech[: 10 * FRAME]):
            await socket.send(b"\x01" + ogg)
        await answers(socket)
    await all_free(served)
    assert served.outcomes[-1] == "hung up"
    taken = served.host.taken[-1]
    assert likeness(pcm_of(taken), speech[: 10 * FRAME]) > 0.9


async def flood(socket: ClientConnection) -> None:
    for _ in range(MAX_REJECTED):
        await socket.send(b"\xffnonsense")


async def no_ogg(socket: ClientConnection) -> None:
    await socket.send(b"\x01garbage" * 50)


async def broken_ogg(socket: ClientConnection) -> None:
    for ogg in opus(np.random.default_rng(0).normal(0, 0.1, 4 * FRAME).astype(np.float32)):
        await socket.send(b"\x01" + ogg[:-40])


async def soundless(socket: ClientConnection) -> None:
    """One page after the other, of one packet that never ends (RFC 3533, 6)."""
    page = b"OggS\x00\x01" + bytes(8 + 4 + 4 + 4) + b"\xff" + b"\xff" * 255 + bytes(255 * 255)
    await socket.send(b"\x01" + opus(np.zeros(FRAME, dtype=np.float32))[0])
    for _ in range(SOUNDLESS // len(page) + 2):
        for start in range(0, len(page), 32 * 1024):
            await socket.send(b"\x01" + page[start : start + 32 * 1024])


async def fast(socket: ClientConnection) -> None:
    """45 s of silence at once, in messages as long as they may be."""
    ogg = b"".join(opus(np.zeros(45 * RATE, dtype=np.float32)))
    for start in range(0, len(ogg), 60_000):
        await socket.send(b"\x01" + ogg[start : start + 60_000])


async def too_long(socket: ClientConnection) -> None:
    await socket.send(b"\x01" + bytes(64 * 1024))


@pytest.mark.parametrize(
    ("send", "code", "words"),
    [
        (flood, 4400, "too many bad messages; the last: a message of unknown kind 255"),
        (no_ogg, 4400, "not Opus in Ogg"),
        (broken_ogg, 4400, "not Opus in Ogg"),
        (soundless, 4400, "held no sound"),
        (fast, 4400, "faster than real time"),
        (too_long, 1009, ""),
    ],
)
async def test_what_no_caller_would_send_ends_his_own_call_with_the_reason(
    served: Served, send: Callable[[ClientConnection], Awaitable[None]], code: int, words: str
) -> None:
    await all_free(served)
    async with raw(served.url) as other:
        async with raw(served.url) as socket:
            with suppress(websockets.ConnectionClosed):
                await send(socket)
            closed, reason, _ = await ended(socket)
        assert closed == code
        assert words in reason
        await answers(other)
    await all_free(served)
    # A caller cut off by the web server has hung up, as far as a chat can see.
    assert sorted(served.outcomes[-2:]) == sorted(
        ["hung up", "bad input" if code == 4400 else "hung up"]
    )


async def test_a_caller_who_reads_nothing_loses_his_place(served: Served) -> None:
    await all_free(served)
    socket = await websockets.connect(served.url)
    socket.transport.pause_reading()
    assert served.calls == 1
    await until(lambda: served.calls == 0, 60)
    assert served.outcomes[-1] == "hung up"  # the web server closed on him
    socket.transport.abort()


@pytest.mark.parametrize("limit", ["longest", "idle"])
async def test_chats_end_when_they_must(served: Served, limit: str) -> None:
    await all_free(served)
    async with raw(f"{served.url}?{limit}=1.5") as socket:
        started = time.monotonic()
        # Audio is no excuse for the one, and other messages are none for the other.
        while limit == "longest" and time.monotonic() < started + 1:
            for ogg in opus(np.zeros(FRAME, dtype=np.float32)):
                await socket.send(b"\x01" + ogg)
            await asyncio.sleep(0.1)
        await socket.send(b"\x06")
        code, reason, _ = await ended(socket)
    assert code == 4408
    assert "0.025 minutes" in reason
    await all_free(served)
    assert served.outcomes[-1] == {"longest": "too long", "idle": "idle"}[limit]


async def test_a_host_that_dies_ends_its_chats_and_comes_back(
    served: Served, call: Callable[[], StockClient]
) -> None:
    await all_free(served)
    client = call()
    await until(lambda: client.card.recorded and len(client.card.heard()) > RATE)
    async with raw(served.url) as socket:
        pid = served.host.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        code, reason, _ = await ended(socket)
    assert code == 4503
    assert "signal 9" in reason
    await asyncio.wait_for(client.running, 30)
    assert "signal 9" in client.text
    async with websockets.connect(served.url) as socket:  # while it is away
        assert (await ended(socket))[0] == 4503
    await until(lambda: served.calls == 0)
    assert served.outcomes[-3:] == ["engine lost"] * 3
    await until(lambda: served.host.health.state == "ready", START)
    async with raw(served.url) as socket:
        await answers(socket)


async def test_an_engine_that_ends_the_stream_is_quoted(speech: np.ndarray) -> None:
    """An engine of another kind, which cannot take audio and says so."""
    with Served(EngineSpec("tests.models.espeak_host:EspeakHost")) as served:
        async with raw(served.url) as socket:
            for ogg in opus(speech[: 10 * FRAME]):
                with suppress(websockets.ConnectionClosed):
                    await socket.send(b"\x01" + ogg)
            code, reason, _ = await ended(socket)
        assert code == 4500
        assert "text, not audio" in reason
        await until(lambda: served.outcomes == ["engine failed"])


async def test_a_send_that_waits_too_long_frees_the_place(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real chat on the real host, on a web server whose buffers are full from some send on."""
    await all_free(served)
    monkeypatch.setattr(moshi_chat, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(moshi_chat, "PARTING_SECONDS", 0.5)
    sent: list[Any] = []
    events = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        return next(events, None) or await asyncio.Event().wait()

    async def send(event: Any) -> None:
        sent.append(event)
        if len(sent) > 3:  # accepted, handshake, and a frame
            await asyncio.Event().wait()

    scope = {"type": "websocket", "path": "/api/chat", "headers": []}
    chatting = chat(WebSocket(scope, receive, send), served.host, PIECES, {})
    outcome = asyncio.run_coroutine_threadsafe(chatting, served.loop)
    assert await asyncio.wait_for(asyncio.wrap_future(outcome), 30) == "not reading"
    await all_free(served)
