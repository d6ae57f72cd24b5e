"""`maata plan`: how many callers a GPU carries and what an hour costs, from a measured ramp.

Puts each engine on a GPU at a price, chooses the estimate to plan with, and says where the cheaper
engine changes. Measures nothing, and without rows it says nothing; how a row is read, a curve
fitted and a table drawn is not known here.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.load.ramp import LoadRow, PlanError, Ramp, ramps, read_rows
from benchmarks.plan.capacity import Fleet, cost, cross_over
from benchmarks.plan.estimates import (
    MEASURED,
    PREDICTED,
    Estimate,
    curve_of,
    elsewhere,
    floor_limit,
    here,
)
from benchmarks.plan.floors import CASCADE_TURN, claim_rows, floor_rows
from benchmarks.plan.gpus import FloorError, Gpu, GpuTable, load_gpus
from benchmarks.plan.table import show


@dataclass(frozen=True)
class Target:
    """Where an engine is to run; `gpu` is None for the measured machine, whatever it is."""

    key: str
    gpu: Gpu | None
    price: float | None  # USD per hour of one GPU
    price_source: str


def target(table: GpuTable, key: str, price: float | None) -> Target:
    """The GPU of a key, at the table's price unless one is given.

    Raises:
        FloorError: no such GPU.
    """
    key = key.lower()
    gpu = None if key == MEASURED else table.get(key)
    if price is not None:
        return Target(key, gpu, price, "given")
    if gpu is None:
        return Target(key, None, None, "none: give one with --price")
    source = f"{gpu.price_source} (table of {table.as_of})"
    return Target(key, gpu, gpu.usd_per_hour, source)


def estimates(ramp: Ramp, to: Target, table: GpuTable) -> list[Estimate]:
    """What a ramp says about a target."""
    key = table.key_of(ramp.hardware)
    measured_on = None if key is None else table.get(key)
    if to.gpu is None or to.key == key:
        return here(ramp, measured_on)
    if measured_on is not None:
        return elsewhere(ramp, measured_on, to.gpu)
    note = (
        f"measured on {ramp.hardware}, whose memory bandwidth is not in the table: that says "
        f"nothing about an {to.gpu.name}; run `maata bench --suite load` there"
    )
    if (floor := floor_limit(ramp, to.gpu)) is None:
        return [Estimate(ramp, "nothing", None, notes=(note,))]
    return [Estimate(ramp, "at most", floor, notes=(note, "the floors alone forbid more"))]


def headline(found: Sequence[Estimate], engine: str) -> Estimate | None:
    """The estimate to plan with: measured, else fitted, else a lower bound; never an upper one."""
    order = ("measured", "fit", "at least")
    usable = [
        e for e in found if e.ramp.engine == engine and e.basis in order and e.sessions is not None
    ]
    return min(usable, key=lambda e: (order.index(e.basis), -(e.sessions or 0)), default=None)


def crossing(
    s2s: Estimate | None, cascade: Estimate | None, prices: dict[str, float | None], blocking: float
) -> dict | None:
    """Where the cheaper engine changes: with the callers, and with the latency one accepts."""
    s2s_usd, cascade_usd = prices["s2s"], prices["cascade"]
    if s2s is None or cascade is None or s2s_usd is None or cascade_usd is None:
        return None
    if not s2s.sessions or not cascade.sessions:
        return None
    fleets = {"s2s": Fleet(s2s.sessions, s2s_usd), "cascade": Fleet(cascade.sessions, cascade_usd)}
    large, other = sorted(fleets, key=lambda e: fleets[e].price / fleets[e].sessions)
    # With that many calls on its GPU a cascade's session costs what one of s2s does.
    equal = s2s.sessions * cascade_usd / s2s_usd
    curve = None
    if cascade.basis != "at least" and not cascade.ramp.by_tick:
        curve = curve_of(cascade.ramp)[0]
    return {
        "status": PREDICTED,
        "bases": {"s2s": s2s.basis, "cascade": cascade.basis},
        "cheaper_per_session": large,
        "never_dearer_from_callers": cross_over(fleets[large], fleets[other], blocking),
        "equal_cost_at_cascade_v2v_ms_p95": None if curve is None else round(curve.ms(equal), 1),
        "extrapolated": curve is not None and curve.beyond(equal, cascade.ramp.context),
    }


def plan(
    rows: Sequence[LoadRow],
    targets: dict[str, Target],
    callers: int | None,
    *,
    context: float | None,
    v2v_ms: float,
    blocking: float,
) -> dict:
    """The whole plan as one JSON-ready object; `targets` has one for each engine."""
    table = load_gpus()
    found = [
        e for r in ramps(rows, v2v_ms, context) for e in estimates(r, targets[r.engine], table)
    ]
    plans = {engine: headline(found, engine) for engine in targets}
    prices = {engine: t.price for engine, t in targets.items()}
    return {
        "targets": {engine: _target(t, engine, table) for engine, t in targets.items()},
        "callers": callers,
        "blocking": blocking,
        "estimates": [_row(e, prices[e.ramp.engine], callers, blocking) for e in found],
        "plan": {k: e and {"basis": e.basis, "sessions": e.sessions} for k, e in plans.items()},
        "cross_over": crossing(plans["s2s"], plans["cascade"], prices, blocking),
    }


def _target(t: Target, engine: str, table: GpuTable) -> dict:
    said = {"gpu": t.key, "usd_per_hour": t.price, "price_source": t.price_source}
    if t.gpu is None:
        return said | {"name": "the measured machine"}
    said["name"] = t.gpu.name
    if engine == "s2s":
        return said | {"floors": floor_rows(t.gpu), "claims": claim_rows(table, t.key)}
    floor = {d.name: round(d.floor_ms(t.gpu), 1) for d in CASCADE_TURN}
    return said | {"turn_decode_floor_ms": floor}


def _row(e: Estimate, price: float | None, callers: int | None, blocking: float) -> dict:
    money = {} if e.sessions is None else asdict(cost(e.sessions, price, callers, blocking))
    return {
        "engine": e.ramp.engine,
        "model": e.ramp.model,
        "precision": e.ramp.precision,
        "hardware": e.ramp.hardware,
        "context": e.ramp.context,
        "target_ms": e.ramp.target_ms,
        "basis": e.basis,
        "status": e.status,
        "sessions": e.sessions,
        "ci95": None if e.low is None else [e.low, e.high],
        **{k: round(v, 4) if isinstance(v, float) else v for k, v in money.items()},
        "notes": list(e.notes),
    }


def run_plan(
    directory: Path,
    gpu: str,
    callers: int | None = None,
    *,
    price: float | None = None,
    cascade_gpu: str | None = None,
    cascade_price: float | None = None,
    context: float | None = None,
    v2v_ms: float = 1100.0,
    blocking: float = 0.01,
) -> int:
    """The command: prints the plan, and as the last line of stdout one JSON object.

    `gpu` is a key of `gpus.toml`, or `measured`: the machine the rows come from. `cascade_gpu` puts
    the cascade on another one. `context` is in frames of history; `v2v_ms` is what a p95 may be
    where ticks are not measured. Returns 0; 1 if the rows carry no plan for the GPU; 2 for a
    mistake.
    """

    def complain(sentence: object) -> None:
        Console(stderr=True).print(f"plan: {sentence}", markup=False, soft_wrap=True)

    try:
        _within("--callers", callers, 1, 1_000_000)
        _within("--price", price, 0.0001, 10_000)
        _within("--cascade-price", cascade_price, 0.0001, 10_000)
        _within("--context", context, 0, 1_000_000)
        _within("--v2v-ms", v2v_ms, 1, 60_000)
        _within("--blocking", blocking, 0.0001, 0.9)
        rows = read_rows(directory)
        table = load_gpus()
        s2s = target(table, gpu, price)
        cascade = s2s
        if cascade_gpu is not None or cascade_price is not None:
            cascade = target(table, cascade_gpu or gpu, cascade_price)
        targets = {"s2s": s2s, "cascade": cascade}
        result = plan(rows, targets, callers, context=context, v2v_ms=v2v_ms, blocking=blocking)
    except (PlanError, FloorError) as e:
        complain(e)
        return 2
    show(result, Console())
    planned = any(result["plan"].values())
    if not planned:
        complain(f"the rows of {directory} carry no plan for {gpu}; the notes say why")
    print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0 if planned else 1


def _within(option: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise PlanError(f"{option} {value}: give a number from {low:g} to {high:g}")
