"""A real server process for the page, and the browser to open it in.

Without Chromium or a built page these tests are skipped with one loud line; in CI they fail.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from time import monotonic, sleep
from typing import Any

import pytest

from pipelines.info import page_directory

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOAD_SECONDS = 90
_missing: list[str] = []


def _require(found: str | None, remedy: str) -> str:
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(remedy)
    if remedy not in _missing:
        _missing.append(remedy)
    pytest.skip(remedy)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One loud line: a skipped dot is overlooked."""
    for remedy in _missing:
        terminalreporter.write_line(f"PAGE TESTS SKIPPED: {remedy}", red=True, bold=True)


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where Chromium is."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return _require(found, "no Chromium here; install the package `chromium`")


class ServerProcess:
    """`maata serve` as its users start it, on a free port of loopback."""

    def __init__(self, log: Path, *settings: str) -> None:
        """Remember how to start; `settings` are `--set` pairs."""
        self._log = log
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, port: int = 0) -> None:
        """Start and wait until it says that calls can be made."""
        command = [str(Path(sys.executable).parent / "maata"), "serve", "--port", str(port)]
        for setting in self._settings:
            command += ["--set", setting]
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment()
            )
        lines: Queue[str] = Queue()
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True).start()
        deadline = monotonic() + LOAD_SECONDS
        while not self.url_in(lines):
            dead = self._process.poll() is not None
            if dead or monotonic() > deadline:
                self.kill()
                pytest.fail(f"the server did not start:\n{self._log.read_text(encoding='utf-8')}")

    def url_in(self, lines: "Queue[str]") -> bool:
        """Take the address from the `ready …` line, when it has come."""
        try:
            line = lines.get(timeout=0.2)
        except Empty:
            return False
        if not line.startswith("ready "):
            return False
        self.url = line.split()[1]
        return True

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def active_calls(self) -> int:
        """Calls on it right now, by its own account."""
        with urllib.request.urlopen(f"{self.url}/api/info", timeout=5) as answer:
            return json.load(answer)["active_calls"]

    def wait_active(self, count: int, seconds: float = 10.0) -> None:
        """Wait until it has this many calls."""
        deadline = monotonic() + seconds
        while self.active_calls() != count:
            assert monotonic() < deadline, f"{self.active_calls()} calls, expected {count}"
            sleep(0.05)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _read(stream: Any, lines: "Queue[str]") -> None:
    for line in stream:
        lines.put(line.strip())


# What the page does is held to seconds here; SpeechT5 takes ten to load beside a browser's start.
QUICK_VOICE = "cascade.tts.engine=espeak"


def require_page() -> str:
    """Where the built page is."""
    index = page_directory() / "index.html"
    found = str(index) if index.is_file() else None
    return _require(found, "the call page is not built; run `make page`")


@pytest.fixture(scope="module")
def server(browser_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The starter profile with a single line, so that a second caller is refused."""
    require_page()
    log = tmp_path_factory.mktemp("server") / "log"
    process = ServerProcess(log, QUICK_VOICE, "limits.max_calls=1")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_server(browser_path: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that the test may kill."""
    require_page()
    process = ServerProcess(tmp_path / "log", QUICK_VOICE)
    process.start()
    yield process
    process.stop()
