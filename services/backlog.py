"""How much of an answer waits on its way to a caller who listens in real time.

The output transport sends audio no faster than it is heard. Counts what was handed over against
the clock; knows nothing of frames.
"""

from collections.abc import Callable

LONG = 0.1  # seconds: the transport runs a frame (80 ms) ahead, which delays nothing


class Backlog:
    """One stream of audio."""

    def __init__(self, rate: int, now: Callable[[], float]) -> None:
        """`rate` in samples a second, `now` in seconds."""
        self._rate = rate
        self._now = now
        self._at = now()
        self._samples = 0.0

    def add(self, samples: int) -> None:
        """So many more were handed over."""
        self._samples = self.waiting + samples
        self._at = self._now()

    @property
    def waiting(self) -> float:
        """Samples not yet heard."""
        return max(0.0, self._samples - (self._now() - self._at) * self._rate)

    @property
    def short(self) -> bool:
        """Whether one more frame would be heard in time."""
        return self.waiting <= LONG * self._rate
