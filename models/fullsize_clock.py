"""Wall time of work on a device, device-synchronised, and what the device's memory can move.

A figure is the time from before a call to after the device has finished everything it started.
Knows no model.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

Row = dict[str, Any]


@dataclass
class Clock:
    """Times calls on one device."""

    device: str
    now: Callable[[], float] = field(default=time.perf_counter)  # seconds
    # A CUDA graph that could not be captured leaves the process's generator in capture mode: what
    # draws random numbers later fails in it (seen on an H200, torch 2.11).
    spoilt: bool = False

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def sync(self) -> None:
        """Waits until the device has nothing left to do."""
        if self.cuda:
            torch.cuda.synchronize()

    def ms(self, work: Callable[[], object]) -> float:
        """Milliseconds of one call."""
        self.sync()
        started = self.now()
        work()
        self.sync()
        return (self.now() - started) * 1e3

    def series(
        self, work: Callable[[], object], times: int, seconds: float, least: int = 3
    ) -> list[float]:
        """Milliseconds of each of `times` calls; fewer, but `least`, once `seconds` are over."""
        until = self.now() + seconds
        taken: list[float] = []
        while len(taken) < times and (len(taken) < least or self.now() < until):
            taken.append(self.ms(work))
        return taken


def figures(ms: Sequence[float]) -> Row:
    """Percentiles that are measurements themselves, never between two; all samples beside them."""
    values = np.asarray(ms, dtype=float)
    at = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    found = {k: round(float(np.quantile(values, q, method="higher")), 4) for k, q in at.items()}
    return {"n": len(values), **found, "ms": [round(float(v), 4) for v in values]}


def free_bytes(device: str) -> int | None:
    """Bytes a program could still allocate on the device; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info()[0])


def used_bytes(device: str) -> int | None:
    """Bytes of the device in use by everybody; None for a CPU."""
    if not device.startswith("cuda"):
        return None
    free, total = torch.cuda.mem_get_info()
    return int(total - free)


def weight_bytes(parameters: Any) -> int:
    """Bytes of an iterable of tensors."""
    return sum(p.numel() * p.element_size() for p in parameters)


def bandwidth(clock: Clock, size: int, times: int, seconds: float) -> list[Row]:
    """What the memory moves: a copy (reads and writes) and a matrix-vector product (reads only).

    `size` is the bytes of the buffer; on a GPU at most an eighth of what is free. A product of one
    vector reads its matrix once, as a decoder's step does its weights, so its figure is the
    fairer bound for them.
    """
    free = free_bytes(clock.device)
    size = min(size, free // 8) if free else size
    width = 8192 if clock.cuda else 256
    source = torch.ones(size // (2 * width), width, dtype=torch.bfloat16, device=clock.device)
    size = source.numel() * source.element_size()
    target = torch.empty_like(source)
    vector = torch.ones(width, dtype=torch.bfloat16, device=clock.device)
    rows: list[Row] = []
    for stage, moved, work in (
        ("copy", 2 * size, lambda: target.copy_(source)),
        ("matrix-vector", size, lambda: source @ vector),
    ):
        clock.series(work, 3, seconds)
        taken = clock.series(work, times, seconds)
        speed = moved / (float(np.median(taken)) * 1e6)
        rows.append(
            {"stage": stage, "dtype": "bf16", **figures(taken), "read_bytes": moved}
            | {"gb_s": round(speed, 1)}
        )
    return rows
