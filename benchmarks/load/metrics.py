"""What a server costs while it is called: its own counters, its processes' time, memory and GPU.

Read from outside: `/metrics` (Prometheus text), `/proc` of the server's process and all below it
(Linux; elsewhere those figures are None), and `nvidia-smi` where there is one. Knows nothing about
calls or steps.
"""

import asyncio
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.caller.pacing import Clock
from benchmarks.server.info import fetch

PROC = Path("/proc")
SCRAPE_S, SMI_S = 5.0, 5.0  # as long as either may take: a server that hangs costs no more
SAMPLE_S = 2.0
MISSED = "maata_missed_deadlines_total"
STEP_P50, STEP_P99 = "maata_engine_step_p50_seconds", "maata_engine_step_p99_seconds"
CALLS = "maata_calls_active"


@dataclass(frozen=True)
class Scrape:
    """One reading of `/metrics`: (name, label values) of every sample and its value."""

    samples: tuple[tuple[str, dict[str, str], float], ...] = ()

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of a metric's samples that have these labels; None if there is none."""
        found = [v for n, has, v in self.samples if n == name and labels.items() <= has.items()]
        return sum(found) if found else None


def scrape(url: str) -> Scrape:
    """The server's metrics; empty from a server that has none, or does not answer in time."""
    try:
        families = text_string_to_metric_families(fetch(url, SCRAPE_S).decode())
        samples = [(s.name, dict(s.labels), float(s.value)) for f in families for s in f.samples]
    except (OSError, ValueError):
        return Scrape()
    return Scrape(tuple(samples))


def cpu_seconds(pid: int) -> float:
    """User and system time a process has used (Linux). `OSError` if it is gone."""
    fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants that live; empty where there is no such process."""
    try:
        threads = list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []
    children: list[int] = []
    for thread in threads:
        with suppress(OSError):  # it has ended since
            children += [int(child) for child in (thread / "children").read_text().split()]
    return [pid, *(below for child in children for below in process_tree(child))]


def tree_cpu_seconds(pid: int) -> float | None:
    """CPU time of a process tree; that of descendants which have ended is not in it."""
    used = []
    for process in process_tree(pid):
        with suppress(OSError):
            used.append(cpu_seconds(process))
    return sum(used) if used else None


def tree_memory(pid: int) -> int | None:
    """Resident bytes of a process tree; pages that two of them share count twice."""
    page, found = os.sysconf("SC_PAGE_SIZE"), []
    for process in process_tree(pid):
        with suppress(OSError):
            found.append(int((PROC / str(process) / "statm").read_text().split()[1]) * page)
    return sum(found) if found else None


@dataclass(frozen=True)
class GpuReading:
    """The machine's first GPU at one moment, as its driver says."""

    name: str
    percent: float  # time in which a kernel ran, over the driver's own window
    memory_bytes: int  # of all processes on it


def read_gpu() -> GpuReading | None:
    """The first GPU now; None without one (or without its driver's tool)."""
    query = "--query-gpu=name,utilization.gpu,memory.used"
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_S)
        name, percent, mib = (part.strip() for part in done.stdout.splitlines()[0].split(","))
        return GpuReading(name, float(percent), int(float(mib) * 2**20))
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None


@dataclass(frozen=True)
class Usage:
    """What a server cost over one step; None where it could not be read."""

    cpu_percent: float | None = None  # of one core
    cpu_seconds: float | None = None
    memory_bytes: int | None = None  # the most; of the GPU if the server runs on it
    gpu_percent: float | None = None  # the mean
    tick_ms_p50: float | None = None
    tick_ms_p99: float | None = None


@dataclass(frozen=True)
class Meter:
    """Where to read a server's cost."""

    metrics: str  # address of its `/metrics`
    pid: int | None  # of the server, if it is on this machine
    on_gpu: bool  # memory is the GPU's

    async def watch(self, engine: str, until: float, clock: Clock) -> Usage:
        """Reads from now until time `until` of the clock, with its last look then."""
        began, cpu, memory, gpu = time.monotonic(), await self._cpu(), [], []
        while True:
            if self.pid is not None:
                memory.append(await asyncio.to_thread(tree_memory, self.pid))
                gpu.append(await asyncio.to_thread(read_gpu) if self.on_gpu else None)
            if clock.now() >= until:
                break
            await clock.sleep_until(min(until, clock.now() + SAMPLE_S))
        used, lasted = await self._cpu(), time.monotonic() - began
        spent = None if cpu is None or used is None else max(0.0, used - cpu)
        gpus = [reading for reading in gpu if reading is not None]
        if gpus:
            memory = [reading.memory_bytes for reading in gpus]
        said = await asyncio.to_thread(scrape, self.metrics) if engine == "s2s" else Scrape()
        return Usage(
            None if spent is None else round(100 * spent / lasted, 1),
            None if spent is None else round(spent, 2),
            max((m for m in memory if m is not None), default=None),
            round(sum(r.percent for r in gpus) / len(gpus), 1) if gpus else None,
            _ms(said.total(STEP_P50)),
            _ms(said.total(STEP_P99)),
        )

    async def missed(self, engine: str) -> int | None:
        """Frames of answers after their deadline that the server has counted so far."""
        said = await asyncio.to_thread(scrape, self.metrics)
        found = said.total(MISSED, engine=engine)
        # A counter with labels appears at its first event.
        return int(found or 0) if said.samples else None

    async def idle(self, engine: str, deadline: float, clock: Clock) -> None:
        """Waits until the server has no calls left (their counters come then), or time is up."""
        while clock.now() < deadline:
            said = await asyncio.to_thread(scrape, self.metrics)
            if not said.total(CALLS, engine=engine):
                return
            await clock.sleep_until(min(deadline, clock.now() + 0.2))

    async def _cpu(self) -> float | None:
        return None if self.pid is None else await asyncio.to_thread(tree_cpu_seconds, self.pid)


def _ms(seconds: float | None) -> float | None:
    """Milliseconds; None also for the zero of an engine that has not ticked."""
    return round(seconds * 1000, 2) if seconds else None
