"""Two scripted engines behind one address, as `maata serve` offers them over HTTP and WebSocket.

They speak with the synthesizer's voice, for the onset rule does not take a tone for an answer, and
send the messages of the real ones. A server runs on a thread of its own and can be made to die.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.server.child import ServerFailed
from models.audio import first_audible, resample, speech_end
from models.espeak import Espeak
from tests.benchmarks.scripted_server import Script, Served, ready, silence

STAGES = {"endpointing_ms": 200.0, "asr_ms": 20.0, "tts_first_audio_ms": 10.0}
WORD = "నమస్కారం"  # what an answer means
VOICED = "అవును"  # and what is heard of it: short, since a test waits for it


@cache
def spoken(text: str, voice: str, rate: int) -> np.ndarray:
    """int16 [T] of the text, without silence around it."""
    espeak = Espeak()
    pcm = resample(np.concatenate(list(espeak.stream(text, voice))), espeak.sample_rate, rate)
    begin, end = first_audible(pcm, rate), speech_end(pcm, rate)
    assert begin is not None
    assert end is not None
    return pcm[begin:end]


def answering(lead_ms: int = 0, *, last: Callable[[Served], bool] = lambda served: False) -> Script:
    """Answers each turn at once, after `lead_ms` of silence; does nothing more once `last`."""

    async def script(served: Served) -> None:
        await ready(served)
        while not last(served):
            await served.next_user_end()
            turn = len(served.user_ends)
            await served.say("user-transcription", {"text": "నమస్తే", "final": True})
            latency = {"type": "latency", "turn": turn, "stages": STAGES, "total_ms": 230.0}
            await served.say("server-message", latency)
            await served.say("bot-output", {"text": f"{WORD}.", "segment_id": turn})
            voice = spoken(VOICED, "priya", OUT_RATE)
            await served.answer(np.concatenate((silence(lead_ms, OUT_RATE), voice)))

    return script


class ScriptedServer:
    """Engines by script, up until `stop`; `url` is its address."""

    def __init__(
        self, scripts: Mapping[str, Script], missing: Mapping[str, str] | None = None
    ) -> None:
        self.url = ""
        self.pid: int | None = None  # it is a thread of this process
        self.calls: list[str] = []  # the engine of each call, in order
        self._scripts, self._missing = scripts, missing or {}
        self._up, self._loop = threading.Event(), asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._up.wait(5)

    def stop(self) -> int | None:
        """Ends it, calls and all; nobody listens at its address any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(5)
        if not self._loop.is_closed():
            self._loop.close()
        return 0

    def stop_soon(self) -> None:
        """The same, for a script of its own."""
        self._end.set()

    async def _run(self) -> None:
        async with serve(
            self._handle, "127.0.0.1", 0, compression=None, process_request=self._http
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            self._up.set()
            await self._end.wait()
            server.close(close_connections=False)
            for connection in server.connections:
                connection.transport.abort()

    async def _handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        [engine] = parse_qs(urlsplit(socket.request.path).query)["engine"]
        self.calls.append(engine)
        try:
            await self._scripts[engine](Served(socket))
            async for _ in socket:
                pass
        except (ConnectionClosed, EOFError):
            pass

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        if path == "/ws":
            return None
        there = [
            {"id": e, "available": True, "starter": True, "models": {"asr": "starter/none"}}
            for e in self._scripts
        ]
        lacking = [{"id": e, "available": False, "reason": r} for e, r in self._missing.items()]
        info = {"engines": [*there, *lacking], "starter": True}
        body = json.dumps(info).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
        return Response(HTTPStatus.OK.value, "OK", headers, body)


class Launcher:
    """Brings scripted servers up as `endpoints.launch` does `maata serve`."""

    def __init__(self, *scripts: Mapping[str, Script], lacking: Mapping[str, str] | None = None):
        """The first start gets the first scripts, and so on; the last ones serve ever after."""
        self.scripts: Sequence[Mapping[str, Script]] = scripts
        self._lacking = lacking or {}
        self.servers: list[ScriptedServer] = []
        self.arguments: list[Sequence[str]] = []

    def __call__(self, log: Path, arguments: Sequence[str]) -> ScriptedServer:
        self.arguments.append(arguments)
        chosen = next(a for a in arguments if a.startswith("engines="))
        for engine, why in self._lacking.items():
            if f'"{engine}"' in chosen:
                raise ServerFailed(why)
        scripts = self.scripts[min(len(self.servers), len(self.scripts) - 1)]
        self.servers.append(ScriptedServer(scripts))
        return self.servers[-1]

    def close(self) -> None:
        for server in self.servers:
            server.stop()


def utterance_pcm(text: str = "అవును", voice: str = "ravi") -> np.ndarray:
    """int16 [T] at IN_RATE of a caller, with silence around it."""
    around = silence(60, IN_RATE)
    return np.concatenate((around, spoken(text, voice, IN_RATE), around))
