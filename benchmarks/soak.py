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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.caller import wire
from benchmarks.caller.line import Refused, dial
from benchmarks.caller.pacing import PACKET, Microphone, WallClock
from benchmarks.caller.playback import Playback
from benchmarks.load.metrics import scrape
from benchmarks.server.child import Server, ServerFailed

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
    noise = rng.normal(0, 2000, TALK * PACKET).astype(np.int16)
    # Callers do not speak in chorus: each begins elsewhere in the burst.
    burst = np.roll(np.pad(noise, (0, REST * PACKET)), -seed * 20 * PACKET)
    socket = await dial(url, 30)
    playback, received = Playback(wire.OUT_RATE, JITTER_MS), 0
    clock = WallClock()
    start = clock.now()

    async def listen() -> None:
        nonlocal received
        async for data in socket:
            heard = wire.decode(data)
            if isinstance(heard, wire.Audio):
                now = int((clock.now() - start) * wire.OUT_RATE)
                playback.receive(now, heard.pcm)
                received += 1

    async def send(packet: np.ndarray) -> None:
        await socket.send(wire.encode_audio(packet))

    mic = Microphone(send, clock, start)

    async def talk() -> None:
        while True:
            mic.speak(burst)
            await mic.finished()

    tasks = [asyncio.create_task(listen()), asyncio.create_task(talk())]
    try:
        await socket.send(wire.client_ready())
        await mic.run(int(seconds * 50))
    finally:
        tasks[1].cancel()
        await socket.close()
        await asyncio.wait(tasks, timeout=5)
    return Heard(received, len(playback.underruns))


async def soak(server: Server, calls: int, seconds: float) -> dict[str, float]:
    """All callers at once; the engine's own account while they are there."""
    url = server.url.replace("http", "ws", 1) + "/ws?engine=s2s"
    lines = [asyncio.create_task(call(url, seconds, seed)) for seed in range(calls)]
    await asyncio.sleep(max(0.0, seconds - 1))
    metrics = f"{server.url}/metrics"
    p99 = (await asyncio.to_thread(scrape, metrics)).total("maata_engine_step_p99_seconds") or 0.0
    heard = await asyncio.gather(*lines)
    await asyncio.sleep(2)  # the counters of a call come when it has ended
    missed = (await asyncio.to_thread(scrape, metrics)).total("maata_missed_deadlines_total") or 0
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
