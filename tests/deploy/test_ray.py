"""A cluster of this machine: replicas come and go, are killed and replaced, and calls go on.

One cluster with the starter models serves all tests of this file, in their order, as starting a
replica costs seconds of processor time.
"""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.load.metrics import process_tree
from benchmarks.server.child import Server
from tests.live import QUESTION, Caller, calling, message_bytes, refused

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # on a busy machine Ray's own start takes a minute
    pytest.mark.xdist_group("real time"),
]
PORTS = 16  # for metrics, as `pipelines.cluster.scrape` looks for a free one


def free_ports() -> int:
    """The first of PORTS that nobody listens on, another test run included."""
    while True:
        first = secrets.choice(range(20_000, 30_000, PORTS))
        with ExitStack() as held:
            try:
                for port in range(first, first + PORTS):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


METRICS = free_ports()
SETTINGS = {
    "cascade.tts.engine": "espeak",  # starts at once, where each replica counts
    "limits.max_calls": "2",  # of a replica
    "limits.drain_seconds": "300",
    "server.metrics_port": str(METRICS),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """`maata serve --ray` with one replica that may become two."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: it holds the names of sockets
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on the loopback alone
        command = ("--ray", "--replicas", "1:2", *flags(SETTINGS))
        server = Server(folder / "server.log", *command, ready_s=600)
        try:
            yield server.__enter__()
        finally:
            if server.pid is not None and not has_ended(server.pid):
                os.kill(server.pid, signal.SIGTERM)
                wait(lambda: has_ended(server.pid), 120)
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)


def flags(settings: dict[str, str]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def has_ended(pid: int | None) -> bool:
    """Whether a child has, leaving its exit status for whoever waits for it."""
    if pid is None:
        return True
    try:
        return bool(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    except ChildProcessError:  # somebody has waited for it
        return True


def lives(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


async def until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    assert await asyncio.to_thread(wait, condition, seconds), "never came"


def replicas() -> dict[str, tuple[int, float]]:
    """Of every replica that serves: its name, process and calls, from its own metrics."""
    found: dict[str, tuple[int, float]] = {}
    for port in range(METRICS, METRICS + PORTS):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
                said = reply.read().decode()
        except OSError:
            continue
        about = re.search(r'maata_replica_info\{pid="(\d+)",replica="(\w+)"\}', said)
        calls = re.findall(r"^maata_calls_active\{.*\} (.+)$", said, re.M)
        if about:
            found[about[2]] = int(about[1]), sum(map(float, calls))
    return found


def next_replica(server: Server) -> str:
    """The one that callers are sent to now."""
    with urllib.request.urlopen(f"{server.url}/ready", timeout=30) as reply:
        return reply.headers["x-maata-replica"]


def calls_of(server: Server) -> str:
    return server.url.replace("http", "ws", 1) + "/ws"


def replica_of(caller: Caller) -> str:
    assert caller.socket.response is not None
    return caller.socket.response.headers["x-maata-replica"]


@asynccontextmanager
async def on_the_line(server: Server) -> AsyncIterator[Caller]:
    """A caller who listens: the line stays open, and what is asked on it is answered."""
    async with calling(calls_of(server)) as caller:
        yield caller


async def goes_on(caller: Caller) -> None:
    """Fails unless the call's graph still answers on the line."""
    assert caller.socket.close_code is None, caller.socket.close_reason
    before = len(caller.told("notice"))
    ask = {"t": "set-voice", "d": {"voice": "nobody"}}
    await caller.socket.send(message_bytes("client-message", ask))
    await until(lambda: len(caller.told("notice")) > before, 60)


async def test_as_lines_fill_a_replica_comes_and_takes_the_next_call(cluster: Server):
    async with on_the_line(cluster) as one, on_the_line(cluster) as two:
        assert replica_of(one) == replica_of(two)
        code, sentence = await refused(calls_of(cluster))
        assert code == 4429
        assert "2 lines are busy" in sentence
        await until(lambda: next_replica(cluster) != replica_of(one))
        async with on_the_line(cluster) as three:
            assert replica_of(three) != replica_of(one)
            for caller in (one, two, three):
                await goes_on(caller)
            calls = {name: calls for name, (_, calls) in replicas().items()}
            assert calls == {replica_of(one): 2, replica_of(three): 1}  # each stays where it is
    await until(lambda: sum(calls for _, calls in replicas().values()) == 0, 60)


async def test_a_killed_replica_takes_no_other_call_and_an_update_none(cluster: Server):
    async with on_the_line(cluster) as lost, on_the_line(cluster) as other:
        assert replica_of(lost) != replica_of(other)
        os.kill(replicas()[replica_of(lost)][0], signal.SIGKILL)
        await asyncio.wait_for(lost.socket.wait_closed(), 60)
        assert lost.socket.close_code == 4503  # on which the page dials again
        assert "lost" in (lost.socket.close_reason or "")
        async with on_the_line(cluster) as again:
            assert replica_of(again) == replica_of(other)  # at once: a new one takes longer
            ended = await again.speak(QUESTION)
            await again.until(lambda: again.loud(ended), 60)
            assert "టైం" in again.user_text()
            await goes_on(other)
            before = set(replicas())
            updating = await update(cluster, {**SETTINGS, "limits.drain_seconds": "2"})
            await until(lambda: next_replica(cluster) not in before)
            async with on_the_line(cluster) as newcomer:
                assert replica_of(newcomer) not in before
                for caller in (again, other, newcomer):
                    await goes_on(caller)
            assert updating.returncode is None  # the old replica is there for its calls
    said, errors = await updating.communicate()
    assert updating.returncode == 0, errors.decode()
    assert said.decode().splitlines()[-1] == f"ready {cluster.url}"
    assert len(replicas()) == 1  # as many as the update says, and of the old ones none


async def update(server: Server, settings: dict[str, str]) -> asyncio.subprocess.Process:
    """Deploy other settings and another size, as from another terminal."""
    port = server.url.rpartition(":")[2]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "maata.cli", "serve", "--ray", "--address", "auto"),
        *("--replicas", "1", "--port", port, *flags(settings)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def test_at_the_end_callers_are_told_and_nothing_is_left(cluster: Server):
    assert cluster.pid is not None
    below = process_tree(cluster.pid)
    assert len(below) > 8
    async with on_the_line(cluster) as caller:
        os.kill(cluster.pid, signal.SIGTERM)
        await asyncio.wait_for(caller.socket.wait_closed(), 60)
        assert caller.socket.close_code == 4503
        assert "closing" in (caller.socket.close_reason or "")  # at the drain's limit
    await until(lambda: has_ended(cluster.pid), 120)
    assert cluster.stop() == 0
    await until(lambda: not any(map(lives, below)), 60)
