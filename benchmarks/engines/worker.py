"""The process that times (`models.fullsize`), held from outside: started, asked, watched, ended.

A worker that breaks or hangs costs its point; the next point gets a new one. Knows the protocol,
not what is measured.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.engines.rows import EnginesError
from benchmarks.server.talker import Ended, Silent, Talker


class PointFailed(Exception):
    """This point gave no figures, or not all of them; the sentence says why."""


class Worker:
    """`with Worker(log) as worker: for row in worker.rows(message, limit): …`"""

    def __init__(self, log: Path, *, tiny: bool) -> None:
        self._log, self._tiny = log, tiny
        self._talker: Talker | None = None
        self.starts = 0

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def rows(self, message: dict[str, Any], limit_s: float) -> Iterator[dict[str, Any]]:
        """The rows of one point, as they come.

        Raises:
            PointFailed: the worker said so, ended, or was ended after `limit_s` seconds.
        """
        until = time.monotonic() + limit_s
        talker = self._running()
        try:
            talker.tell(message)
            while True:
                said = talker.hear(until)
                if "row" in said:
                    yield said["row"]
                elif "failed" in said:
                    if said["over"]:
                        self.stop()  # it is ending: the next point must not be asked of it
                    raise PointFailed(said["failed"])
                else:
                    if said.get("over"):
                        self.stop()  # it is ending
                    return
        except Silent:
            self.stop()
            raise PointFailed(f"not done after {limit_s:.0f} s, and ended there") from None
        except Ended as e:
            self.stop()
            raise PointFailed(f"the worker ended: {e}") from None

    def stop(self) -> None:
        """Ends the process; what it had begun is lost."""
        talker, self._talker = self._talker, None
        if talker is not None:
            talker.stop()

    def _running(self) -> Talker:
        if self._talker is not None and self._talker.alive:
            return self._talker
        self.starts += 1
        try:
            arguments = ["--tiny"] if self._tiny else []
            self._talker = Talker("models.fullsize", arguments, self._log)
        except OSError as e:
            raise EnginesError(f"the worker cannot be started: {e}") from e
        return self._talker
