"""A real WebSocket server on the loopback that answers by a script, and knows the true times.

It hears the end of the caller's speech in the samples themselves and answers so many milliseconds
later on the same machine's clock; what it really did is in `Served`, for comparison with what the
caller measured.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.wire import IN_RATE, OUT_RATE, encode_audio, encode_message, frames_pb2

CHUNK = OUT_RATE * 40 // 1000  # samples in a packet, as Pipecat sends them


def tone(ms: int, rate: int, level: float = 0.3) -> np.ndarray:
    """int16 [T]; a square wave, so that its first and last samples are as loud as the rest."""
    n = np.arange(rate * ms // 1000)
    return (np.where((n // (rate // 400)) % 2 == 0, 1, -1) * level * 32767).astype(np.int16)


def silence(ms: int, rate: int) -> np.ndarray:
    return np.zeros(rate * ms // 1000, dtype=np.int16)


def samples(data: bytes | str) -> np.ndarray:
    """The int16 samples of a caller's audio frame; none of any other frame."""
    assert isinstance(data, bytes)
    frame = frames_pb2.Frame.FromString(data)  # type: ignore[attr-defined]
    return np.frombuffer(frame.audio.audio, dtype="<i2")


@dataclass
class Served:
    """One call as the server lived it; times on the monotonic clock."""

    socket: ServerConnection
    arrivals: list[float] = field(default_factory=list)  # of each packet of the caller
    user_ends: list[int] = field(default_factory=list)  # samples at IN_RATE since the first packet
    sent: list[float] = field(default_factory=list)  # when each answer's first packet left
    close_code: int | None = None

    @property
    def origin(self) -> float:
        """The caller's time of sample 0; the earliest packet is the least delayed one."""
        return min(at - (n + 1) * 0.02 for n, at in enumerate(self.arrivals))

    def true_v2v_ms(self, turn: int) -> float:
        end = self.origin + self.user_ends[turn] / IN_RATE
        return 1000 * (self.sent[turn] - end)

    async def say(self, type_: str, data: dict) -> None:
        await self.socket.send(encode_message(type_, data, "1"))

    async def interrupt(self) -> None:
        frame = frames_pb2.Frame()  # type: ignore[attr-defined]
        frame.interruption.name = "interruption"
        await self.socket.send(frame.SerializeToString())

    async def answer(self, pcm: np.ndarray, gaps: dict[int, float] | None = None) -> None:
        """Sends in real time, one chunk ahead; `gaps[n]` seconds are lost before chunk n."""
        due = time.monotonic()
        self.sent.append(due)
        for n, at in enumerate(range(0, len(pcm), CHUNK)):
            due += (gaps or {}).get(n, 0.0)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self.socket.send(encode_audio(pcm[at : at + CHUNK], OUT_RATE))
            due += 0.04 if n else 0.0

    async def next_user_end(self, onset: Callable[[], Awaitable[None]] | None = None) -> int:
        """Waits until the caller has been silent for 200 ms after speech; the end's sample.

        `onset` is called when the caller starts to speak.
        """
        known, quiet = len(self.user_ends), 0
        loud_until = None
        async for data in self.socket:
            pcm = samples(data)
            start = len(self.arrivals) * len(pcm)
            self.arrivals.append(time.monotonic())
            loud = np.flatnonzero(np.abs(pcm.astype(int)) > 1000)
            quiet = 0 if len(loud) else quiet + 20
            if len(loud) and loud_until is None and onset is not None:
                await onset()
            if len(loud):
                loud_until = start + int(loud[-1]) + 1
            if loud_until is not None and quiet >= 200 and len(self.user_ends) == known:
                self.user_ends.append(loud_until)
                return loud_until
        raise EOFError


Script = Callable[[Served], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[tuple[str, list[Served]]]:
    """A server running `script` for every call; yields its `host:port` and the calls it served."""
    calls: list[Served] = []

    async def handle(socket: ServerConnection) -> None:
        served = Served(socket)
        calls.append(served)
        try:
            await script(served)
            async for _ in socket:  # until the caller hangs up
                pass
        except (ConnectionClosed, EOFError):
            pass
        served.close_code = socket.close_code

    async with serve(handle, "127.0.0.1", 0, compression=None, max_queue=None) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        yield f"{host}:{port}", calls


async def ready(served: Served) -> None:
    """The handshake: the caller's client-ready, then bot-ready."""
    await served.socket.recv()
    await served.say("bot-ready", {"version": "2.0.0"})


def conversing(answer_ms: int) -> Script:
    """A server that answers every turn at once and falls silent when it is interrupted."""

    async def script(served: Served) -> None:
        await ready(served)
        talking: asyncio.Task[None] | None = None

        async def hush() -> None:
            if talking is not None and not talking.done():
                talking.cancel()
                await served.interrupt()

        for turn in itertools.count(1):
            await served.next_user_end(hush)
            await served.say("user-transcription", {"text": "నమస్తే అండి", "final": True})
            stages = {"endpointing_ms": 200.0, "asr_ms": 20.0, "tts_first_audio_ms": 10.0}
            latency = {"type": "latency", "turn": turn, "stages": stages, "total_ms": 230.0}
            await served.say("server-message", latency)
            talking = asyncio.create_task(served.answer(tone(answer_ms, OUT_RATE)))

    return script


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The scripted server on a thread of its own, as `run_call` brings its own event loop."""
    address: list[str] = []
    up, done = threading.Event(), threading.Event()

    async def main() -> None:
        async with scripted(script) as (host, _):
            address.append(host)
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert up.wait(5)
    try:
        yield address[0]
    finally:
        done.set()
        thread.join(10)
