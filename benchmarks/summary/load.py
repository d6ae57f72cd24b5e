"""Load and cost of a run: the steps of `load.jsonl`, each engine's knee, and what callers cost.

Sessions come from `maata plan`'s estimates for the machine that was measured, and for every GPU of
the price table where the ramp says something about it. Knows nothing of turns or pages.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.load.ramp import Ramp, ramps, read_rows
from benchmarks.plan.capacity import cost, gpus_for
from benchmarks.plan.gpus import GpuTable, load_gpus
from benchmarks.plan.plan import estimates, headline, target

V2V_MS = 1100.0  # what a p95 may be where ticks are not measured
BLOCKING = 0.01
CALLERS = (*range(1, 21), *range(24, 100, 4), *range(100, 300, 20), *range(300, 1001, 50))


def load(directory: Path) -> dict[str, Any]:
    """The ramp of a directory.

    Raises:
        PlanError: `load.jsonl` cannot be read.
    """
    found = ramps(read_rows(directory), V2V_MS, None)
    return {
        "ramps": [_ramp(ramp) for ramp in found],
        "cost": costs(found, load_gpus()),
        "blocking": BLOCKING,
    }


def _ramp(ramp: Ramp) -> dict[str, Any]:
    held, failed = ramp.knee()
    return {
        "engine": ramp.engine,
        "model": ramp.model,
        "precision": ramp.precision,
        "hardware": ramp.hardware,
        "context": ramp.context,
        "target_ms": ramp.target_ms,
        "measure": "tick p99" if ramp.by_tick else "v2v p95",
        "held": held,
        "failed": failed,
        "steps": [row.model_dump() | {"holds": ramp.holds(row)} for row in ramp.rows],
    }


def costs(found: Sequence[Ramp], table: GpuTable) -> dict[str, Any]:
    """Where a ramp was measured on a GPU of the table: sessions and prices there and elsewhere."""
    known = sorted({key for ramp in found if (key := table.key_of(ramp.hardware)) is not None})
    keys = [*known, *(key for key in table.gpu if key not in known)] if known else []
    plans = [_plan(found, key, table, curves=key in known) for key in keys]
    return {"plans": [p for p in plans if p["engines"]], "as_of": str(table.as_of)}


def _plan(found: Sequence[Ramp], key: str, table: GpuTable, *, curves: bool) -> dict[str, Any]:
    to = target(table, key, None)
    told = [estimate for ramp in found for estimate in estimates(ramp, to, table)]
    engines = []
    for engine in dict.fromkeys(ramp.engine for ramp in found):
        chosen = headline(told, engine)
        if chosen is None or not chosen.sessions:
            continue
        money = cost(chosen.sessions, to.price, None, BLOCKING)
        engines.append(
            {
                "engine": engine,
                "model": chosen.ramp.model,
                "precision": chosen.ramp.precision,
                "measured_on": chosen.ramp.hardware,
                "basis": chosen.basis,
                "status": chosen.status,
                "sessions": chosen.sessions,
                "ci95": None if chosen.low is None else [chosen.low, chosen.high],
                "usd_full": money.usd_full and round(money.usd_full, 6),
                "usd_blocking": money.usd_blocking and round(money.usd_blocking, 6),
                "notes": list(chosen.notes),
                "curve": _curve(chosen.sessions, to.price) if curves else [],
            }
        )
    return {
        "gpu": key,
        "name": to.gpu.name if to.gpu else key,
        "usd_per_hour": to.price,
        "price_source": to.price_source,
        "engines": engines,
    }


def _curve(sessions: int, price: float | None) -> list[dict[str, Any]]:
    """What an hour of one caller costs with whole GPUs, for numbers of callers."""
    if price is None:
        return []
    found = []
    for callers in CALLERS:
        gpus = gpus_for(callers, sessions, BLOCKING)
        found.append({"callers": callers, "gpus": gpus, "usd": round(gpus * price / callers, 6)})
    return found
