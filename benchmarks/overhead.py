"""What everything around a speech-to-speech model costs: transport, graph and the host's door.

    python -m benchmarks.overhead [--calls 8] [--seconds 30]

Serves an engine that echoes at once, lets callers send a marked packet every 80 ms, and times each
from its sending to its coming back; also the CPU time of the front process per second of call. The
last line is JSON.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import websockets

from benchmarks.caller import wire
from benchmarks.caller.pacing import Microphone, WallClock
from benchmarks.load.metrics import cpu_seconds
from benchmarks.server.child import Server

PACKET_MS = 80  # a frame of the codec
PACKET = wire.IN_RATE * PACKET_MS // 1000  # samples
LEVELS = 100  # packets that can be told apart: 8 s, longer than any may take
SILENT = 25  # packets at the start: the graph makes up for a slow beginning in silence
BASE, STEP = 2_000, 200  # of int16: loud enough for every gate, far enough apart


@dataclass
class Echoes:
    """One caller's packets on their way."""

    sent: dict[int, float] = field(default_factory=dict)
    delays_ms: list[float] = field(default_factory=list)

    def packet(self, number: int) -> bytes:
        """A packet that says which it is; the first ones are silent."""
        level = BASE + STEP * (number % LEVELS) if number >= SILENT else 0
        return wire.encode_audio(np.full(PACKET, level, dtype=np.int16))

    def back(self, pcm: np.ndarray, now: float) -> None:
        """One has come back."""
        number = round((float(np.median(pcm)) - BASE) / STEP)  # below 0 for silence
        if number in self.sent:
            self.delays_ms.append((now - self.sent.pop(number)) * 1000)


async def call(url: str, seconds: float, offset: float) -> Echoes:
    """One caller, paced by absolute deadlines."""
    echoes, clock = Echoes(), WallClock()
    async with websockets.connect(url, max_size=2**20) as socket:
        await socket.send(wire.client_ready())

        ready = asyncio.Event()  # what is sent before would wait, and delay all that follows

        async def listen() -> None:
            async for data in socket:
                heard = wire.decode(data)
                if isinstance(heard, wire.Audio):
                    echoes.back(heard.pcm, clock.now())
                elif isinstance(heard, wire.Message) and heard.type == "bot-ready":
                    ready.set()

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(ready.wait(), 30)

        async def send(_: np.ndarray) -> None:
            packet = echoes.packet(mic.packets)
            if mic.packets >= SILENT:
                echoes.sent[mic.packets % LEVELS] = clock.now()
            await socket.send(packet)

        mic = Microphone(send, clock, clock.now() + offset, PACKET)
        await mic.run(int(seconds * 1000 / PACKET_MS))
        await asyncio.sleep(0.5)
        listening.cancel()
    return echoes


async def measure(server: Server, calls: int, seconds: float) -> dict[str, float]:
    """All callers at once, evenly apart within a frame."""
    assert server.pid is not None
    url = server.url.replace("http", "ws", 1) + "/ws?engine=s2s"
    before, began = cpu_seconds(server.pid), time.perf_counter()
    lines = [call(url, seconds, n * PACKET_MS / 1000 / calls) for n in range(calls)]
    echoes = await asyncio.gather(*lines)
    used, lasted = cpu_seconds(server.pid) - before, time.perf_counter() - began
    delays = np.concatenate([e.delays_ms for e in echoes])
    return {
        "calls": calls,
        "packets": len(delays),
        "lost": sum(len(e.sent) for e in echoes),
        "p50_ms": round(float(np.percentile(delays, 50)), 2),
        "p95_ms": round(float(np.percentile(delays, 95)), 2),
        "p99_ms": round(float(np.percentile(delays, 99)), 2),
        "front_cpu_ms_per_call_second": round(used / lasted / calls * 1000, 2),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What everything around a model costs.")
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/echo"
        host = subprocess.Popen(
            [sys.executable, "-m", "models.host_server", address, "models.host_echo:EchoHost", "{}"]
        )
        settings = {
            "engines": '["s2s"]',
            "engine": "s2s",
            "s2s.address": address,
            "s2s.model": "",
            "s2s.captions": "",
            "limits.max_calls": str(given.calls),
        }
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        try:
            with Server(Path(folder) / "server.log", *flags) as server:
                figures = asyncio.run(measure(server, given.calls, given.seconds))
        finally:
            host.kill()
            host.wait()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
