"""A real server on loopback and a caller who knows the wire, for tests through the socket."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import pipecat.frames.protobufs.frames_pb2 as proto
import uvicorn
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from maata.profile import Profile
from models.espeak import Espeak
from pipelines.call_server import CallServer
from pipelines.engines import Engines
from pipelines.server import create_app

FRAME: Any = proto.Frame  # type: ignore[attr-defined]  (made at import by protobuf)
IN_RATE = 16000
PACKET = 320  # 20 ms
# SpeechT5's door belongs to one event loop, and here every server has a loop of its own beside the
# engines they share. The profile as it is shipped speaks in test_starter_voice.py and on the page.
ESPEAK = {"cascade.tts.engine": "espeak"}
# A sentence of the starter models' own domain, which they follow well.
QUESTION = "ఇప్పుడు టైం ఎంత అయింది?"


@dataclass
class Live:
    """A running server."""

    url: str
    http: str
    server: CallServer


@contextmanager
def serving(profile: Profile, engines: Engines) -> Iterator[Live]:
    """Serve on a free port of loopback, in a thread, until the block ends."""
    app = create_app(profile, engines)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="error",
        ws_max_size=profile.limits.max_message_kb * 1024,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = monotonic() + 30
    while not server.started:
        assert monotonic() < deadline
        assert thread.is_alive()
        threading.Event().wait(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Live(f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}", app.state.server)
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def say(text: str, *, voice: str = "ravi", pad: float = 0.0) -> np.ndarray:
    """The text spoken at 16 kHz, int16 [T], with `pad` seconds of silence behind it."""
    import soxr

    espeak = Espeak()
    pcm = np.concatenate(list(espeak.stream(text, voice)))
    spoken = soxr.resample(pcm, espeak.sample_rate, IN_RATE)
    return np.concatenate([spoken, np.zeros(int(pad * IN_RATE), dtype=np.int16)])


def audio_bytes(pcm: np.ndarray, rate: int = IN_RATE, channels: int = 1) -> bytes:
    frame: Any = FRAME()
    frame.audio.audio = pcm.astype("<i2").tobytes()
    frame.audio.sample_rate = rate
    frame.audio.num_channels = channels
    return frame.SerializeToString()


def message_bytes(kind: str, data: Any = None) -> bytes:
    frame: Any = FRAME()
    content = {"label": "rtvi-ai", "type": kind, "id": "1", "data": data or {}}
    frame.message.data = json.dumps(content)
    return frame.SerializeToString()


@dataclass
class Caller:
    """One caller's socket and everything that came back on it."""

    socket: ClientConnection
    messages: list[dict[str, Any]] = field(default_factory=list)
    packets: list[tuple[float, np.ndarray]] = field(default_factory=list)  # (arrival, int16)
    interruptions: list[float] = field(default_factory=list)
    _sending: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Take what comes until the line closes, however it closes."""
        with suppress(ConnectionClosed):
            await self._take_all()

    async def _take_all(self) -> None:
        async for data in self.socket:
            frame: Any = FRAME.FromString(data if isinstance(data, bytes) else b"")
            match frame.WhichOneof("frame"):
                case "audio":
                    pcm = np.frombuffer(frame.audio.audio, dtype="<i2")
                    self.packets.append((monotonic(), pcm))
                case "message":
                    self.messages.append(json.loads(frame.message.data))
                case "interruption":
                    self.interruptions.append(monotonic())

    async def send_audio(self, pcm: np.ndarray) -> None:
        """Real time, on absolute deadlines."""
        start = monotonic()
        for i in range(0, len(pcm), PACKET):
            await asyncio.sleep(max(0.0, start + i / IN_RATE - monotonic()))
            await self.socket.send(audio_bytes(pcm[i : i + PACKET]))
        await asyncio.sleep(max(0.0, start + len(pcm) / IN_RATE - monotonic()))

    async def speak(self, text: str, *, quiet: float = 1.0) -> float:
        """Say something, then `quiet` seconds of silence; returns when the speech ended."""
        pcm = say(text)
        await self.send_audio(pcm)
        ended = monotonic()
        await self.send_audio(np.zeros(int(quiet * IN_RATE), dtype=np.int16))
        return ended

    async def until(self, condition: Any, seconds: float = 10.0) -> None:
        """Keep the line open with silence until the condition holds; fail when it never does."""
        deadline = monotonic() + seconds
        while not condition():
            assert monotonic() < deadline, f"never came; messages: {self.kinds()}"
            with suppress(ConnectionClosed):  # what came before the end may still satisfy
                await self.send_audio(np.zeros(PACKET * 2, dtype=np.int16))
                continue
            await asyncio.sleep(0.02)

    def kinds(self) -> list[str]:
        return [m["type"] for m in self.messages]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Data of the RTVI messages of one type."""
        return [m.get("data", {}) for m in self.messages if m["type"] == kind]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Our own server messages of one type."""
        return [d for d in self.of("server-message") if d.get("type") == kind]

    def heard(self, since: float = 0.0) -> np.ndarray:
        """All bot audio that arrived after a moment, int16."""
        chunks = [pcm for at, pcm in self.packets if at >= since]
        return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.int16)

    def loud(self, since: float = 0.0) -> bool:
        """Whether audible speech arrived after a moment."""
        pcm = self.heard(since)
        return bool(len(pcm)) and float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))) > 100

    def user_text(self) -> str:
        """All final transcripts so far."""
        return " ".join(d["text"] for d in self.of("user-transcription") if d.get("final"))


@asynccontextmanager
async def calling(url: str, *, ready: bool = True, **options: Any) -> AsyncIterator[Caller]:
    """Call, say client-ready, listen; hang up at the end of the block."""
    async with websockets.connect(url, max_size=2**20, **options) as socket:
        caller = Caller(socket)
        listening = asyncio.create_task(caller.listen())
        if ready:
            await socket.send(message_bytes("client-ready", {"version": "1.2.0"}))
            await caller.until(lambda: "bot-ready" in caller.kinds())
        try:
            yield caller
        finally:
            await socket.close()
            await asyncio.wait([listening], timeout=5)


async def refused(url: str, **options: Any) -> tuple[int, str]:
    """Call and be refused: the close code and the reason."""
    async with websockets.connect(url, **options) as socket:
        first = await asyncio.wait_for(socket.recv(), 5)
        frame: Any = FRAME.FromString(first if isinstance(first, bytes) else b"")
        error = json.loads(frame.message.data)
        assert error["type"] == "error"
        assert error["data"]["fatal"] is True
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code is not None
        return socket.close_code, error["data"]["error"]
