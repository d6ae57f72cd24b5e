"""Ramps against scripted servers: where they end, what they count, what a plan makes of them."""

import asyncio
import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from rich.console import Console

from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import WallClock
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.load import step as load_step
from benchmarks.load.metrics import Meter, Usage, process_tree, scrape, tree_cpu_seconds
from benchmarks.load.metrics import tree_memory as memory_of
from benchmarks.load.ramp import LoadRow, read_rows
from benchmarks.load.step import Heard, Subject, row_of
from benchmarks.load.suite import Elsewhere, LoadError, run_load
from benchmarks.load.table import show
from benchmarks.plan.plan import run_plan
from benchmarks.ruler.recording import Utterance
from tests.benchmarks.scripted_server import (
    Script,
    Served,
    conversing,
    ready,
    serving,
    silence,
    tone,
)

CASCADE = Subject("cascade", "scripted", "none", "two cores", "test", "abc")
S2S = replace(CASCADE, engine="s2s")
SUBJECTS = {"cascade": CASCADE, "s2s": S2S}
MANNERS = {
    "cascade": Manners(
        jitter_ms=200,
        lead_in_ms=60,
        answer_over_ms=100,
        answer_timeout_s=1,
        longest_answer_s=2,
        ready_timeout_s=1,
    ),
    "s2s": Manners(jitter_ms=200, lead_in_ms=60, rest_ms=400, longest_answer_s=1),
}


class Stalling(WallClock):
    """A caller's machine that wakes 60 ms late."""

    async def sleep_until(self, deadline: float) -> None:
        await asyncio.sleep(max(0.0, deadline - time.monotonic()) + 0.06)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_step, "STAGGER_S", 0.2)
    monkeypatch.setattr(load_step, "GRACE_S", 0.5)
    monkeypatch.setattr(load_step, "SETTLE_S", 0.2)
    # How late this machine is while it runs other tests is not what is tested.
    monkeypatch.setattr(load_step, "LATE_MS", 1000.0)


def utterances() -> list[Utterance]:
    pcm = np.concatenate((tone(200, IN_RATE), silence(60, IN_RATE)))
    return [Utterance(f"said {n}", pcm) for n in range(3)]


def places(free: int, script: Script) -> Script:
    """A server with so many places; who comes when all are taken is turned away."""
    taken = itertools.count(0)
    now: list[int] = []

    async def limited(served: Served) -> None:
        mine = next(taken)
        if len(now) >= free:
            await served.socket.close(4429, "all places are taken")
            return
        now.append(mine)
        try:
            await script(served)
            await served.socket.wait_closed()
        finally:
            now.remove(mine)

    return limited


def ramp(host: str, out, steps=(1, 2, 3, 4), engine="cascade", **options) -> list[LoadRow]:
    given = {"utterances": utterances(), "seconds": 0.8}
    given |= {"subjects": SUBJECTS, "manners": MANNERS}
    return run_load(Elsewhere(f"http://{host}"), [engine], out, steps=steps, **(given | options))


def test_a_ramp_to_the_first_step_that_fails_and_the_plan_of_it(tmp_path, capsys):
    """Two places: three callers are one too many, and four are not tried."""
    told: list[str] = []
    with serving(places(2, conversing(100))) as host:
        rows = ramp(host, tmp_path, progress=told.append)
        assert [(r.calls, r.refused) for r in rows] == [(1, 0), (2, 0), (3, 1)]
        assert read_rows(tmp_path) == rows
        for row in rows:
            assert row.turns is not None
            assert row.turns >= row.calls
            assert row.unanswered == (1 if row.refused else 0) * round(row.turns / row.calls)
            assert row.v2v_ms_p50 is not None
            assert 350 < row.v2v_ms_p50 < 1000  # 200 ms of silence, 200 of jitter buffer
            assert not row.caller_overloaded
            assert (row.hardware, row.profile, row.commit) == ("two cores", "test", "abc")
        assert rows[2].v2v_ms_p95 is None  # it falls on the one who never got in
        assert any("3 at once; 1 turned away or cut off" in line for line in told)
        assert "step 1 of 4" in told[0]

        with pytest.raises(LoadError, match="--resume"):
            ramp(host, tmp_path)
        path = tmp_path / "load.jsonl"
        first, *others = path.read_text().splitlines()
        path.write_text("".join(f"{line}\n" for line in others))  # interrupted: one is missing
        again = ramp(host, tmp_path, resume=True)
        assert [r.calls for r in again] == [2, 3, 1]
        assert path.read_text().splitlines()[:2] == others
    assert [r.calls for r in ramp(host, tmp_path, resume=True)] == [2, 3, 1]  # nobody is called

    capsys.readouterr()
    assert run_plan(tmp_path, "measured", price=1.0) == 0
    planned = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert planned["plan"]["cascade"] == {"basis": "measured", "sessions": 2}
    console = Console(record=True, width=160)
    show(again, console)
    said = console.export_text()
    assert "2 sessions at zero underruns; 2 held v2v p95 <= 1100 ms, 3 did not" in said


def test_gaps_end_a_ramp(tmp_path):
    async def stutter(served: Served) -> None:
        await ready(served)
        while True:
            await served.next_user_end()
            await served.answer(tone(300, OUT_RATE), gaps={3: 0.15})

    with serving(stutter) as host:
        manners = {"cascade": replace(MANNERS["cascade"], jitter_ms=40, answer_over_ms=300)}
        [row] = ramp(host, tmp_path, manners=manners)
    assert row.turns is not None
    assert 1 <= row.underruns <= row.turns
    assert row.longest_gap_ms is not None
    assert 90 < row.longest_gap_ms < 250
    assert row.underrun_seconds == pytest.approx(row.underruns * row.longest_gap_ms / 1000, rel=0.5)


def test_servers_that_hang_end_a_ramp_too(tmp_path):
    async def deaf(served: Served) -> None:
        await served.socket.recv()

    async def mute(served: Served) -> None:
        await ready(served)

    began = time.monotonic()
    with serving(deaf) as host:
        [row] = ramp(host, tmp_path / "deaf", seconds=0.3)
    assert (row.refused, row.turns, row.unanswered, row.v2v_ms_p50) == (1, 1, 1, None)
    with serving(mute) as host:
        [row] = ramp(host, tmp_path / "mute", steps=(2, 3), seconds=0.3)
    assert (row.calls, row.refused, row.turns, row.unanswered) == (2, 0, 2, 2)
    [row] = ramp("127.0.0.1:9", tmp_path / "gone", seconds=0.1)  # nobody there
    assert row.refused == 1
    assert time.monotonic() - began < 15


def test_a_call_that_cannot_be_hung_up_is_given_up(monkeypatch, tmp_path):
    """Whatever hangs inside a call, the step ends and counts it."""

    async def stuck(*args, **options):
        await asyncio.Event().wait()

    monkeypatch.setattr(load_step, "place_call", stuck)
    monkeypatch.setattr("benchmarks.load.suite.WARM_UP_S", 0.1)
    manners = {"cascade": replace(MANNERS["cascade"], answer_timeout_s=0.1, longest_answer_s=0.1)}
    began = time.monotonic()
    [row] = ramp("127.0.0.1:9", tmp_path, steps=(2, 4), seconds=0.2, manners=manners)
    assert row.refused == 2
    assert time.monotonic() - began < 5


def test_an_overloaded_caller_says_nothing_about_the_server(tmp_path, monkeypatch):
    with serving(conversing(100)) as host:
        with monkeypatch.context() as patched:
            patched.setattr(load_step, "LATE_MS", 20.0)
            [row] = ramp(host, tmp_path, clock=Stalling())
        assert row.caller_overloaded
        assert row.late_ms_p99 is not None
        assert row.late_ms_p99 > 50
        assert run_plan(tmp_path, "measured") == 1  # it is no evidence
        rows = ramp(host, tmp_path, steps=(1,), resume=True)  # and is measured again
    assert [r.caller_overloaded for r in rows] == [True, False]
    console = Console(record=True, width=160)
    show(rows, console)
    assert "call from another machine" in console.export_text()


METRICS = """# TYPE maata_engine_step_p99_seconds gauge
maata_engine_step_p99_seconds 0.021
maata_engine_step_p50_seconds 0.0125
# TYPE maata_missed_deadlines counter
maata_missed_deadlines_total{engine="s2s"} MISSED
maata_calls_active{engine="s2s"} 0
maata_calls_active{engine="cascade"} 3
"""


@pytest.fixture
def metrics() -> Iterator[str]:
    """A `/metrics` on which 5 more deadlines are missed at every look."""
    looks = itertools.count(0, 5)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = METRICS.replace("MISSED", str(next(looks))).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_full_duplex_line_and_what_the_engine_says_of_itself(tmp_path, metrics):
    """A bot that talks on and on is spoken to in real time; its ticks carry the plan."""

    async def endless(served: Served) -> None:
        await ready(served)
        await served.answer(tone(3_000, OUT_RATE))

    with serving(endless) as host:
        rows = ramp(host, tmp_path, steps=(1, 2), engine="s2s", metrics=metrics, seconds=1.0)
    assert [r.calls for r in rows] == [1, 2]
    for row in rows:
        assert (row.tick_ms_p50, row.tick_ms_p99) == (12.5, 21.0)
        assert row.context == 1.0 * 12.5 / 2
        assert row.missed_deadlines is not None
        assert row.missed_deadlines > 0
        assert row.underruns == 0
        assert row.turns is not None
        assert row.turns >= row.calls
    assert run_plan(tmp_path, "measured") == 0


def test_metrics_are_read_by_name_and_label(metrics):
    read = scrape(metrics)
    assert read.total("maata_calls_active") == 3
    assert read.total("maata_calls_active", engine="s2s") == 0
    assert read.total("maata_calls_refused_total") is None
    assert scrape("http://127.0.0.1:9/metrics").samples == ()


def test_the_cost_of_a_process_and_its_children():
    burn = "while :; do :; done"
    parent = subprocess.Popen(["sh", "-c", f"sh -c '{burn}' & wait"])
    try:
        deadline = time.monotonic() + 10
        while len(process_tree(parent.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        first, _ = process_tree(parent.pid)
        assert first == parent.pid
        meter = Meter("http://127.0.0.1:9/metrics", parent.pid, on_gpu=False)
        usage = asyncio.run(meter.watch("cascade", time.monotonic() + 0.5, WallClock()))
    finally:
        for pid in reversed(process_tree(parent.pid)):
            os.kill(pid, 9)
        parent.wait()
    assert usage.cpu_seconds is not None
    assert 0.05 < usage.cpu_seconds <= 0.7  # of the child: the parent waits
    assert usage.memory_bytes is not None
    assert 100_000 < usage.memory_bytes < 100_000_000
    assert (usage.gpu_percent, usage.tick_ms_p99) == (None, None)
    assert tree_cpu_seconds(parent.pid) is None
    assert memory_of(parent.pid) is None


def test_what_a_row_counts(monkeypatch):
    """Two callers with two turns each; one was never let in: two more turns without an answer."""
    monkeypatch.setattr(load_step, "LATE_MS", 20.0)
    callers = [
        Heard(True, False, None, (400.0, 500.0), (80.0, 120.5), (1.0,) * 99 + (30.0,)),
        Heard(True, False, None, (600.0, None), (), (2.0,) * 100),
        Heard(False, True, "all lines are busy"),
    ]
    row = row_of(CASCADE, callers, 45, Usage(cpu_percent=150.0), None, "now")
    assert (row.calls, row.refused, row.turns, row.unanswered) == (3, 1, 6, 3)
    assert (row.v2v_ms_p50, row.v2v_ms_p95) == (600.0, None)
    assert (row.underruns, row.underrun_seconds, row.longest_gap_ms) == (2, 0.201, 120.5)
    assert row.late_ms_p99 == 2.0
    assert not row.caller_overloaded
    late = [replace(callers[0], late_ms=(25.0,) * 100)]
    assert row_of(CASCADE, late, 45, Usage(), None, "now").caller_overloaded


def test_a_ramp_needs_something_to_say(tmp_path):
    with pytest.raises(LoadError, match="utterances and steps"):
        ramp("127.0.0.1:9", tmp_path, utterances=[])
    with pytest.raises(LoadError, match="one call or more"):
        ramp("127.0.0.1:9", tmp_path, steps=(0, 1))
