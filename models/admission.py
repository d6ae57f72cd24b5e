"""Whether one more call fits: predicted from the tick times this machine showed, not from hope.

All calls of a batch are stepped together and share one deadline, so a call too many is late for
everyone. A new one is admitted only if the 99th percentile of the tick time, predicted for the
batch with it, stays within the budget. Knows nothing of models: a tick is a number of seconds.
"""

import math
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

QUANTILE = 0.99
RECENT_SECONDS = 40.0  # 500 ticks at 12.5 Hz: long enough for a percentile, short enough to forget
ENOUGH_TICKS = 100  # below, the 99th percentile is just the worst of a few
SHORTEST_RETRY, LONGEST_RETRY, FIRST_RETRY = 1.0, 60.0, 10.0  # seconds


@dataclass(frozen=True)
class Refusal:
    """Why there is no room, and in how many seconds it is worth asking again."""

    reason: str
    retry_after: float


class TickCurve:
    """p99 of the tick time by batch size: measured points, straight lines between them."""

    def __init__(self, p99: Mapping[int, float]) -> None:
        """`p99[batch]` in seconds, batch >= 1.

        Raises:
            ValueError: no points, or a time or a batch that is not positive.
        """
        if not p99 or min(p99) < 1 or not all(0 < t < math.inf for t in p99.values()):
            raise ValueError("a tick curve needs at least one batch size with a positive time")
        self.batches = sorted(p99)
        # More calls never take less time; where they seem to, the noise was in the smaller batch.
        self.seconds = [float(t) for t in np.maximum.accumulate([p99[b] for b in self.batches])]

    @classmethod
    def measure(
        cls,
        tick: Callable[[int], object],
        batches: Iterable[int],
        *,
        ticks: int = ENOUGH_TICKS,
        warm_up: int = 5,
        enough: float = math.inf,
        clock: Callable[[], float] = time.perf_counter,
    ) -> "TickCurve":
        """Times `tick(batch)` so often for every batch size, after a few that do not count.

        From the smallest on, and none that is larger than the first with a p99 beyond `enough`.
        """
        p99: dict[int, float] = {}
        for batch in sorted(batches):
            times: list[float] = []
            for _ in range(warm_up + ticks):
                started = clock()
                tick(batch)
                times.append(clock() - started)
            p99[batch] = quantile(times[warm_up:])
            if p99[batch] > enough:
                break
        return cls(p99)

    def p99(self, batch: int) -> float:
        """Seconds; beyond the measured batches the steepest measured slope goes on."""
        x, y = self.batches, self.seconds
        if batch <= x[0]:
            return y[0]
        if batch > x[-1]:
            return y[-1] + (batch - x[-1]) * self._steepest
        i = bisect_left(x, batch)
        return y[i - 1] + (y[i] - y[i - 1]) * (batch - x[i - 1]) / (x[i] - x[i - 1])

    def largest(self, budget: float) -> int:
        """The greatest measured batch size whose p99 is within the budget; 0 if none is."""
        fitting = [b for b, t in zip(self.batches, self.seconds, strict=True) if t <= budget]
        return max(fitting, default=0)

    @property
    def _steepest(self) -> float:
        x, y = self.batches, self.seconds
        slopes = [(y[i] - y[i - 1]) / (x[i] - x[i - 1]) for i in range(1, len(x))]
        # One point only: all of it is assumed to be the calls'.
        return max(slopes, default=y[0] / x[0])


class Admission:
    """Answers whether a call may join, and learns from the ticks and calls that it is told of.

    `budget` is the most the p99 of a tick may be, in seconds: the frame's length less what the way
    to the caller needs (64 of 80 ms in the project's own figures).
    """

    def __init__(
        self,
        curve: TickCurve,
        *,
        budget: float,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._curve = curve
        self._budget = budget
        self._slots = slots
        self._clock = clock
        self._recent: deque[tuple[float, int, float]] = deque()  # when, calls, seconds it took
        self._left: deque[float] = deque(maxlen=20)

    def ticked(self, calls: int, seconds: float) -> None:
        """A tick with so many calls took so long. Ticks of an empty batch tell nothing."""
        if calls:
            self._recent.append((self._clock(), calls, seconds))
        self._forget()

    def left(self) -> None:
        """A call has ended."""
        self._left.append(self._clock())

    def predict(self, calls: int) -> float:
        """p99 of the tick in seconds for so many calls.

        The curve's, or what the recent ticks say when that is more: the machine may have become
        busier since the curve was measured. They were of smaller batches; the curve's own growth
        from there to `calls` is added.
        """
        expected = self._curve.p99(calls)
        self._forget()
        if len(self._recent) < ENOUGH_TICKS:  # too few to speak against a measured curve
            return expected
        lifted = [t + max(0.0, expected - self._curve.p99(n)) for _, n, t in self._recent]
        return max(expected, quantile(lifted))

    def recent(self, share: float) -> float:
        """This quantile of the recent ticks with calls in them, seconds; 0 without any."""
        seconds = [t for _, _, t in self._recent]
        return float(np.quantile(seconds, share, method="higher")) if seconds else 0.0

    def refusal(self, calls: int) -> Refusal | None:
        """None if a call may join the `calls` there are."""
        if calls >= self._slots:
            return Refusal(f"all {self._slots} places are taken", self._until_next_end())
        predicted = self.predict(calls + 1)
        if predicted <= self._budget:
            return None
        reason = (
            f"with {_count(calls + 1)} a step would take {predicted * 1000:.0f} ms "
            f"(99th percentile), more than the {self._budget * 1000:.0f} ms it may"
        )
        return Refusal(reason, self._until_next_end())

    def _forget(self) -> None:
        """What was slow is not slow for ever: without calls no tick would ever say otherwise."""
        oldest = self._clock() - RECENT_SECONDS
        while self._recent and self._recent[0][0] < oldest:
            self._recent.popleft()

    def _until_next_end(self) -> float:
        """Seconds until a call is likely to end, from how often they have of late."""
        if len(self._left) < 2:
            return FIRST_RETRY
        # Up to now, not up to the last: when nobody has left for long, waiting is longer.
        gap = (self._clock() - self._left[0]) / len(self._left)
        return min(max(gap, SHORTEST_RETRY), LONGEST_RETRY)


def quantile(seconds: Iterable[float]) -> float:
    """The 99th percentile, never between two measurements but the worse of them."""
    return float(np.quantile(np.fromiter(seconds, float), QUANTILE, method="higher"))


def _count(calls: int) -> str:
    return "1 call" if calls == 1 else f"{calls} calls"
