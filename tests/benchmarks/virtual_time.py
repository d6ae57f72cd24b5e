"""An event loop whose clock jumps to the next timer when there is nothing left to read.

Sockets are real, and on the loopback what one end has sent the other can read at once; so with both
ends in this loop everything happens in the order and at the times that a machine without load
would show, whatever the load of this one.
"""

import asyncio
import os
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never waits: reports what is ready, or lets `skip` take the time that would have passed."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0  # seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        os.sched_yield()  # the kernel may still be delivering
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` counts what was skipped and nothing else."""

    def __init__(self) -> None:
        self._skipping = _Selector()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


class LoopClock:
    """The caller's clock on such a loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, deadline - self.now()))


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine` on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
