"""What Ray Serve adds to a call: the same echoing callers, to the plain server and to a replica.

    python -m benchmarks.ray_overhead [--calls 8] [--seconds 30] [--rounds 2]

An engine that echoes at once stands behind both, so that all of a packet's delay is the way. The
servers are up one after the other, in turns (plain, Ray, plain, …), as a cluster that idles takes
processor time too; the packets of all rounds count together. Also the processor time of everything
in front of the engine per second of call. The last line is JSON; needs maata[ray].
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.load.metrics import tree_cpu_seconds
from benchmarks.overhead import PACKET_MS, call
from benchmarks.server.child import Server

GOAL_MS = 15.0  # what Ray may add to the p95
END_S = 60.0  # a cluster ends a dozen processes
WAYS = {"plain": (), "ray": ("--ray",)}


@dataclass
class Way:
    """What was seen of one of the two servers."""

    delays_ms: list[float] = field(default_factory=list)
    lost: int = 0
    cpu_s: float = 0.0
    call_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Delays in ms, as percentiles of all packets."""
        p50, p95, p99 = np.percentile(self.delays_ms, (50, 95, 99))
        return {
            "packets": len(self.delays_ms),
            "lost": self.lost,
            "p50_ms": round(float(p50), 2),
            "p95_ms": round(float(p95), 2),
            "p99_ms": round(float(p99), 2),
            "cpu_ms_per_call_second": round(self.cpu_s / self.call_s * 1000, 2),
        }


def compare(ways: dict[str, Way]) -> dict[str, object]:
    """Both, what Ray adds at each percentile, and whether that is within the goal.

    A run in which a packet was lost shows the machine, not the way, and meets nothing.
    """
    plain, ray = ways["plain"].figures(), ways["ray"].figures()
    added = {
        f"added_{p}_ms": round(ray[f"{p}_ms"] - plain[f"{p}_ms"], 2) for p in ("p50", "p95", "p99")
    }
    return {
        "plain": plain,
        "ray": ray,
        **added,
        "goal_p95_ms": GOAL_MS,
        "met": added["added_p95_ms"] <= GOAL_MS and not plain["lost"] + ray["lost"],
    }


async def measure(server: Server, calls: int, seconds: float, way: Way) -> None:
    """All callers at once, evenly apart within a packet's time; adds what is seen to `way`."""
    url = server.url.replace("http", "ws", 1) + "/ws?engine=s2s"
    assert server.pid is not None
    # Of the whole tree: Ray's proxy and replicas are processes below the server's.
    before, began = tree_cpu_seconds(server.pid) or 0.0, time.perf_counter()
    lines = [call(url, seconds, n * PACKET_MS / 1000 / calls) for n in range(calls)]
    echoes = await asyncio.gather(*lines)
    way.cpu_s += (tree_cpu_seconds(server.pid) or 0.0) - before
    way.call_s += (time.perf_counter() - began) * calls
    way.lost += sum(len(e.sent) for e in echoes)
    for echo in echoes:
        way.delays_ms += echo.delays_ms


@contextmanager
def echoing(folder: Path) -> Iterator[dict[str, str]]:
    """An engine that echoes, as a process; yields the settings of a server that calls it."""
    address = f"ipc://{folder}/echo"
    engine = (address, "models.host_echo:EchoHost", "{}")
    host = subprocess.Popen([sys.executable, "-m", "models.host_server", *engine])
    try:
        yield {
            "engines": '["s2s"]',
            "engine": "s2s",
            "s2s.address": address,
            "s2s.model": "",
            "s2s.captions": "",
        }
    finally:
        host.kill()
        host.wait()


def _end(server: Server) -> None:
    """Ask and wait; `Server.stop` would kill the driver of a cluster before it has ended it."""
    if server.pid is None:
        return
    os.kill(server.pid, signal.SIGTERM)
    until = time.monotonic() + END_S
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while time.monotonic() < until and os.waitid(os.P_PID, server.pid, ended) is None:
        time.sleep(0.1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What Ray Serve adds to a call.")
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    ways = {name: Way() for name in WAYS}
    with tempfile.TemporaryDirectory() as temporary, echoing(Path(temporary)) as settings:
        settings["limits.max_calls"] = str(given.calls)
        flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        for number in range(given.rounds):
            for name, own in WAYS.items():
                log = Path(temporary) / f"{name}.log"
                with Server(log, *own, *flags) as server:
                    asyncio.run(measure(server, given.calls, given.seconds, ways[name]))
                    _end(server)
                latest = ways[name].figures()
                print(f"round {number + 1}, {name}: {json.dumps(latest)}", file=sys.stderr)
    print(json.dumps(compare(ways)))


if __name__ == "__main__":
    main()
