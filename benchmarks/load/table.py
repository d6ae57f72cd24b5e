"""A ramp in words: a line for each step as it ends, and the summary of a whole one.

Knows rows and nothing about how they were measured.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.load.ramp import LoadRow, Ramp, ramps
from benchmarks.load.step import V2V_MS, Heard


def told(row: LoadRow, callers: Sequence[Heard]) -> str:
    """One line about a step that is over."""
    parts = [f"{row.calls} at once"]
    if row.refused:
        why = next((h.why for h in callers if h.cut_off and h.why), "no reason")
        parts.append(f"{row.refused} turned away or cut off ({why})")
    if row.tick_ms_p99 is not None:
        parts.append(f"tick p99 {row.tick_ms_p99:.1f} ms")
    p50, p95 = _or_never(row.v2v_ms_p50), _or_never(row.v2v_ms_p95)
    parts.append(f"v2v p50 {p50}, p95 {p95} of {row.turns} turns ({row.unanswered} unanswered)")
    parts.append(f"{row.underruns} underruns")
    if row.cpu_percent is not None:
        parts.append(f"CPU {row.cpu_percent:.0f} %")
    if row.caller_overloaded:
        parts.append(f"CALLER OVERLOADED (p99 {row.late_ms_p99:.0f} ms late): says nothing")
    return "; ".join(parts)


def _or_never(ms: float | None) -> str:
    return "never" if ms is None else f"{ms:.0f} ms"


def clean_sessions(ramp: Ramp) -> int:
    """The most calls at once without a gap or a refusal, at that step and all below it."""
    rows = ramp.steps()
    worst = min((r.calls for r in rows if r.underruns or r.refused), default=None)
    return max((r.calls for r in rows if worst is None or r.calls < worst), default=0)


def show(rows: Sequence[LoadRow], console: Console, v2v_ms: float = V2V_MS) -> None:
    """A summary: per engine, sessions without an underrun and the knee; then the steps."""
    overloaded = [r for r in rows if r.caller_overloaded]
    for ramp in ramps(rows, v2v_ms, None):
        held, failed = ramp.knee()
        what = "tick p99" if ramp.by_tick else "v2v p95"
        end = "the knee was not reached" if failed is None else f"{failed} did not"
        console.print(
            f"[bold]{ramp.engine}[/] ({ramp.model}, {ramp.precision}, {ramp.hardware}): "
            f"{clean_sessions(ramp)} sessions at zero underruns; {held} held "
            f"{what} <= {ramp.target_ms:g} ms, {end}",
            soft_wrap=True,
        )
        console.print(_table(ramp))
    for row in overloaded:
        console.print(
            f"{row.engine}, {row.calls} calls: the callers' machine was {row.late_ms_p99:g} ms "
            "late at p99, so the step says nothing about the server; call from another machine",
            soft_wrap=True,
        )


def _table(ramp: Ramp) -> Table:
    table = Table(box=None, pad_edge=False)
    heads = ("calls", "refused", "tick p99", "v2v p50", "v2v p95", "unanswered", "underruns")
    for head in (*heads, "gap s", "CPU %", "memory MB", "late p99", ""):
        table.add_column(head, justify="right")
    for r in ramp.steps():
        figures = (r.calls, r.refused, r.tick_ms_p99, r.v2v_ms_p50, r.v2v_ms_p95)
        more = (f"{r.unanswered}/{r.turns}", r.underruns, r.underrun_seconds, r.cpu_percent)
        memory = None if r.memory_bytes is None else round(r.memory_bytes / 1e6)
        cells = (*figures, *more, memory, r.late_ms_p99, "held" if ramp.holds(r) else "failed")
        table.add_row(*("–" if c is None else str(c) for c in cells))
    return table
