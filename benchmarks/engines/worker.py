"""The process that times (`models.fullsize`), held from outside: started, asked, watched, ended.

A worker that breaks or hangs costs its point; the next point gets a new one. Knows the protocol,
not what is measured.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from benchmarks.engines.rows import EnginesError

ROOT = Path(__file__).resolve().parents[2]


class PointFailed(Exception):
    """This point gave no figures, or not all of them; the sentence says why."""


class Worker:
    """`with Worker(log) as worker: for row in worker.rows(message, limit): …`"""

    def __init__(self, log: Path, *, tiny: bool) -> None:
        self._log, self._tiny = log, tiny
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
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
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except OSError:
            raise PointFailed(self._ended()) from None
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self.stop()
                raise PointFailed(f"not done after {limit_s:.0f} s, and ended there") from None
            if line is None:
                raise PointFailed(self._ended())
            said = json.loads(line)
            if "row" in said:
                yield said["row"]
            elif "failed" in said:
                if said["over"]:
                    self.stop()  # it is ending: the next point must not be asked of it
                raise PointFailed(said["failed"])
            else:
                return

    def stop(self) -> None:
        """Ends the process; what it had begun is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        command = [sys.executable, "-m", "models.fullsize", *(["--tiny"] if self._tiny else [])]
        self._lines = queue.SimpleQueue()
        self.starts += 1
        with self._log.open("a", encoding="utf-8") as log:
            try:
                # In a session of its own: Ctrl-C is for whoever holds it, who ends it.
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
            except OSError as e:
                raise EnginesError(f"{command[0]} cannot be started: {e}") from e
        assert process.stdout is not None
        threading.Thread(target=_forward, args=(process.stdout, self._lines), daemon=True).start()
        self._process = process
        return process

    def _ended(self) -> str:
        self.stop()
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the worker ended: {said[-1] if said else 'it said nothing'} (all in {self._log})"


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)
