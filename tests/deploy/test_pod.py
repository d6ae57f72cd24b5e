"""A pod and a bare machine: their scripts run, pass the end on, and stop what nobody uses."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.dockerfile import read
from deploy.runpod.idle_stop import active_calls, stop_pod, wait_idle

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))
# POST /v1/templates of RunPod's REST interface takes these and no others.
TEMPLATE = {
    "category",
    "containerDiskInGb",
    "containerRegistryAuthId",
    "dockerEntrypoint",
    "dockerStartCmd",
    "env",
    "imageName",
    "isPublic",
    "isServerless",
    "name",
    "ports",
    "readme",
    "volumeInGb",
    "volumeMountPath",
}
# A server that takes half a second to let its calls finish.
SERVER = """#!/usr/bin/env bash
echo "$*" >> "$LOG"
echo "$MAATA_LIMITS__DRAIN_SECONDS $HF_HOME $MAATA_SERVER__ALLOWED_ORIGINS" >> "$LOG"
[ "$1" = serve ] || exit 0
trap 'sleep 0.5; echo drained >> "$LOG"; exit 0' TERM
while true; do sleep 0.05; done
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse(script):
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = shutil.which("shellcheck")
    if shellcheck:
        subprocess.run([shellcheck, script], check=True)


def test_the_template_is_one():
    template = json.loads((ROOT / "deploy" / "runpod" / "template.json").read_text())
    assert template.keys() <= TEMPLATE
    runtime = read(ROOT / "Dockerfile")[1][-1]
    copied = [i.rest.split() for i in runtime.all("COPY")]
    placed = {f"{c[-1]}{Path(source).name}" for c in copied for source in c[:-1]}
    assert template["dockerEntrypoint"][0] in placed
    assert template["ports"] == ["7860/http"]  # the proxy's: TLS, WebSocket, nothing else
    assert float(template["env"]["MAATA_LIMITS__DRAIN_SECONDS"]) < 5
    for key, value in template["env"].items():
        assert "TOKEN" not in key or "RUNPOD_SECRET" in value


def test_a_pod_s_end_reaches_the_server_and_waits_for_its_calls(tmp_path):
    (tmp_path / "maata").write_text(SERVER)
    (tmp_path / "maata").chmod(0o755)
    log, volume = tmp_path / "log", tmp_path / "volume"
    volume.mkdir()
    settings = {"PROFILE": "l4", "VOLUME": str(volume), "IDLE_MINUTES": "0", "LOG": str(log)}
    pod = subprocess.Popen(
        [ROOT / "deploy" / "runpod" / "start.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNPOD_POD_ID": "abc", **settings},
    )
    deadline = time.monotonic() + 10
    while not (log.exists() and "serve" in log.read_text()):
        assert time.monotonic() < deadline
        assert pod.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(10) == 0
    lines = log.read_text().splitlines()
    assert lines[0] == "weights fetch --profile l4"
    assert lines[2] == "serve --profile l4 --host 0.0.0.0 --port 7860"
    assert lines[3] == f'3 {volume}/huggingface ["https://abc-7860.proxy.runpod.net"]'
    assert lines[4] == "drained"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_only_silence_on_end_is_idle():
    clock = Clock()
    looks = iter([None] * 100 + [0] * 3 + [2] + [0] * 3 + [None] + [0] * 100)  # loading comes first
    wait_idle(lambda: next(looks), 60, period=15, now=clock.now, sleep=clock.sleep)
    # 100 looks while loading, then 3 + 1 + 3 + 1; the fifth of the last zeros is a minute after
    # the first of them.
    assert clock.time == 15 * (100 + 8 + 4)


@pytest.fixture
def loopback() -> Iterator[tuple[str, list[str], dict[str, int]]]:
    """A server that says how many calls it has, and that takes orders to stop pods."""
    asked: list[str] = []
    state = {"calls": 3, "ready": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(state["ready"] if self.path == "/ready" else 200)

        def do_POST(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            self._answer(200)

        def _answer(self, status: int) -> None:
            body = json.dumps({"active_calls": state["calls"]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked, state
    server.shutdown()
    server.server_close()


def test_calls_are_counted_only_while_the_server_takes_some(loopback):
    url, _, state = loopback
    assert active_calls(url) == 3
    state["ready"] = 503
    assert active_calls(url) is None
    assert active_calls("http://127.0.0.1:9") is None


def test_a_pod_is_stopped_by_its_own_name_and_key(loopback):
    url, asked, _ = loopback
    stop_pod("abc", "k3y", api=url)
    assert asked == ["/pods/abc/stop Bearer k3y"]


def test_the_service_gives_calls_their_time():
    unit = (ROOT / "deploy" / "vm" / "maata.service").read_text()
    script = (ROOT / "deploy" / "vm" / "install.sh").read_text()
    fields = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    drain = re.search(r"^MAATA_LIMITS__DRAIN_SECONDS=(\d+)$", script, re.M)
    assert drain is not None
    assert int(fields["TimeoutStopSec"]) > int(drain[1])
    assert fields["KillMode"] == "mixed"
    assert fields["User"] == "maata"
