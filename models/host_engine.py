"""What an engine must be to live in a host process: four methods, and streams with five.

Knows nothing of processes or sockets. All methods are called from one thread. An engine that
raises from `tick` is considered broken: its streams end and its process is replaced.
"""

from dataclasses import dataclass
from typing import Protocol

from models.host_messages import Chunk, Option


class OpenRefused(Exception):
    """The engine takes no further stream, or not this one; the client is told why."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after  # seconds, None when trying again will not help


@dataclass(frozen=True)
class End:
    """Why a stream is over; `fault` when it did not come to its own end."""

    reason: str
    fault: bool = False


class HostStream(Protocol):
    """One client's conversation with the engine."""

    @property
    def end(self) -> End | None:
        """None while the stream lives; chunks may still be taken after its end."""
        ...

    @property
    def counters(self) -> dict[str, float]:
        """Figures of this stream, sent to the client with its end."""
        ...

    def push(self, chunk: Chunk) -> None:
        """Takes input; ValueError, which ends the stream, for a chunk that makes no sense."""
        ...

    def finish(self) -> None:
        """The client will push no more."""
        ...

    def take(self) -> list[Chunk]:
        """Output since the last call, oldest first."""
        ...

    def close(self) -> None:
        """Frees what the stream holds, whether it has ended or not."""
        ...


class HostEngine(Protocol):
    """A model that serves streams."""

    period: float | None
    """Seconds from tick to tick; None for an engine that ticks whenever it has work."""

    def open(self, options: dict[str, Option]) -> HostStream:
        """A new stream; raises OpenRefused, or ValueError for options it does not know."""
        ...

    def tick(self, deadline: float | None) -> bool:
        """Does one piece of work, due by `deadline` (monotonic seconds); True if more waits."""
        ...

    def skipped(self, ticks: int) -> None:
        """So many ticks were left out because the process had fallen too far behind."""
        ...

    def health(self) -> dict[str, float]:
        """Figures of the engine for whoever watches the host."""
        ...
