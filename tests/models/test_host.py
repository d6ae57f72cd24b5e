"""Host processes with real engines in them: killed, stopped, refused, overrun, orphaned."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
import zmq.asyncio

from models import host_messages as m
from models.espeak import Espeak
from models.host import EngineSpec, Host
from models.host_client import (
    HostClient,
    HostLost,
    Stream,
    StreamBroken,
    StreamClosed,
    StreamOverrun,
    StreamRefused,
)
from models.host_server import WITH_PARENT, HostServer, bind
from tests.models.espeak_host import EspeakHost

pytestmark = pytest.mark.timeout(300)

SPEECH = EngineSpec("tests.models.espeak_host:EspeakHost")
DUPLEX = EngineSpec("tests.models.tiny_moshi:tiny_host", {"slots": 2})
TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు?"
FRAME = m.Chunk(pcm=bytes(2 * 1920))
STUCK = 0.5  # seconds a turn of the event loop may take beyond what the machine itself takes
START = 200.0  # seconds an engine may take to load where every core is taken


@asynccontextmanager
async def running(spec: EngineSpec | str, **options: float) -> AsyncIterator[Host]:
    host = Host(spec, **options)
    host.start()
    try:
        await asyncio.wait_for(host.wait_ready(), START)
        yield host
    finally:
        await host.close()


@asynccontextmanager
async def loop_watched() -> AsyncIterator[None]:
    """Fails when anything inside kept the event loop from turning while a thread still ran."""
    loop_gap, machine_gap, over = 0.0, 0.0, threading.Event()

    def machine() -> None:
        nonlocal machine_gap
        while not over.is_set():
            before = time.monotonic()
            time.sleep(0.01)
            machine_gap = max(machine_gap, time.monotonic() - before)

    async def turn() -> None:
        nonlocal loop_gap
        while not over.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            loop_gap = max(loop_gap, time.monotonic() - before)

    thread, task = threading.Thread(target=machine), asyncio.create_task(turn())
    thread.start()
    try:
        yield
    finally:
        over.set()
        await task
        thread.join()
    assert loop_gap < machine_gap + STUCK


async def until(condition: Callable[[], bool], seconds: float = START) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for is in another process)
            await asyncio.sleep(0.02)


async def collect(stream: Stream) -> list[m.Chunk]:
    return [chunk async for chunk in stream]


async def flood(stream: Stream) -> None:
    """More than any queue between here and the engine holds."""
    for _ in range(20 * m.WAITING):
        await stream.push(m.Chunk(text=TEXT))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A host of nobody: a speech engine at an address, as a second front process finds it."""
    address = f"ipc://{tmp_path}/door"
    process = subprocess.Popen(
        [sys.executable, "-m", "models.host_server", address, SPEECH.factory, "{}", WITH_PARENT],
        stdin=subprocess.PIPE,
    )
    yield process, address
    assert process.stdin is not None
    process.stdin.close()
    process.kill()
    process.wait()


def loudness(pcm: np.ndarray) -> np.ndarray:
    """RMS of the first 100 blocks of 20 ms at 22,050 Hz."""
    return np.sqrt(np.square(pcm[: 441 * 100].reshape(100, 441).astype(float)).mean(axis=1))


async def test_text_becomes_speech_in_another_process() -> None:
    async with running(SPEECH) as host:
        stream = await host.open({"voice": "ravi"})
        await stream.push(m.Chunk(text=TEXT))
        await stream.finish()
        heard = np.frombuffer(b"".join([c.pcm for c in await collect(stream)]), np.int16)
        # espeak's flutter runs freely: the same text varies by a few milliseconds.
        here = np.concatenate(list(Espeak().stream(TEXT, "ravi")))
        assert abs(len(heard) - len(here)) < 0.02 * len(here)
        assert np.corrcoef(loudness(heard), loudness(here))[0, 1] > 0.95
        assert stream.reason == "finished"
        assert stream.counters == {"samples": len(heard)}
        with pytest.raises(StreamClosed, match="finished"):
            await stream.push(m.Chunk(text=TEXT))
        audio = await host.open({})
        await audio.push(FRAME)
        with pytest.raises(StreamBroken, match="text, not audio"):
            await collect(audio)
        assert host.health.state == "ready"
        assert host.health.pid != os.getpid()
    assert host.health.state == "stopped"


async def test_killed_in_mid_call_it_ends_its_streams_and_comes_back() -> None:
    async with running(SPEECH) as host, loop_watched():
        one, other = await host.open({"voice": "ravi"}), await host.open({})
        await one.push(m.Chunk(text=TEXT))
        assert (await anext(aiter(one))).pcm
        pid = host.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for stream in (one, other):
            with pytest.raises(HostLost, match="signal 9"):
                await collect(stream)
            with pytest.raises(HostLost, match="signal 9"):
                await stream.push(m.Chunk(text=TEXT))
        with pytest.raises(HostLost, match="signal 9"):
            await host.open({})
        assert host.health.state == "starting"
        assert host.health.reason is not None

        await until(lambda: host.health.state == "ready")
        assert host.health.restarts == 1
        assert host.health.pid != pid
        again = await host.open({})
        await again.push(m.Chunk(text=TEXT))
        await again.finish()
        assert len(await collect(again)) > 5


async def test_duplex_calls_in_a_process_of_their_own() -> None:
    async with running(DUPLEX) as host:
        one, other = await host.open({"voice": "a"}), await host.open({"emotion": "calm"})
        with pytest.raises(StreamRefused, match="all 2 places are taken") as refused:
            await host.open({})
        assert refused.value.retry_after
        for options, complaint in (
            ({"voice": "robot"}, "robot"),
            ({"speed": 2.0}, "unknown option 'speed'"),
            ({"voice": 1.0}, "a voice is a name"),
        ):
            with pytest.raises(StreamRefused, match=complaint) as refused:
                await host.open(options)
            assert refused.value.retry_after is None
        await other.push(m.Chunk(pcm=b"odd"))
        with pytest.raises(StreamBroken, match="odd number"):
            await collect(other)
        for _ in range(3):
            await one.push(FRAME)
        await one.finish()
        chunks = await collect(one)
        assert all(len(c.pcm) == len(FRAME.pcm) and len(c.tokens) == 1 for c in chunks)
        assert one.counters["fed"] == one.counters["given"] == len(chunks)
        # Silence is the acoustic delay, and whatever this machine was late with.
        assert len(chunks) == 3 + one.counters["silence"] - one.counters["dropped"]


async def test_a_host_that_hangs_is_replaced() -> None:
    async with running(SPEECH, silence=1.5) as host, loop_watched():
        stream = await host.open({})
        pid = host.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HostLost, match="said nothing for"):
            await collect(stream)
        await until(lambda: host.health.state == "ready")
        assert host.health.pid != pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_pushing_at_a_host_that_does_not_read_ends_instead_of_growing() -> None:
    async with running(SPEECH, silence=120.0) as host, loop_watched():
        stream = await host.open({})
        pid = host.health.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(HostLost, match="does not read"):
            await flood(stream)
        await until(lambda: host.health.state == "ready")
        assert host.health.pid != pid


async def test_an_engine_that_cannot_be_loaded_says_why() -> None:
    host = Host(EngineSpec(SPEECH.factory, {"weights": "nowhere"}))
    host.start()
    try:
        with pytest.raises(HostLost, match="TypeError: .*(weights|no arguments)"):
            await asyncio.wait_for(host.wait_ready(), START)
        assert host.health.state == "starting"  # it keeps trying: weights may yet arrive
        assert host.health.reason is not None
    finally:
        await host.close()


async def test_a_slow_reader_loses_its_own_stream_only() -> None:
    async with running(SPEECH) as host:
        slow, quick = await host.open({}), await host.open({})
        await slow.push(m.Chunk(text=TEXT * 12))
        await until(lambda: slow.reason is not None)
        with pytest.raises(StreamOverrun, match="not read"):
            await collect(slow)
        await quick.push(m.Chunk(text=TEXT))
        await quick.finish()
        assert await collect(quick)
        await until(lambda: host.health.engine["streams"] == 0)


async def test_two_fronts_share_a_host(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, address = server
    async with HostClient(address) as mine, running(address) as theirs:
        await asyncio.wait_for(mine.ready.wait(), START)
        stream, other = await mine.open({}), await theirs.open({})
        assert stream.number == other.number  # numbers are each front's own
        await stream.push(m.Chunk(text=TEXT))
        await stream.finish()
        await theirs.close()
        assert other.reason == "closed"
        assert len(await collect(stream)) > 5
        process.kill()
        await until(lambda: mine.lost is None, 1)  # nobody watches this process: only silence tells
        await mine.close()


async def test_a_front_that_vanishes_frees_its_streams(tmp_path: Path) -> None:
    """Without a goodbye: found out by the next output, or by the silence."""
    now = [0.0]
    socket = bind(f"ipc://{tmp_path}/door")
    server = HostServer(socket, EspeakHost(), clock=lambda: now[0], silence=5.0)

    def front(*messages: m.FromClient) -> zmq.Socket:
        dealer = zmq.Context.instance().socket(zmq.DEALER)
        dealer.connect(f"ipc://{tmp_path}/door")
        for message in messages:
            dealer.send(m.encode(message))
        return dealer

    speaking = front(m.Open(1, {}), m.Push(1, m.Chunk(text=TEXT)))
    silent = front(m.Open(1, {}))
    while len(server._peers) < 2:
        await asyncio.to_thread(server.step)
    assert m.decode_host(silent.recv()) == m.Opened(1)
    assert server._engine.health() == {"streams": 2}
    speaking.close(linger=0)
    while server._engine.health() == {"streams": 2}:
        await asyncio.to_thread(server.step)
    now[0] = 5.1
    await asyncio.to_thread(server.step)
    assert server._engine.health() == {"streams": 0}
    silent.send(m.encode(m.Push(1, m.Chunk(text=TEXT))))
    await asyncio.to_thread(server.step)
    assert m.decode_host(silent.recv()) == m.Ended(1, "no such stream", fault=True)
    silent.close(linger=0)
    socket.close(linger=0)


def test_an_engine_that_breaks_tells_its_streams(tmp_path: Path) -> None:
    socket = bind(f"ipc://{tmp_path}/door")
    dealer = zmq.Context.instance().socket(zmq.DEALER)
    dealer.connect(f"ipc://{tmp_path}/door")
    for message in (m.Open(1, {"voice": "nobody"}), m.Open(2, {}), m.Push(1, m.Chunk(text=TEXT))):
        dealer.send(m.encode(message))
    with pytest.raises(ValueError, match="nobody"):
        HostServer(socket, EspeakHost()).run()
    heard = [m.decode_host(dealer.recv()) for _ in range(4)]
    assert heard[:2] == [m.Opened(1), m.Opened(2)]
    for number, message in enumerate(heard[2:], start=1):
        assert isinstance(message, m.Ended)
        assert (message.stream, message.fault) == (number, True)
        assert "the engine broke: ValueError" in message.reason
    dealer.close(linger=0)
    socket.close(linger=0)


async def test_junk_is_refused_at_the_edge(server: tuple[subprocess.Popen[bytes], str]) -> None:
    _, address = server
    dealer = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    dealer.connect(address)
    for junk in (b"", b"\xc1", b"GET / HTTP/1.1", m.encode({"is": "open", "stream": "one"})):
        await dealer.send(junk)
    await dealer.send_multipart([b"two", b"parts"])
    await dealer.send(m.encode(m.Push(7, FRAME)))
    async with asyncio.timeout(START):
        assert m.decode_host(await dealer.recv()) == m.Ended(7, "no such stream", fault=True)
    dealer.close(linger=0)


def test_a_host_does_not_outlive_who_started_it(
    server: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, _ = server
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=START) == 0


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://127.0.0.1", "ipc://door", "inproc://x"]
)
def test_no_door_opens_to_the_network(address: str) -> None:
    with pytest.raises(ValueError, match="must be ipc"):
        m.require_local(address)


@pytest.mark.parametrize("address", ["ipc:///tmp/door", "tcp://127.0.0.1:5555", "tcp://[::1]:5555"])
def test_doors_on_this_machine(address: str) -> None:
    assert m.require_local(address) == address
