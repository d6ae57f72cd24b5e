"""A measured ramp: the rows of `load.jsonl`, one a step, and what of them held.

One JSON object a line (`LoadRow` is the format), read once at the edge and sorted by engine, model,
precision and machine. Knows no GPU's data sheet, no price, and nothing between two steps.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.plan.capacity import Point
from benchmarks.plan.floors import MOSHI_7B

ROWS = "load.jsonl"


class PlanError(Exception):
    """Rows or arguments a plan cannot be made from; the sentence names the remedy."""


class LoadRow(BaseModel):
    """One step of a ramp: so many calls at once, held for a while.

    Percentiles are over all calls of the step together; null where one falls on something that
    never came (an unanswered turn is slower than every other).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    engine: Literal["s2s", "cascade"]
    hardware: str = Field(min_length=1)  # as the driver names the GPU, else processor and cores
    model: str = Field(min_length=1)  # name or address, e.g. starter/s2s
    precision: str = Field(min_length=1)  # bf16, int8, int8+kv8 (known to the floors) or another
    calls: int = Field(ge=1)  # that wanted to talk at once
    refused: int = Field(default=0, ge=0)  # of them, turned away or cut off
    seconds: float = Field(gt=0)  # the step was held
    context: float | None = Field(default=None, ge=0)  # mean frames of history per call
    tick_ms_p50: float | None = Field(default=None, ge=0)  # s2s: wall time of one 80 ms frame
    tick_ms_p99: float | None = Field(default=None, ge=0)
    v2v_ms_p50: float | None = None  # end of the caller's speech to the first audible answer
    v2v_ms_p95: float | None = None
    underruns: int = Field(ge=0)  # gaps in what callers heard
    turns: int | None = Field(default=None, ge=0)
    unanswered: int = Field(default=0, ge=0)
    underrun_seconds: float | None = Field(default=None, ge=0)  # of all calls together
    longest_gap_ms: float | None = Field(default=None, ge=0)  # the longest of the underruns
    missed_deadlines: int | None = Field(default=None, ge=0)  # frames, as the server counts them
    late_ms_p99: float | None = Field(default=None, ge=0)  # the caller's packets, by its own clock
    # The callers' machine did not keep its own pace: the step says nothing about the server.
    caller_overloaded: bool = False
    memory_bytes: int | None = Field(default=None, ge=0)  # of the GPU; of the process on a CPU
    cpu_percent: float | None = Field(default=None, ge=0)  # of one core; 200 is two cores full
    cpu_seconds: float | None = Field(default=None, ge=0)  # of the server's processes
    gpu_percent: float | None = Field(default=None, ge=0)
    profile: str = ""  # provenance: name and hash
    commit: str = ""
    started: str = ""  # ISO 8601

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        silent = self.tick_ms_p99 is None and self.v2v_ms_p95 is None
        if silent and not (self.refused or self.unanswered):
            raise ValueError("neither tick_ms_p99 nor v2v_ms_p95, and no call that failed")
        return self


def read_rows(directory: Path) -> list[LoadRow]:
    """All rows of a directory's `load.jsonl`.

    Raises:
        PlanError: no rows, or a line that is not one; names the line and the remedy.
    """
    path = directory / ROWS
    measure = f"measure them with `maata bench --suite load --out {directory}`"
    if not path.is_file():
        raise PlanError(f"{path}: no such file, and a plan needs a measured ramp; {measure}")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rows.append(LoadRow.model_validate_json(line))
            except ValidationError as e:
                raise PlanError(f"{path}:{number}: {_sentence(e)}") from None
    if not rows:
        raise PlanError(f"{path} has no rows; {measure}")
    return rows


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, LoadRow.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"unknown key {key!r}{hint} (known: {', '.join(LoadRow.model_fields)})"
    if first["type"] == "json_invalid":
        return "not a JSON object; delete the line if the run was cut off there"
    return f"{f'{key}: ' if key else ''}{first['msg']}; correct the row or measure it again"


@dataclass(frozen=True)
class Ramp:
    """All steps of one engine, model and precision on one machine, at one planning context."""

    engine: Literal["s2s", "cascade"]
    model: str
    precision: str
    hardware: str
    rows: tuple[LoadRow, ...]
    target_ms: float
    by_tick: bool  # the target is of ticks, else of voice to voice
    context: float  # frames of history to plan for; 0 where none is known

    def ms(self, row: LoadRow) -> float | None:
        """The figure the target is of."""
        return row.tick_ms_p99 if self.by_tick else row.v2v_ms_p95

    def holds(self, row: LoadRow) -> bool:
        """In time, without a gap and with everybody served."""
        ms = self.ms(row)
        return ms is not None and ms <= self.target_ms and row.underruns == row.refused == 0

    def steps(self) -> list[LoadRow]:
        """The rows at the planning context, or at the nearest above it (which asks for more)."""
        above = [r.context or 0.0 for r in self.rows if (r.context or 0.0) >= self.context]
        return [r for r in self.rows if above and (r.context or 0.0) == min(above)]

    def knee(self) -> tuple[int, int | None]:
        """The last step that held with all below it, and the first that did not (None: all did)."""
        steps = self.steps()
        failed = min((r.calls for r in steps if not self.holds(r)), default=None)
        held = [r.calls for r in steps if failed is None or r.calls < failed]
        return max(held, default=0), failed

    def points(self) -> list[Point]:
        """What a curve is fitted to.

        Steps that turned calls away are left out: their figures are of fewer calls. Else a tick's
        time depends on the calls alone; but behind a cascade's knee queues grow for as long
        as the step lasts, so its steps from the first failed one on are on no curve of the calls.
        """
        failed = None if self.by_tick else self.knee()[1]
        kept = [r for r in self.rows if not r.refused and (failed is None or r.calls < failed)]
        known = all(r.context is not None for r in kept)
        return [
            Point(r.calls, ms, (r.context or 0.0) if known else self.context)
            for r, ms in ((r, self.ms(r)) for r in kept)
            if ms is not None
        ]


def ramps(rows: Sequence[LoadRow], v2v_ms: float, context: float | None) -> list[Ramp]:
    """The rows, sorted into ramps; the planning context is the largest measured unless given.

    Steps whose caller was overloaded are left out: nobody knows what the server would have done.

    Raises:
        PlanError: a context is asked for and no row has one.
    """
    if context is not None and all(r.context is None for r in rows):
        raise PlanError("--context: no row of the ramp has a context; leave the option out")
    groups: dict[tuple, list[LoadRow]] = {}
    for row in (r for r in rows if not r.caller_overloaded):
        groups.setdefault((row.engine, row.model, row.precision, row.hardware), []).append(row)
    found = []
    for key, group in groups.items():
        by_tick = any(r.tick_ms_p99 is not None for r in group)
        known = [r.context for r in group if r.context is not None]
        found.append(
            Ramp(
                *key,
                rows=tuple(sorted(group, key=lambda r: r.calls)),
                target_ms=MOSHI_7B.budget_ms if by_tick else v2v_ms,
                by_tick=by_tick,
                context=context if known and context is not None else max(known, default=0.0),
            )
        )
    return found
