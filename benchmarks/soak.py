"""Many calls at once on the speech-to-speech engine, for minutes: does every frame come in time?

    python -m benchmarks.soak --calls 8 --seconds 300 --set s2s.model=DIR --set s2s.codec=DIR

Serves the engine, lets callers talk (noise in bursts of speech and silence) in 20 ms packets on
absolute deadlines, and asks the engine for its own account at the end: missed deadlines, and the
99th percentile of its step. Bounded in calls and time. The last line is JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import wire
from benchmarks.child import Server, ServerFailed
from benchmarks.info import fetch
from benchmarks.line import Refused, dial
from benchmarks.playback import Playback

PACKET = wire.IN_RATE // 50  # 20 ms
TALK, REST = 100, 75  # packets: two seconds of speech, a second and a half of silence
MOST_CALLS, LONGEST_S = 64, 3600
JITTER_MS = 80  # a frame of the codec is what a player keeps in hand here


@dataclass(frozen=True)
class Heard:
    """What reached one caller."""

    packets: int
    underruns: int


async def call(url: str, seconds: float, seed: int) -> Heard:
    """One caller. Raises Refused."""
    rng = np.random.default_rng(seed)
    speech = [rng.normal(0, 2000, PACKET).astype(np.int16) for _ in range(TALK)]
    packets = [wire.encode_audio(pcm) for pcm in [*speech, *[np.zeros(PACKET, np.int16)] * REST]]
    socket = await dial(url, 30)
    playback, received = Playback(wire.OUT_RATE, JITTER_MS), 0
    start = time.perf_counter()

    async def listen() -> None:
        nonlocal received
        async for data in socket:
            heard = wire.decode(data)
            if isinstance(heard, wire.Audio):
                now = int((time.perf_counter() - start) * wire.OUT_RATE)
                playback.receive(now, heard.pcm)
                received += 1

    listening = asyncio.create_task(listen())
    try:
        await socket.send(wire.client_ready())
        for number in range(int(seconds * 50)):
            await asyncio.sleep(max(0.0, start + number / 50 - time.perf_counter()))
            await socket.send(packets[(number + seed * 20) % len(packets)])
    finally:
        await socket.close()
        await asyncio.wait([listening], timeout=5)
    return Heard(received, len(playback.underruns))


def figure(base: str, name: str) -> float:
    """The sum of a metric's samples on the server."""
    lines = fetch(f"{base}/metrics").decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


async def soak(server: Server, calls: int, seconds: float) -> dict[str, float]:
    """All callers at once; the engine's own account while they are there."""
    url = server.url.replace("http", "ws", 1) + "/ws?engine=s2s"
    lines = [asyncio.create_task(call(url, seconds, seed)) for seed in range(calls)]
    await asyncio.sleep(max(0.0, seconds - 1))
    p99 = await asyncio.to_thread(figure, server.url, "maata_engine_step_p99_seconds")
    heard = await asyncio.gather(*lines)
    await asyncio.sleep(2)  # the counters of a call come when it has ended
    missed = await asyncio.to_thread(figure, server.url, "maata_missed_deadlines_total")
    return {
        "calls": calls,
        "seconds": seconds,
        "frames": sum(h.packets for h in heard),
        "expected": round(calls * seconds * 12.5),
        "missed_deadlines": int(missed),
        "underruns": sum(h.underruns for h in heard),
        "step_p99_ms": round(p99 * 1000, 1),
    }


def main() -> int:
    """The command; its exit code says whether every deadline was met."""
    parser = argparse.ArgumentParser(description="Many calls at once on the s2s engine.")
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    calls, seconds = min(given.calls, MOST_CALLS), min(given.seconds, LONGEST_S)
    settings = ['engines=["s2s"]', "engine=s2s", "s2s.captions=", f"limits.max_calls={calls}"]
    flags = [part for pair in [*settings, *given.set] for part in ("--set", pair)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Server(Path(folder) / "server.log", *flags) as server:
                figures = asyncio.run(soak(server, calls, seconds))
        except (ServerFailed, Refused) as e:
            print(f"soak: {e}")
            return 2
    print(json.dumps(figures))
    return 0 if figures["missed_deadlines"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
