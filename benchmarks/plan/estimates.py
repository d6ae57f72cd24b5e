"""Sessions per GPU from one ramp: what held, what a curve says, what another GPU bounds.

What comes from a fit, or from another GPU than the measured one, is called 'predicted, not
measured', and is held against memory and the floors. Knows no price and no number of callers.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmarks.load.ramp import Ramp
from benchmarks.plan.capacity import Fit, Point, TooFewSteps, bounds_elsewhere, fit
from benchmarks.plan.floors import PRECISIONS, shape_of
from benchmarks.plan.gpus import Gpu, load_gpus

MEASURED = "measured"  # as --gpu: the machine the rows come from, whatever it is
SOAK_S = 240  # a step held for less has not filled a call's history of 3000 frames
PREDICTED = "predicted, not measured"


@dataclass(frozen=True)
class Estimate:
    """Sessions per GPU on one basis; `low` and `high` are the fit's 95 % confidence interval.

    `nothing`: the rows are of a machine that says nothing about the GPU.
    """

    ramp: Ramp
    basis: Literal["measured", "fit", "at least", "at most", "nothing"]
    sessions: int | None  # None: the rows show no limit
    low: int | None = None
    high: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Whether it was seen to hold."""
        return {"measured": MEASURED, "nothing": "nothing measured"}.get(self.basis, PREDICTED)


def here(ramp: Ramp, gpu: Gpu | None) -> list[Estimate]:
    """For the machine the ramp was measured on: what held, and what a fit reads between steps."""
    measured = _seen(ramp)
    curve, trouble = curve_of(ramp)
    if curve is None:
        return [*measured, Estimate(ramp, "fit", None, notes=(trouble,))]
    knee, failed = ramp.knee()
    sessions = curve.sessions(ramp.target_ms, ramp.context)
    low, high = curve.sessions_interval(ramp.target_ms, ramp.context) or (None, None)
    notes = [*_about(curve, ramp, sessions)]
    if low is None:
        notes.append("no confidence interval: as many steps as coefficients")
    caps = {"memory ends it at {}": memory_limit(ramp, gpu)}
    caps["the next step failed when measured: at most {}"] = None if failed is None else failed - 1
    for why, cap in caps.items():
        if sessions is not None and cap is not None and cap < sessions:
            notes.append(f"{why.format(cap)}, where the curve alone would allow {sessions}")
            sessions = cap
            if low is not None:
                low, high = min(low, cap), min(cap, cap if high is None else high)
    floor = floor_limit(ramp, gpu)
    if sessions is not None and floor is not None and sessions > floor:
        notes.append(f"the floors forbid more than {floor}: check the rows and the model's name")
    if sessions is not None and sessions < knee:
        notes.append(f"{knee} were measured to hold: the curve is too high here")
    return [*measured, Estimate(ramp, "fit", sessions, low, high, tuple(notes))]


def _seen(ramp: Ramp) -> list[Estimate]:
    """What the steps themselves say, if any was measured at the planning context."""
    if not (steps := ramp.steps()):
        return []
    knee, failed = ramp.knee()
    notes = []
    if (lasted := min(r.seconds for r in steps)) < SOAK_S:
        notes.append(f"steps lasted {lasted:.0f} s; a session is one that holds {SOAK_S} s")
    if failed is None:
        notes.append("no step failed: the knee was not reached, there may be room for more")
    elif failed > knee + 1:
        notes.append(f"{knee or 'none'} held and {failed} did not; nobody looked between them")
    below_is_unknown = knee == 0 and failed != 1
    return [Estimate(ramp, "measured", None if below_is_unknown else knee, notes=tuple(notes))]


def elsewhere(ramp: Ramp, measured_on: Gpu, gpu: Gpu) -> list[Estimate]:
    """For another GPU: an end at least and an end at most, by the ratio of bandwidths."""
    curve, trouble = curve_of(ramp)
    ratio = gpu.bandwidth_gb_s / measured_on.bandwidth_gb_s
    caps = [c for c in (memory_limit(ramp, gpu), floor_limit(ramp, gpu)) if c is not None]
    ends = None
    if curve is not None:
        ends = bounds_elsewhere(curve, ramp.target_ms, ramp.context, ratio)
    if curve is None or ends is None:
        why = (trouble or _FLAT, *(["memory or floors allow no more"] if caps else []))
        return [Estimate(ramp, "at most", min(caps, default=None), notes=why)]
    low = min([ends[0], *caps])
    high = min(caps if ends[1] is None else [ends[1], *caps], default=None)
    how = (
        f"a bound, from {measured_on.name} by the ratio of bandwidths ({ratio:.2f}); it takes "
        "computing and host to differ by no more than that; measure on the GPU itself to know"
    )
    notes = (how, *_about(curve, ramp, None))
    return [Estimate(ramp, "at least", low, notes=notes), Estimate(ramp, "at most", high)]


_FLAT = "the figure does not grow with the calls: no limit can be read off; ramp further"


def curve_of(ramp: Ramp) -> tuple[Fit | None, str]:
    """The curve through a ramp's points; None, and a sentence saying why, if they are too few."""
    try:
        return fit(ramp.points()), ""
    except TooFewSteps as e:
        return None, f"no fit: {e}"


def _about(curve: Fit, ramp: Ramp, sessions: int | None) -> Iterable[str]:
    margins = curve.coefficient_margins()
    parts = [("", curve.a), ("·B", curve.b), *([("·B·ctx", curve.c)] if curve.c else [])]
    shown = [
        f"({value:.3g}{f' ± {margins[i]:.2g}' if margins else ''}){unit}"
        for i, (unit, value) in enumerate(parts)
    ]
    what = "tick p99" if ramp.by_tick else "v2v p95"
    yield f"{what} = {' + '.join(shown)} ms (± 95 % CI; worst step {curve.worst_ms:.2g} ms off)"
    if curve.worst_ms > 0.1 * ramp.target_ms:
        yield "a line describes these steps badly: believe the measured steps"
    if curve.sessions(ramp.target_ms, ramp.context) is None:
        yield _FLAT
    if sessions is not None and curve.beyond(sessions, ramp.context):
        yield (
            f"extrapolated: the curve is of up to {curve.most_calls} calls, "
            f"contexts {curve.contexts[0]:.0f} to {curve.contexts[1]:.0f}"
        )


def memory_limit(ramp: Ramp, gpu: Gpu | None) -> int | None:
    """Sessions that fit the GPU's memory, by a line through the ramp's; None if none shows."""
    points = [
        Point(r.calls, r.memory_bytes / 1e6)
        for r in ramp.rows
        if r.memory_bytes is not None and not r.refused
    ]
    if gpu is None or load_gpus().key_of(ramp.hardware) is None:
        return None
    try:
        return fit(points).sessions(gpu.memory_gb * 1e3)
    except TooFewSteps:
        return None


def floor_limit(ramp: Ramp, gpu: Gpu | None) -> int | None:
    """Sessions beyond which the floors of a known shape forbid any; None if none is known."""
    shape, precision = shape_of(ramp.model), PRECISIONS.get(ramp.precision)
    if gpu is None or shape is None or precision is None or not ramp.by_tick:
        return None
    # A context that is not known is 0: a limit of the weights alone, which forbids too little.
    in_time = shape.calls_in_time(precision, gpu, context=ramp.context)
    return int(min(in_time, shape.calls_in_memory(precision, gpu)))
