"""A tiny plan through the real command and its worker process; rows, resuming, curve and report."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.engines import run as engines
from benchmarks.engines.fit import Device, curve, load_rows, predictions, write_load
from benchmarks.engines.machine import Machine
from benchmarks.engines.plan import CONTEXT, Point, plan
from benchmarks.engines.rows import EngineRow, EnginesError, done, read_rows, sessions_found
from benchmarks.engines.table import render
from benchmarks.engines.worker import Worker
from benchmarks.load.ramp import read_rows as read_ramp
from benchmarks.plan.estimates import PREDICTED
from benchmarks.plan.floors import MOSHI_7B
from benchmarks.plan.gpus import load_gpus
from benchmarks.server.talker import Talker

HERE = Machine("test machine", "", "abc", {"torch": "0"})
H100 = "NVIDIA H100 80GB HBM3"
COPY = 3000.0  # GB/s of the synthetic rows


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, list[str]]:
    """The tiny plan, begun by a point that breaks the worker."""
    out = tmp_path_factory.mktemp("engines")
    course = engines.Run(out, HERE, "tiny", time.monotonic() + 600)
    with Worker(out / "engines.log", tiny=True) as worker:
        left_out = course.work([Point("broken", "nonsense", "none", 0.1), *duplex()], worker)
        assert worker.starts == 2
    render(out)
    return out, left_out


def duplex() -> list[Point]:
    """Half of the tiny plan: tests/models/test_fullsize.py has the cascade's."""
    return [p for p in plan(tiny=True) if p.part in ("bandwidth", "moshi", "soak")]


@pytest.mark.timeout(400)  # where every core is taken, to import torch alone takes a minute
def test_a_plan_measures_what_it_lists(ran):
    out, left_out = ran
    rows = read_rows(out)
    assert left_out == []
    assert done(rows, HERE.gpu, "tiny") == {p.key for p in duplex()}
    stages = {(r.part, r.stage) for r in rows if r.p50_ms is not None}
    assert stages >= {
        ("bandwidth", "copy"),
        ("moshi", "tick"),
        ("moshi", "depformer"),
        ("soak", "soak"),
    }
    for row in rows:
        assert (row.gpu, row.commit, row.size) == ("test machine", "abc", "tiny")
        if row.p50_ms is not None:
            assert row.ms
            assert row.p50_ms <= (row.p99_ms or 0) <= (row.max_ms or 0) == max(row.ms)


def test_a_point_that_breaks_its_worker_is_named_and_costs_nothing_else(ran):
    out, _ = ran
    failed = [r for r in read_rows(out) if r.stage == "failed"]
    assert [r.key for r in failed] == ["broken"]
    assert "no part 'nonsense'" in failed[0].trouble
    assert "broken: ValueError" in (out / "engines.md").read_text()


def test_a_worker_that_is_over_is_replaced(tmp_path, monkeypatch):
    def ending(module, arguments, log):
        assert module == "models.fullsize"
        return Talker("tests.benchmarks.worker_that_ends", [], log)

    monkeypatch.setattr("benchmarks.engines.worker.Talker", ending)
    with Worker(tmp_path / "log", tiny=True) as worker:
        for starts in (1, 2):
            assert list(worker.rows({"part": "any"}, 60.0)) == [{"stage": "tick"}]
            assert worker.starts == starts


def test_what_is_done_is_not_done_again(ran):
    out, _ = ran
    rows = read_rows(out)
    again = engines.Run(out, HERE, "tiny", time.monotonic() + 300, rows=rows)
    with Worker(out / "engines.log", tiny=True) as worker:
        assert again.work(duplex(), worker) == []
        assert worker.starts == 0
    elsewhere = done(rows, "another GPU", "tiny")
    assert not elsewhere


def test_without_time_points_are_left_out_and_no_worker_starts(tmp_path):
    late = engines.Run(tmp_path, HERE, "tiny", time.monotonic() - 1)
    with Worker(tmp_path / "log", tiny=True) as worker:
        assert late.work(plan(tiny=True), worker) == [p.key for p in plan(tiny=True)]
        assert worker.starts == 0


def test_the_report_is_of_the_rows_alone(ran):
    out, _ = ran
    first = (out / "engines.md").read_bytes()
    render(out)
    assert (out / "engines.md").read_bytes() == first
    for heading in ("one tick of 80 ms", "Sessions in real time", "The curve"):
        assert heading in first.decode()


def test_a_line_that_was_cut_off_is_taken_away(tmp_path):
    row = tick(1, 10.0)
    path = tmp_path / "engines.jsonl"
    path.write_text(row.line() + "\n" + row.line()[:40])
    assert read_rows(tmp_path) == [row]
    engines._mend(path)
    assert path.read_text() == row.line() + "\n"
    path.write_text("nonsense\n" + row.line() + "\n")
    with pytest.raises(EnginesError, match=":1 is no JSON"):
        read_rows(tmp_path)
    path.write_text('{"kee": 1}\n' + row.line() + "\n")
    with pytest.raises(EnginesError, match="'kee'"):
        read_rows(tmp_path)


def tick(batch: int, p99: float, *, context: int = CONTEXT, age: int | None = None) -> EngineRow:
    """A row as an H100 might give it."""
    return EngineRow(
        key=f"moshi/bf16/graphs/context {context}/batch {batch}",
        part="moshi",
        stage="tick",
        shape="moshi-7b",
        size="full",
        gpu=H100,
        dtype="bf16",
        how="CUDA graphs, compiled",
        batch=batch,
        context=context,
        history=context if age is None else age,
        n=300,
        p50_ms=p99 - 0.5,
        p99_ms=p99,
        max_ms=p99,
        ms=[p99],
        read_bytes=int(MOSHI_7B.read_per_step * 2),
        cached_bytes=int(batch * context * MOSHI_7B.cached_per_frame * 2),
        memory_bytes=int(17e9 + batch * 1.573e9),
    )


def synthetic() -> list[EngineRow]:
    """Ticks of 9 + 0.1 B + 2e-4 B ctx ms."""
    copy = dataclasses.replace(
        tick(1, 1.0), key="bandwidth", part="bandwidth", stage="copy", gb_s=COPY, context=0
    )
    shapes = [(b, CONTEXT) for b in (1, 8, 32)] + [(b, 1500) for b in (1, 64)]
    return [copy, *(tick(b, 9 + 0.1 * b + 2e-4 * b * c, context=c) for b, c in shapes)]


def test_floors_and_curve_are_those_of_the_bytes():
    rows = synthetic()
    device = Device.of(rows, load_gpus())
    assert device.gpu is load_gpus().get("h100")
    alone = rows[1]
    # 14.75 GB of weights and one history of 1.573 GB at 3000 GB/s
    assert device.floor_ms(alone) == pytest.approx((14.75 + 1.573) / 3.0, rel=1e-3)
    line = curve([r for r in rows if r.stage == "tick"], "p99_ms")
    assert line is not None
    assert (line.a, line.b, line.c) == pytest.approx((9, 0.1, 2e-4))


def test_other_gpus_are_predicted_between_two_ends():
    rows = synthetic()
    device = Device.of(rows, load_gpus())
    found = {p.gpu.name: p for p in predictions(rows, device, load_gpus(), "bf16")}
    l4 = found["NVIDIA L4 24 GB"]
    floor, ratio = device.floor_ms(rows[1]), 3350 / 300
    assert floor is not None
    assert l4.tick_ms == pytest.approx((9.7 + floor * (ratio - 1), 9.7 * ratio))
    assert l4.sessions[1] is not None
    assert l4.sessions[1] <= 2  # the floors forbid more in bf16
    assert "NVIDIA H100 SXM5 80 GB" not in found


def test_the_report_calls_predictions_predictions(tmp_path):
    (tmp_path / "engines.jsonl").write_text("".join(r.line() + "\n" for r in synthetic()))
    text = render(tmp_path).read_text()
    assert f"### Other GPUs, bf16: {PREDICTED}" in text
    assert "| NVIDIA L4 24 GB | " in text
    assert "| bf16 | CUDA graphs, compiled | 32 | 3000 | 3000 |" in text


def stage(part: str, shape: str, name: str, p50: float, tokens: int = 0) -> EngineRow:
    """A row of the cascade; the token's floor is 1 ms at the synthetic bandwidth."""
    row = dataclasses.replace(tick(1, p50 + 0.5, context=0), part=part, shape=shape, stage=name)
    read = int(COPY * 1e6) if name == "token" else 0
    return dataclasses.replace(row, key=shape, tokens=tokens, read_bytes=read, how="CUDA graph")


def test_the_two_engines_stand_beside_each_other(tmp_path):
    rows = synthetic()
    rows += [stage("whisper", "whisper-large-v3", "token", 2.0, 90)]
    rows += [stage("whisper", "whisper-large-v3", "turn", 200.0, 90)]
    rows += [stage("llama", "llama-3.2-1b", "turn", 100.0), stage("speecht5", "s", "turn", 50.0)]
    (tmp_path / "engines.jsonl").write_text("".join(r.line() + "\n" for r in rows))
    text = render(tmp_path).read_text()
    assert "cascade with whisper-large-v3: 350 ms" in text
    assert "169 ms" in text  # 160 of delay and a tick of 9.2
    (turn,) = [line for line in text.splitlines() if "| turn |" in line and "large" in line]
    assert turn.endswith("| 89.00 | 2.25 |")  # the prompt gives the first of 90 tokens
    (token,) = [line for line in text.splitlines() if "| token |" in line]
    assert token.endswith("| 1.00 | 2.00 |")


def test_ticks_become_a_ramp_for_the_plan(tmp_path):
    rows = [*synthetic(), tick(8, 30.0, age=0)]
    assert write_load(rows, tmp_path)
    ramp = read_ramp(tmp_path)
    assert [(r.calls, r.context) for r in ramp] == [(1, 3000), (8, 3000), (32, 3000), (8, 0)]
    assert {r.model for r in ramp} == {"moshi-7b"}
    assert all(r.underruns == 0 and r.tick_ms_p99 for r in ramp)
    eager = dataclasses.replace(tick(1, 40.0), key="moshi/bf16/eager/context 3000/batch 1")
    assert len(load_rows([*rows, eager])) == len(ramp)
    called = tmp_path / "called"
    called.mkdir()
    (called / "load.jsonl").write_text('{"by": "callers"}\n')
    assert not write_load(rows, called)
    assert (called / "load.jsonl").read_text() == '{"by": "callers"}\n'


def test_a_soak_is_of_the_largest_batch_that_kept_its_budget(tmp_path):
    rows = [tick(8, 20.0), tick(16, 63.9), tick(32, 64.1), tick(32, 10.0, age=0)]
    rows.append(tick(64, 30.0, context=1500))
    assert sessions_found(rows, H100, "full", "bf16", CONTEXT) == 16
    assert sessions_found(rows, "another", "full", "bf16", CONTEXT) is None
    course = engines.Run(tmp_path, Machine(H100, "1", "", {}), "full", 0.0, lambda: -100.0, rows)
    (point,) = [p for p in plan(tiny=False) if p.part == "soak"]
    message = course._message(point)
    assert message is not None
    assert message["batch"] == 16
    assert message["seconds"] == pytest.approx(92)  # what is left, less the settling
    course.until = -50.0
    assert course._message(point) is None
    none = engines.Run(tmp_path, course.machine, "full", 1e9, rows=[tick(1, 90.0)])
    assert none._message(point) == {}


def test_the_full_plan_is_of_nine_minutes_on_a_gpu_that_holds_32_calls():
    points = plan(tiny=False)
    assert len({p.key for p in points}) == len(points)
    fitting = [p for p in points if p.keys.get("batch", 0) * p.keys.get("context", 0) <= 96_000]
    first_parts = list(dict.fromkeys(p.part for p in points))
    assert first_parts == ["bandwidth", "moshi", "whisper", "llama", "speecht5", "soak"]
    assert sum(p.estimate_s for p in fitting) < 9.5 * 60
    upto = points.index(next(p for p in points if p.part == "soak"))
    assert sum(p.estimate_s for p in points[: upto + 1]) < 9 * 60


def test_the_commands_side_needs_no_package():
    """On a GPU machine with the models' packages alone, the plan must still run."""
    names = ["run", "plan", "rows", "machine", "worker"]
    code = (
        "import sys, importlib\n"
        "before = set(sys.modules)\n"
        f"[importlib.import_module('benchmarks.engines.' + n) for n in {names}]\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names) - {'benchmarks'}))"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=engines.Path(__file__).parents[2], capture_output=True)
    assert json.loads(said.stdout.decode().replace("'", '"')) == []


def test_a_wrong_part_is_named(tmp_path):
    with pytest.raises(EnginesError, match="no part 'moshy'"):
        engines.run(tmp_path, minutes=1, tiny=True, only="moshy")
