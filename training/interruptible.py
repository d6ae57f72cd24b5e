"""What every recipe's command does around its run: where it may begin, and how a signal ends it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from training.checkpoint import FILE


class Stoppable(Protocol):
    """A run that looks at `stopping` between steps."""

    stopping: bool

    def say(self, line: str, /) -> None:
        """Tells whoever watches."""
        ...


def require_place(folder: Path, *, resume: bool) -> None:
    """Raises ValueError, with the remedy, for a run to resume that is not there, or one that is."""
    if resume != (folder / FILE).exists():
        remedy = "leave out --resume" if resume else "add --resume, or give another --out"
        raise ValueError(f"{folder} holds {'no' if resume else 'a'} checkpoint: {remedy}")


@contextmanager
def ended_by_signals(run: Stoppable) -> Iterator[None]:
    """Ctrl-C and a kill end the run after its step; the handlers of before come back."""

    def stop(*_: object) -> None:
        run.stopping = True
        run.say("stopping after this step")

    previous = [signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), previous, strict=True):
            signal.signal(number, handler)
