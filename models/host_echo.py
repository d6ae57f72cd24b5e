"""An engine without a model: every chunk comes back at once. What is left is the way to it.

    python -m models.host_server ADDRESS models.host_echo:EchoHost '{}'

With `s2s.address = ADDRESS` a server's calls run on it (`benchmarks/overhead.py`).
"""

from dataclasses import dataclass, field

from models.host_engine import End
from models.host_messages import Chunk, Option


@dataclass
class EchoStream:
    """One call."""

    end: End | None = None
    waiting: list[Chunk] = field(default_factory=list)

    @property
    def counters(self) -> dict[str, float]:
        """Nothing is counted."""
        return {}

    def push(self, chunk: Chunk) -> None:
        """What comes back."""
        self.waiting.append(chunk)

    def finish(self) -> None:
        """No more will."""
        self.end = End("finished")

    def take(self) -> list[Chunk]:
        """All since the last time."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def close(self) -> None:
        """The caller is gone."""
        self.end = self.end or End("closed")


class EchoHost:
    """Answers whenever it is spoken to, so that nobody waits for a tick."""

    period: float | None = None

    def open(self, options: dict[str, Option]) -> EchoStream:
        """Any options are as good as any."""
        return EchoStream()

    def tick(self, deadline: float | None) -> bool:
        """There is never more to do."""
        return False

    def skipped(self, ticks: int) -> None:
        """Does not happen without a period."""

    def health(self) -> dict[str, float]:
        """Nothing to tell."""
        return {}
