"""From a ramp of callers to sessions per GPU, and from sessions to money: the mathematics alone.

Step times follow t(B) = a + b*B (+ c*B*ctx): what a step costs whoever is there, what each call
adds, and what each frame of its history adds (keys and values are read for every call). Callers who
come at random need spare sessions: see `erlang`. Knows no GPU, no file and no price.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from benchmarks.plan.erlang import offered_load, servers_for

CONFIDENCE = 0.95
MOST_CALLS = 4096  # on one machine: a curve that allows more is called flat, and has no limit
ROUNDING = 1e-9  # relative: a step exactly at its deadline keeps it


class TooFewSteps(ValueError):
    """The ramp does not determine the curve; the sentence names what to measure."""


@dataclass(frozen=True)
class Point:
    """One step of a ramp: `calls` at once took `ms`, with `context` frames of history each."""

    calls: int
    ms: float
    context: float = 0.0


@dataclass(frozen=True, eq=False)
class Fit:
    """t(B, ctx) = a + b*B + c*B*ctx by least squares; c is 0 where one context was measured."""

    a: float
    b: float
    c: float
    covariance: np.ndarray | None  # [2, 2] or [3, 3]; None: as many points as coefficients
    freedom: int  # points less coefficients
    most_calls: int
    contexts: tuple[float, float]  # least and most that were measured
    worst_ms: float  # the largest distance of a point from the curve

    def ms(self, calls: float, context: float = 0.0) -> float:
        """The step time the curve gives."""
        return self.a + self.per_call(context) * calls

    def per_call(self, context: float = 0.0) -> float:
        """What one more call adds, ms."""
        return self.b + self.c * context

    def margin_ms(self, calls: np.ndarray, context: float = 0.0) -> np.ndarray | None:
        """Half the width of the curve's confidence band at each number of calls.  # [N] -> [N]"""
        if self.covariance is None:
            return None
        columns = [np.ones(len(calls)), calls, calls * context][: len(self.covariance)]
        at = np.stack(columns, axis=1)  # [N, 2 or 3]
        variance = np.einsum("ni,ij,nj->n", at, self.covariance, at)
        return self._quantile() * np.sqrt(np.maximum(variance, 0.0))

    def coefficient_margins(self) -> tuple[float, ...] | None:
        """Half the widths of the confidence intervals of a, b (and c)."""
        if self.covariance is None:
            return None
        return tuple(float(m) for m in self._quantile() * np.sqrt(np.diag(self.covariance)))

    def sessions(self, deadline_ms: float, context: float = 0.0) -> int | None:
        """The most calls whose step keeps the deadline; None if calls cost nothing in this fit."""
        left = deadline_ms * (1 + ROUNDING) - self.a
        if left >= self.per_call(context) * MOST_CALLS:
            return None
        return max(0, math.floor(left / self.per_call(context))) if left > 0 else 0

    def sessions_interval(
        self, deadline_ms: float, context: float = 0.0
    ) -> tuple[int, int | None] | None:
        """The sessions at the upper and the lower edge of the band; an open end is None."""
        calls = np.arange(1, MOST_CALLS + 1, dtype=float)
        margin = self.margin_ms(calls, context)
        if margin is None:
            return None
        curve = self.a + self.per_call(context) * calls
        deadline = deadline_ms * (1 + ROUNDING)
        low, high = (_leading(curve + sign * margin <= deadline) for sign in (1, -1))
        return low, None if high == MOST_CALLS else high

    def beyond(self, calls: float, context: float = 0.0) -> bool:
        """Whether that lies outside of what was measured."""
        return calls > self.most_calls or not self.contexts[0] <= context <= self.contexts[1]

    def scaled(self, factor: float) -> "Fit":
        """The same curve on a machine where everything takes `factor` times as long."""
        covariance = None if self.covariance is None else self.covariance * factor**2
        return Fit(
            *(factor * x for x in (self.a, self.b, self.c)),
            covariance=covariance,
            freedom=self.freedom,
            most_calls=self.most_calls,
            contexts=self.contexts,
            worst_ms=factor * self.worst_ms,
        )

    def _quantile(self) -> float:
        return float(student.ppf((1 + CONFIDENCE) / 2, self.freedom))


def fit(points: Sequence[Point]) -> Fit:
    """Least squares over the steps; with c where more than one context was measured.

    Raises:
        TooFewSteps: the points leave a coefficient open.
    """
    contexts = [p.context for p in points]
    calls = np.array([p.calls for p in points], dtype=float)
    ms = np.array([p.ms for p in points])
    columns = [np.ones(len(points)), calls]
    if len(set(contexts)) > 1:
        columns.append(calls * np.array(contexts))
    design = np.stack(columns, axis=1)  # [N, 2 or 3]
    if len(points) < len(columns) or np.linalg.matrix_rank(design) < len(columns):
        raise TooFewSteps(
            f"{len(points)} step(s) do not determine {len(columns)} coefficients; measure at least "
            "two numbers of calls, and at least two of them at every context"
        )
    q, r = np.linalg.qr(design)
    found = np.linalg.solve(r, q.T @ ms)
    rest = ms - design @ found
    freedom = len(points) - len(columns)
    covariance = None
    if freedom:
        inverse = np.linalg.inv(r)
        covariance = (inverse @ inverse.T) * float(rest @ rest) / freedom
    return Fit(
        a=float(found[0]),
        b=float(found[1]),
        c=float(found[2]) if len(found) == 3 else 0.0,
        covariance=covariance,
        freedom=freedom,
        most_calls=max(p.calls for p in points),
        contexts=(min(contexts), max(contexts)),
        worst_ms=float(np.abs(rest).max()),
    )


def bounds_elsewhere(
    curve: Fit, deadline_ms: float, context: float, bandwidth_ratio: float
) -> tuple[int, int | None] | None:
    """At least and at most so many sessions on a GPU of `bandwidth_ratio` times the bandwidth.

    A step is made of memory traffic, which scales with the bandwidth, and of launches and other
    work, which does not: its time lies between unchanged and divided by the ratio. Each end takes
    the far edge of its confidence band; an open end is None. None where neither has a limit.
    """
    both = (curve, curve.scaled(1 / bandwidth_ratio))
    found = [one.sessions(deadline_ms, context) for one in both]
    if found[0] is None and found[1] is None:
        return None
    ends: list[tuple[int, int | None]] = []
    for one, sessions in zip(both, found, strict=True):
        exact = (MOST_CALLS if sessions is None else sessions, sessions)
        ends.append(one.sessions_interval(deadline_ms, context) or exact)
    highs = [high for _, high in ends]
    most = None if None in highs else max(h for h in highs if h is not None)
    return min(low for low, _ in ends), most


def gpus_for(callers: float, sessions: int, blocking: float) -> int:
    """The fewest GPUs whose pooled sessions carry `callers` erlang at that blocking."""
    return math.ceil(servers_for(callers, blocking) / sessions)


@dataclass(frozen=True)
class Cost:
    """What one GPU of some sessions carries, and what a caller's hour costs on it.

    `usd_full` divides the price by the sessions, as if none were ever free; `usd_blocking` by the
    load one GPU carries when callers come at random and that share of them is turned away.
    """

    load_erlang: float
    use: float  # load over sessions
    usd_full: float | None  # None: no price, or nothing is carried
    usd_blocking: float | None
    gpus_full: int | None  # for the callers asked about, every one of them at once, none to spare
    gpus_blocking: int | None  # for as many on average, coming at random


def cost(sessions: int, price: float | None, callers: int | None, blocking: float) -> Cost:
    """The figures of one GPU with that many sessions; `price` is of one GPU-hour."""
    if sessions == 0:
        return Cost(0.0, 0.0, None, None, None, None)
    load = offered_load(sessions, blocking)
    return Cost(
        load_erlang=load,
        use=load / sessions,
        usd_full=None if price is None else price / sessions,
        usd_blocking=None if price is None else price / load,
        gpus_full=None if callers is None else math.ceil(callers / sessions),
        gpus_blocking=None if callers is None else gpus_for(callers, sessions, blocking),
    )


@dataclass(frozen=True)
class Fleet:
    """As many GPUs as needed, each of `sessions` sessions (at least 1) at `price` an hour."""

    sessions: int
    price: float

    def usd_per_hour(self, callers: int, blocking: float) -> float:
        """For that many callers on average, coming at random."""
        return gpus_for(callers, self.sessions, blocking) * self.price


def cross_over(large: Fleet, other: Fleet, blocking: float, up_to: int = 1000) -> int | None:
    """The number of callers from which `large` is never dearer than `other`, looked for to `up_to`.

    With few callers whole GPUs decide, so the dearer session may be the cheaper fleet. None: not
    even at `up_to`.
    """
    last = 0
    for callers in range(1, up_to + 1):
        if large.usd_per_hour(callers, blocking) > other.usd_per_hour(callers, blocking):
            last = callers
    return None if last == up_to else last + 1


def _leading(kept: np.ndarray) -> int:
    """How many are true before the first that is not."""
    return len(kept) if kept.all() else int(np.argmin(kept))
