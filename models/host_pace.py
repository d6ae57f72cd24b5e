"""When the next tick is due: absolute deadlines on an injected clock, so that nothing drifts.

A loop that sleeps a period after each tick runs slow by the tick's own length; here tick n is due
at `start + n * period`, whatever the ticks before it took.
"""

import time
from collections.abc import Callable


class Pace:
    """Due times a period apart.

    A late tick makes the following ones run without pause until the schedule is met again, since
    every caller still wants each of his frames. Only beyond `patience` seconds (the machine slept,
    the process was stopped) is the rest left out and the schedule laid anew.
    """

    def __init__(
        self,
        period: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 1.0,
    ) -> None:
        self._period = period
        self._clock = clock
        self._patience = patience
        self._start = clock()
        self._ticks = 0

    @property
    def due(self) -> float:
        """When the next tick should begin, on the clock."""
        return self._start + self._ticks * self._period

    def wait(self) -> float:
        """Seconds until then, 0 when it is time."""
        return max(0.0, self.due - self._clock())

    def begin(self) -> tuple[float, int]:
        """Starts a tick: its deadline (when the next one is due), and how many were left out."""
        late = self._clock() - self.due
        skipped = int(late / self._period) if late > self._patience else 0
        self._ticks += skipped + 1
        return self.due, skipped
