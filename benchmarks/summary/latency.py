"""Latency figures of one engine: percentiles, thresholds, the first turn, stages, false starts.

Works on rows that count (no warm-up). A turn without an answer is slower than every other and
stays in every denominator. Knows nothing of words, sound or other engines.
"""

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.suite.rows import TurnRow
from benchmarks.summary.figure import mean, percentile, share_of

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
THRESHOLDS_MS = (200, 400, 500, 800)
RESIDUAL = "residual_ms"
EXACT_MS = 1.0  # how far the stages of a turn may sum from its voice-to-voice time
LATE_MS = 20.0  # one packet: the caller's own machine was busy


def latency(rows: Sequence[TurnRow]) -> dict[str, Any]:
    """Everything about time; `rows` of one engine, at least one."""
    v2v = [row.v2v_ms for row in rows]
    first = [row.v2v_ms for row in rows if row.turn == 1]
    warm = [row.v2v_ms for row in rows if row.turn > 1]
    return {
        "v2v": percentiles(v2v),
        "first_turn": percentiles(first),
        "later_turns": percentiles(warm),
        "within": [
            {"ms": limit, "share": share_of(v is not None and v <= limit for v in v2v).json()}
            for limit in THRESHOLDS_MS
        ],
        "early": share_of(v is not None and v < 0 for v in v2v).json(),
        "false_starts": share_of(row.false_starts > 0 for row in rows).json(),
        "answered": share_of(row.answered for row in rows).json(),
        "curve": sorted(round(v, 1) for v in v2v if v is not None),
        "caller_late": share_of(row.caller_late_ms > LATE_MS for row in rows).json(),
        "caller_late_worst_ms": round(max(row.caller_late_ms for row in rows), 1),
    }


def percentiles(values: Sequence[float | None]) -> dict[str, Any]:
    """Four percentiles of a latency."""
    return {name: percentile(values, at).json() for name, at in SHARES.items()}


def stages(rows: Sequence[TurnRow]) -> dict[str, Any]:
    """How the voice-to-voice time is made up, in the order of the stages.

    Means, because they sum as the turns do: mean of the stages and the residual is the mean v2v of
    the turns that have stages. `worst_sum_ms` says how exactly every single turn sums.
    """
    staged = [row for row in rows if row.stages and row.v2v_ms is not None]
    names = list(dict.fromkeys(name for row in staged for name in row.stages if name != RESIDUAL))
    if any(RESIDUAL in row.stages for row in staged):
        names.append(RESIDUAL)
    groups = [row.cluster for row in staged]
    off = [abs(math.fsum(row.stages.values()) - (row.v2v_ms or 0.0)) for row in staged]
    return {
        "n": len(staged),
        "v2v": mean([row.v2v_ms for row in staged], groups, "ms").json(),
        "stages": [_stage(name, staged, groups) for name in names],
        "worst_sum_ms": round(max(off), 3) if off else None,
        "inexact": sum(value > EXACT_MS for value in off),
    }


def _stage(name: str, staged: Sequence[TurnRow], groups: Sequence[str]) -> dict[str, Any]:
    there = [row.stages[name] for row in staged if name in row.stages]
    # A turn without the stage spent no time in it.
    all_turns: list[float | None] = [row.stages.get(name, 0.0) for row in staged]
    return {
        "name": name.removesuffix("_ms"),
        "mean": mean(all_turns, groups, "ms").json(),
        "p50": percentile(there, 0.5).json(),
        "p95": percentile(there, 0.95).json(),
    }
