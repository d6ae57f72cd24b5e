"""A server of one's own: `maata serve` as a child process, from start to ready to its end.

Knows the command line of the server and its `ready` line; nothing about calls.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO

STOP_S = 15.0  # for an orderly end; after it the process is killed


class ServerFailed(Exception):
    """The server did not come up; the message says where its log is and how it ended."""


class Server:
    """`with Server(log) as server: server.url` is ready for calls; the process ends with the block.

    The server picks a free port and says so; its stderr goes into `log`.
    """

    def __init__(self, log: Path, *arguments: str, ready_s: float = 300.0):
        self.log = log
        self.url = ""
        self._command = [sys.executable, "-m", "maata.cli", "serve", "--port", "0", *arguments]
        self._ready_s = ready_s
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> "Server":
        """Starts the process and waits for its `ready http://…` line.

        Raises:
            ServerFailed: it ended, or said nothing for `ready_s` seconds.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w", encoding="utf-8") as log:
            # In a session of its own, so that Ctrl-C reaches the caller, who ends it in order.
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        assert self._process.stdout is not None
        threading.Thread(
            target=_forward, args=(self._process.stdout, self._lines), daemon=True
        ).start()
        try:
            self.url = self._await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id; None before it was started."""
        return None if self._process is None else self._process.pid

    def _await_ready(self) -> str:
        until = time.monotonic() + self._ready_s
        while time.monotonic() < until:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
            if not line:
                raise ServerFailed(f"the server ended before it was ready{self._why()}")
            if line.startswith("ready "):
                return line.split(maxsplit=1)[1].strip()
        raise ServerFailed(f"the server was not ready after {self._ready_s:.0f} s{self._why()}")

    def _why(self) -> str:
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"; it said: {said[-1]} (all of it in {self.log})" if said else ""

    def stop(self) -> int | None:
        """Ends the process in order, or by force after `STOP_S`; returns its exit status."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode


def _forward(stream: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    """Reads the server's stdout to its end, so that the server never waits for a reader."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put("")
