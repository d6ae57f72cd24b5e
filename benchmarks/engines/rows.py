"""One measured stage of one engine at full-size shapes: what a line of `engines.jsonl` says.

Standard library only, so that a machine with nothing but the models' packages can write and read
it. Knows no GPU's data sheet and no curve.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

ROWS = "engines.jsonl"
BUDGET_MS = 64.0  # what a tick of 80 ms may take: the rest is jitter and the way to the caller


class EnginesError(Exception):
    """Rows or arguments that cannot be used; the sentence names the remedy."""


@dataclass(frozen=True)
class EngineRow:
    """Times are wall times in ms, the device waited for before and after."""

    key: str  # of the point in the plan
    part: str  # bandwidth, moshi, soak, whisper, llama, speecht5
    stage: str  # of the part: tick, lm, temporal, depformer, encode, decode, token, turn, …
    shape: str  # moshi-7b, whisper-large-v3, …
    size: str  # full, or tiny: a test's
    gpu: str  # as the driver names it; the processor where there is none
    dtype: str = ""
    how: str = ""  # CUDA graphs, eager, …
    batch: int = 1  # calls at once
    context: int = 0  # frames of history there is room for: all of it is read
    history: int = 0  # frames of history there were when timing began
    tokens: int = 0  # made in one turn; steps of SpeechT5
    prompt: int = 0  # tokens
    n: int = 0  # samples
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    ms: list[float] = field(default_factory=list)  # the samples
    read_bytes: int = 0  # of weights, by one execution of the stage
    cached_bytes: int = 0  # of keys and values, by one execution, all calls together
    flops: int = 0
    gb_s: float | None = None  # 1e9 bytes a second
    memory_bytes: int | None = None  # of the GPU in use, by everybody
    missed: int | None = None  # deadlines, up to here
    late_ms: float | None = None  # the worst of them
    seconds: float | None = None  # it lasted
    trouble: str = ""  # why there is no figure
    started: str = ""  # ISO 8601
    commit: str = ""
    driver: str = ""
    clocks_before: dict[str, str] = field(default_factory=dict)  # read, never set
    clocks_after: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, found: dict[str, Any]) -> Self:
        """From a line's object.

        Raises:
            EnginesError: a key is unknown or missing.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(found.keys() - known):
            raise EnginesError(f"unknown key {unknown[0]!r}: written by another version")
        try:
            return cls(**found)
        except TypeError as e:
            raise EnginesError(f"not a row of engines: {e}") from None

    def line(self) -> str:
        """One line of JSON; what is as it is by default is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {k: v for k, v in plain.items() if v not in (None, "", [], {}, 0) or k == "missed"}
        return json.dumps({k: v for k, v in kept.items() if v is not None}, ensure_ascii=False)


def read_rows(directory: Path) -> list[EngineRow]:
    """All rows, in the order in which they were written; a last line that was cut off is left out.

    Raises:
        EnginesError: there are none, or a line is no row.
    """
    path = directory / ROWS
    if not path.is_file():
        raise EnginesError(f"{path} is missing: `python -m benchmarks.engines --out {directory}`")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(EngineRow.of(json.loads(line)))
        except ValueError:
            if number < len(lines):
                raise EnginesError(f"{path}:{number} is no JSON; delete the line") from None
        except EnginesError as e:
            raise EnginesError(f"{path}:{number}: {e}") from None
    return rows


def done(rows: Iterable[EngineRow], gpu: str, size: str) -> set[str]:
    """Keys of points this machine has whole: their last row says so."""
    here = [r for r in rows if (r.gpu, r.size) == (gpu, size)]
    return {r.key for r in here if r.stage == "done"}


def latest(rows: Iterable[EngineRow]) -> Iterator[EngineRow]:
    """Figures only, each point as it was measured last, in the order of first appearance."""
    found: dict[tuple, EngineRow] = {}
    for row in rows:
        if row.p50_ms is not None:
            which = (row.gpu, row.size, row.key, row.stage, row.batch, row.history)
            found[which] = row
    yield from found.values()


def sessions_found(
    rows: Iterable[EngineRow], gpu: str, size: str, dtype: str, context: int
) -> int | None:
    """The largest batch whose tick p99 kept the budget at full history; None if none was timed."""
    ticks = [
        r
        for r in latest(rows)
        if (r.gpu, r.size, r.dtype, r.part, r.stage) == (gpu, size, dtype, "moshi", "tick")
        and r.context == r.history == context
        and "eager" not in (r.how.split(",")[0] if size == "full" else "")
    ]
    if not ticks:
        return None
    held = [r.batch for r in ticks if r.p99_ms is not None and r.p99_ms <= BUDGET_MS]
    return max(held, default=0)
