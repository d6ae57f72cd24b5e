"""From rows of engines to floors, a curve, other GPUs and a plan's ramp.

A floor is what the bytes (or the arithmetic) take at the measured bandwidth. Whatever concerns
another GPU than the measured one is predicted, not measured. Draws nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines.rows import EngineRow, latest
from benchmarks.load.ramp import ROWS as LOAD_ROWS
from benchmarks.load.ramp import LoadRow, Ramp, ramps
from benchmarks.plan.capacity import Fit, Point, TooFewSteps, fit
from benchmarks.plan.estimates import elsewhere
from benchmarks.plan.gpus import Gpu, GpuTable

# Dense bf16, 1e12 operations a second; assumed: NVIDIA's data sheets, from memory.
PEAK_TFLOPS = {"l4": 121, "a40": 150, "l40s": 362, "a100": 312, "h100": 989, "h200": 989}
PROFILE = "engines: random weights"  # of the ramp's rows: nobody called
FRAME_S = 0.08


@dataclass(frozen=True)
class Device:
    """The machine of the rows: its card, if the table has it, and the bandwidth it showed."""

    name: str
    gpu: Gpu | None
    copy_gb_s: float | None
    read_gb_s: float | None  # of a matrix-vector product
    peak_tflops: float | None

    @classmethod
    def of(cls, rows: Sequence[EngineRow], table: GpuTable) -> "Device":
        """Of rows that are all of one machine."""
        name = rows[0].gpu
        speeds = {r.stage: r.gb_s for r in latest(rows) if r.part == "bandwidth"}
        key = table.key_of(name)
        return cls(
            name,
            None if key is None else table.get(key),
            speeds.get("copy"),
            speeds.get("matrix-vector"),
            PEAK_TFLOPS.get(key or ""),
        )

    def floor_ms(self, row: EngineRow) -> float | None:
        """The bytes of one execution at the copy's bandwidth, or its arithmetic if that is more."""
        if self.copy_gb_s is None or not row.read_bytes:
            return None
        moved = (row.read_bytes + row.cached_bytes) / (self.copy_gb_s * 1e6)
        counted = row.flops / (self.peak_tflops * 1e9) if self.peak_tflops else 0.0
        return max(moved, counted)


def turn_floor_ms(device: Device, stages: dict[str, EngineRow]) -> float | None:
    """The floors of a turn's stages together; of those that have one."""
    total = 0.0
    for name, row in stages.items():
        floor = device.floor_ms(row)
        # The prompt gives the first token.
        times = {"token": row.tokens - 1, "step": row.tokens}.get(name, 1)
        total += (floor or 0.0) * times
    return total or None


def ticks(rows: Iterable[EngineRow], dtype: str, *, eager: bool = False) -> list[EngineRow]:
    """Whole ticks at full history, one for each batch and context."""
    kept = [r for r in latest(rows) if (r.part, r.stage, r.dtype) == ("moshi", "tick", dtype)]
    wanted = "/eager/" if eager else "/graphs/"
    return [r for r in kept if r.history >= r.context and wanted in r.key]


def curve(rows: Sequence[EngineRow], figure: str) -> Fit | None:
    """t(B, ctx) = a + b·B + c·B·ctx through ticks, `figure` being p50_ms or p99_ms.

    `ctx` is the frames there is room for: the attention reads all of it at any age of a call.
    """
    points = [Point(r.batch, getattr(r, figure), r.context) for r in rows]
    try:
        return fit(points)
    except TooFewSteps:
        return None


@dataclass(frozen=True)
class Prediction:
    """Another GPU, predicted and not measured.

    A tick there takes at least what it took here with only its bytes moved at the other bandwidth
    (launches and arithmetic as fast as here), or with everything scaled, whichever is less.
    """

    gpu: Gpu
    tick_ms: tuple[float, float]  # one call, full history: least, most
    sessions: tuple[int | None, int | None]  # at least, at most; None: no bound


def predictions(
    rows: Sequence[EngineRow], device: Device, table: GpuTable, dtype: str
) -> list[Prediction]:
    """For every other card of the table; empty where the measured one is not in it."""
    served = [r for r in ticks(rows, dtype) if r.context == served_context(rows)]
    one = next((r for r in served if r.batch == 1), None)
    floor = None if one is None else device.floor_ms(one)
    if device.gpu is None or one is None or one.p99_ms is None or floor is None:
        return []
    found = []
    ramp = _ramp(load_rows(rows), dtype)
    for gpu in table.gpu.values():
        if gpu is device.gpu:
            continue
        ratio = device.gpu.bandwidth_gb_s / gpu.bandwidth_gb_s  # above 1: slower there
        ends = one.p99_ms * ratio, one.p99_ms + floor * (ratio - 1)
        bounds = [] if ramp is None else elsewhere(ramp, device.gpu, gpu)
        by = {e.basis: e.sessions for e in bounds}
        found.append(
            Prediction(gpu, (min(ends), max(ends)), (by.get("at least"), by.get("at most")))
        )
    return found


def served_context(rows: Iterable[EngineRow]) -> int:
    """The most frames there was room for: what the model is served with."""
    return max((r.context for r in rows if r.part in ("moshi", "soak")), default=0)


def load_rows(rows: Sequence[EngineRow]) -> list[LoadRow]:
    """Ticks at the served context, and soaks, as steps of a ramp that `maata plan` reads.

    Nobody called, so there is no voice-to-voice; a missed deadline counts as a gap.
    """
    context = served_context(rows)
    found = []
    for row in latest(rows):
        tick = (row.part, row.stage) == ("moshi", "tick") and "/graphs/" in row.key
        if row.context != context or not (tick or row.stage == "soak"):
            continue
        found.append(
            LoadRow(
                engine="s2s",
                hardware=row.gpu,
                model=row.shape,
                precision=row.dtype,
                calls=row.batch,
                seconds=row.seconds or round(row.n * FRAME_S, 2),
                context=float(context if row.stage == "soak" else row.history),
                tick_ms_p50=row.p50_ms,
                tick_ms_p99=row.p99_ms,
                underruns=row.missed or 0,
                missed_deadlines=row.missed,
                memory_bytes=row.memory_bytes,
                profile=PROFILE,
                commit=row.commit,
                started=row.started,
            )
        )
    return found


def write_load(rows: Sequence[EngineRow], directory: Path) -> bool:
    """Writes the ramp for `maata plan --from DIR`; not over one that callers measured."""
    path = directory / LOAD_ROWS
    if path.is_file() and PROFILE not in path.read_text(encoding="utf-8"):
        return False
    found = [row.model_dump_json(exclude_none=True) for row in load_rows(rows)]
    if found:
        path.write_text("\n".join(found) + "\n", encoding="utf-8")
    return bool(found)


def _ramp(rows: Sequence[LoadRow], precision: str) -> Ramp | None:
    found = [r for r in ramps(rows, 1000.0, None) if r.precision == precision]
    return found[0] if found else None
