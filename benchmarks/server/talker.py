"""A process that is told things in lines of JSON, and answers in such lines; it prints to a log.

Needs the standard library alone: the engines' plan runs where little else is installed. Knows
nothing of what is said.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


class Silent(Exception):
    """It has not answered in time; it may still be at work."""


class Ended(Exception):
    """It is no more; the sentence has the last line of its log."""


class Talker:
    """A module of this project as such a process, from its start to `stop`."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        """Starts it; `log` takes what it prints. Raises OSError where it cannot be started."""
        self._log = log
        with log.open("a", encoding="utf-8") as errors:
            # In a session of its own: Ctrl-C is for whoever holds it, who ends it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        passing = (self._process.stdout, self._lines)
        threading.Thread(target=_forward, args=passing, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def tell(self, told: dict[str, Any]) -> None:
        """One line to it. Raises Ended."""
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(told) + "\n")
            stdin.flush()
        except OSError as e:
            raise self._ended() from e

    def hear(self, until: float) -> dict[str, Any]:
        """The next line from it, waited for until that time of the monotonic clock.

        Raises Silent, Ended.
        """
        try:
            line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise Silent from None
        if line is None:
            raise self._ended()
        return json.loads(line)

    def stop(self, patience_s: float = 0.0) -> None:
        """Ends it: by closing its stdin and so much patience, then by a kill."""
        process = self._process
        if patience_s and process.stdin is not None:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
        process.kill()  # nothing happens to one that has ended
        process.wait()

    def _ended(self) -> Ended:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return Ended(f"{said[-1] if said else 'it said nothing'} (all in {self._log})")


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)
