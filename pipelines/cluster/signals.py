"""The signals that end a server on a cluster, and the end that comes in any case.

Knows nothing of Ray.
"""

import os
import signal
import threading
from types import FrameType

END_SECONDS = 30.0  # for a dozen processes to end


class Signals:
    """SIGTERM and SIGINT, counted: the first begins the end, the second does not wait for it."""

    def __init__(self) -> None:
        """Nothing is heard before `listen`."""
        self.count = 0

    def listen(self) -> None:
        """Count from here on; again after somebody else has taken the signals."""
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 2:
            end_at_the_latest()  # whatever Ray is waiting for


def end_at_the_latest() -> threading.Timer:
    """Ends this process in END_SECONDS, unless it is cancelled: Ray waits for ever for a cluster
    that died."""
    timer = threading.Timer(END_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    return timer
