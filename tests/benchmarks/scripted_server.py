"""A real WebSocket server on the loopback that answers by a script, and knows the true times.

It hears the end of the caller's speech in the samples themselves and answers so many milliseconds
later on the same machine's clock; what it really did is in `Served`, for comparison with what the
caller measured.
"""

import asyncio
import functools
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.wire import IN_RATE, OUT_RATE, encode_audio, encode_message, frames_pb2

CHUNK = OUT_RATE * 40 // 1000  # samples in a packet, as Pipecat sends them


@functools.cache
def tone(ms: int, rate: int, level: float = 0.3) -> np.ndarray:
    """int16 [T]: a voice that sings vowels in words of 455 ms, 45 ms apart; speech to a VAD.

    Within a word no sample is quieter than a seventh of the loudest, so the first and the last are
    heard and the true times are known to the sample. The gaps are too short to part two sounds.
    """
    t = np.arange(rate * ms // 1000) / rate  # [T], seconds
    word = (t / 0.5).astype(int)
    since = t - 0.5 * word
    rng = np.random.default_rng(10)
    pitch, speed, begin = (
        rng.uniform(*limits, size=word.max(initial=0) + 1)[word]
        for limits in ((95, 200), (2, 4), (0, 6))
    )
    f0 = pitch * (1.15 - 0.5 * since)  # falls, as in speech
    turns = np.cumsum(f0) / rate
    mouth = np.sin(2 * np.pi * speed * since + begin)  # opens and closes
    tongue = np.sin(2 * np.pi * 1.3 * speed * since + 2 * begin)  # goes forth and back
    formants = ((550 + 220 * mouth, 90, 1.0), (1400 + 600 * tongue, 110, 0.6), (2600, 160, 0.3))
    wave = np.zeros(len(t))
    for k in range(1, 25):
        gain = sum(g / (1 + ((k * f0 - f) / width) ** 2) for f, width, g in formants)
        wave += gain / np.sqrt(k) * np.sin(2 * np.pi * k * turns)
    wave *= 0.35 + 0.65 * np.abs(np.cos(np.pi * 4 * since))
    wave /= np.abs(wave).max(initial=1e-9)
    wave = np.where(wave < 0, -1, 1) * np.maximum(np.abs(wave), 0.15)
    wave[(since > 0.455) & (t < len(t) / rate - 0.06)] = 0  # the last word is whole
    pcm = (wave * level * 32767).astype(np.int16)
    pcm.flags.writeable = False  # it is shared by all who ask
    return pcm


def now() -> float:
    """Seconds on the loop's clock: the monotonic one, unless a test brings a loop of its own."""
    return asyncio.get_running_loop().time()


def silence(ms: int, rate: int) -> np.ndarray:
    return np.zeros(rate * ms // 1000, dtype=np.int16)


def samples(data: bytes | str) -> np.ndarray:
    """The int16 samples of a caller's audio frame; none of any other frame."""
    assert isinstance(data, bytes)
    frame = frames_pb2.Frame.FromString(data)  # type: ignore[attr-defined]
    return np.frombuffer(frame.audio.audio, dtype="<i2")


@dataclass
class Served:
    """One call as the server lived it; times on the loop's clock."""

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
        due = now()
        self.sent.append(due)
        for n, at in enumerate(range(0, len(pcm), CHUNK)):
            due += (gaps or {}).get(n, 0.0)
            await asyncio.sleep(max(0.0, due - now()))
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
            self.arrivals.append(now())
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
