"""The plan command on ramps whose answer is known: what it prints, and what it refuses to say."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.load.ramp import LoadRow, PlanError, read_rows
from benchmarks.plan.estimates import PREDICTED
from benchmarks.plan.plan import run_plan

H100 = "NVIDIA H100 80GB HBM3"


def s2s(calls: int, tick_ms: float, **more) -> dict:
    row = {"engine": "s2s", "hardware": H100, "model": "starter/s2s", "precision": "bf16"}
    row |= {"calls": calls, "seconds": 240, "tick_ms_p99": tick_ms, "underruns": 0}
    return row | more


def cascade(calls: int, v2v_ms: float | None, **more) -> dict:
    row = {"engine": "cascade", "hardware": H100, "model": "starter", "precision": "int8"}
    row |= {"calls": calls, "seconds": 240, "v2v_ms_p95": v2v_ms, "underruns": 0}
    return row | more


def line(a: float, b: float, calls=(1, 2, 4, 8, 16, 32), **more) -> list[dict]:
    return [s2s(n, a + b * n, **more) for n in calls]


@pytest.fixture
def planned(tmp_path, capsys, monkeypatch):
    """Runs the command on rows: exit code, JSON of the last line, and all that was printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(rows: Iterable[dict], gpu: str = "h100", callers: int | None = None, **options):
        text = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / "load.jsonl").write_text(text, encoding="utf-8")
        code = run_plan(tmp_path, gpu, callers, **options)
        out = capsys.readouterr().out
        return code, json.loads(out.strip().splitlines()[-1]), out

    return run


def by_basis(result: dict, engine: str = "s2s") -> dict[str, dict]:
    return {row["basis"]: row for row in result["estimates"] if row["engine"] == engine}


def test_a_ramp_on_the_gpu_itself(planned):
    """10 + 2 B: 16 held (42 ms), 32 did not (74 ms); the curve says 27 between them."""
    code, result, out = planned(line(10, 2), callers=40)
    rows = by_basis(result)
    assert code == 0
    assert rows["measured"]["sessions"] == 16
    assert rows["measured"]["status"] == "measured"
    assert "16 held and 32 did not; nobody looked between them" in rows["measured"]["notes"]
    assert rows["fit"]["sessions"] == 27
    assert rows["fit"]["ci95"] == [27, 27]
    assert rows["fit"]["status"] == PREDICTED
    assert not any("extrapolated" in note for note in rows["fit"]["notes"])
    # 16 servers carry 8.875 erlang at 1 %; the table's price of an H100 is 2.69.
    assert rows["measured"]["load_erlang"] == pytest.approx(8.875, abs=1e-3)
    assert rows["measured"]["usd_full"] == pytest.approx(2.69 / 16, abs=1e-4)
    assert rows["measured"]["usd_blocking"] == pytest.approx(2.69 / 8.875, abs=1e-4)
    assert (rows["measured"]["gpus_full"], rows["measured"]["gpus_blocking"]) == (3, 4)
    assert result["plan"] == {"s2s": {"basis": "measured", "sessions": 16}, "cascade": None}
    assert f"fit: {PREDICTED}" in out
    assert "table of 2026-" in out


def test_beyond_the_last_step_is_said(planned):
    _, result, out = planned(line(10, 2, calls=(1, 2, 4, 8)))
    rows = by_basis(result)
    assert rows["measured"]["sessions"] == 8
    assert any("knee was not reached" in note for note in rows["measured"]["notes"])
    assert rows["fit"]["sessions"] == 27
    assert "extrapolated: the curve is of up to 8 calls" in out


def test_a_measured_failure_caps_the_curve(planned):
    """The ticks of 8 calls are in time, but callers heard gaps: no curve talks that away."""
    rows = [*line(10, 2, calls=(1, 2, 4)), s2s(8, 26.0, underruns=3)]
    _, result, _ = planned(rows)
    assert by_basis(result)["measured"]["sessions"] == 4
    fitted = by_basis(result)["fit"]
    assert fitted["sessions"] == 7
    assert any("at most 7, where the curve alone would allow 27" in n for n in fitted["notes"])


def test_steps_that_refused_calls_neither_hold_nor_bend_the_curve(planned):
    rows = [*line(10, 2, calls=(1, 2, 4, 8)), s2s(16, 26.0, refused=8)]
    _, result, _ = planned(rows)
    assert by_basis(result)["measured"]["sessions"] == 8
    fitted = by_basis(result)["fit"]
    assert fitted["sessions"] == 15  # capped below the step that failed
    assert fitted["notes"][0].startswith("tick p99 = (10 ± ")  # an exact line still
    assert " + (2 ± " in fitted["notes"][0]


def test_a_repeated_step_holds_only_if_every_time(planned):
    _, result, _ = planned([*line(10, 2, calls=(1, 2, 4)), s2s(4, 70.0)])
    assert by_basis(result)["measured"]["sessions"] == 2


def test_nothing_is_claimed_below_a_first_step_that_failed(planned):
    _, result, _ = planned([s2s(4, 70.0), s2s(8, 100.0)])
    assert by_basis(result)["measured"]["sessions"] is None
    assert by_basis(result)["fit"]["sessions"] == 3
    _, result, _ = planned([s2s(1, 70.0), s2s(2, 100.0)])
    assert by_basis(result)["measured"]["sessions"] == 0


def test_short_steps_are_named(planned):
    _, result, _ = planned([s2s(n, 10 + n, seconds=30) for n in (1, 2, 3)])
    assert any("steps lasted 30 s" in note for note in by_basis(result)["measured"]["notes"])


def test_context_has_its_own_coefficient(planned):
    """8 + B + 0.001 B ctx: 14 sessions at 3000 frames, 28 at 1000, and the latter is not a step."""
    rows = [
        s2s(n, 8 + n + 0.001 * n * ctx, context=ctx)
        for n in (1, 4, 8, 16)
        for ctx in (0, 1500, 3000)
    ]
    _, result, _ = planned(rows)
    full = by_basis(result)
    assert full["fit"]["context"] == 3000
    assert (full["measured"]["sessions"], full["fit"]["sessions"]) == (8, 14)
    _, result, _ = planned(rows, context=1000)
    part = by_basis(result)
    assert part["measured"]["sessions"] == 16  # at 1500 frames, which asks for more
    assert part["fit"]["sessions"] == 28
    _, result, out = planned(rows, context=6000)
    assert "measured" not in by_basis(result)  # nobody measured histories that long
    assert "extrapolated" in out


def test_memory_ends_it_first(planned):
    """20 GB and 4 GB a call in the 85 GB of an H100: 16 calls, where time would allow 54."""
    _, result, _ = planned([s2s(n, 10 + n, memory_bytes=int(20e9 + 4e9 * n)) for n in (1, 2, 4, 8)])
    fitted = by_basis(result)["fit"]
    assert fitted["sessions"] == 16
    assert any("memory ends it at 16" in note for note in fitted["notes"])


def test_another_gpu_gets_bounds_only(planned):
    """H100 (3350 GB/s) to L4 (300): 6 + 0.5 B gives at least 0, at most the 116 of the H100."""
    code, result, out = planned(line(6, 0.5), gpu="l4")
    rows = by_basis(result)
    assert code == 0
    assert set(rows) == {"at least", "at most"}
    assert (rows["at least"]["sessions"], rows["at most"]["sessions"]) == (0, 116)
    assert {row["status"] for row in rows.values()} == {PREDICTED}
    assert any("by the ratio of bandwidths (0.09)" in note for note in rows["at least"]["notes"])
    # Upwards: an H200 has 1.433 times the bandwidth; 6 + 0.5 B becomes 4.19 + 0.349 B.
    _, result, _ = planned(line(6, 0.5), gpu="h200")
    rows = by_basis(result)
    assert (rows["at least"]["sessions"], rows["at most"]["sessions"]) == (116, 171)
    assert "FORBIDDEN" not in out.split("Floors")[0]


def test_the_floor_of_a_known_model_caps_the_bound(planned):
    """Moshi in bf16 with full histories: the L4's floor leaves room for 2 calls."""
    rows = line(6, 0.5, model="hf://kyutai/moshiko-pytorch-bf16", context=3000)
    _, result, _ = planned(rows, gpu="l4")
    assert by_basis(result)["at most"]["sessions"] == 2


def test_a_fit_above_the_floor_is_doubted(planned):
    rows = line(6, 0.5, model="moshi-7b", hardware="NVIDIA L4", context=3000)
    _, result, _ = planned(rows, gpu="l4")
    assert any("the floors forbid more than 2" in n for n in by_basis(result)["fit"]["notes"])


def test_claims_that_the_floor_forbids_are_marked(planned):
    _, result, out = planned(line(6, 0.5), gpu="l4")
    words = {(c["calls"], c["precision"]): c["word"] for c in result["targets"]["s2s"]["claims"]}
    assert words[(8, "bf16")] == words[(12, "bf16")] == "forbidden"
    assert words[(12, "int8+kv8")] == "possible"
    assert "8 calls in bf16: FORBIDDEN" in out


def test_a_cpu_says_nothing_about_a_gpu(planned, capsys):
    code, result, out = planned(line(10, 2, hardware="x86_64, 2 cores"), gpu="l4")
    assert code == 1
    assert by_basis(result)["nothing"]["sessions"] is None
    assert "says nothing about an NVIDIA L4" in out
    assert result["plan"] == {"s2s": None, "cascade": None}


def test_the_measured_machine_can_be_planned_at_a_given_price(planned):
    rows = line(10, 2, hardware="x86_64, 2 cores")
    code, result, _ = planned(rows, gpu="measured", price=0.08)
    assert code == 0
    assert by_basis(result)["measured"]["usd_full"] == 0.005
    assert by_basis(planned(rows, gpu="measured")[1])["measured"]["usd_full"] is None


def test_a_given_price_overrides_the_table(planned):
    _, result, _ = planned(line(10, 2), price=1.6)
    assert result["targets"]["s2s"]["price_source"] == "given"
    assert by_basis(result)["measured"]["usd_full"] == 0.1


def test_a_cascade_is_fitted_in_front_of_its_knee(planned):
    """400 + 20 B to 16 calls, then a queue: 32 calls miss 1100 ms and lie on no line."""
    rows = [cascade(n, 400 + 20 * n) for n in (1, 2, 4, 8, 16)] + [cascade(32, 9000)]
    _, result, out = planned(rows)
    found = by_basis(result, "cascade")
    assert found["measured"]["sessions"] == 16
    assert found["fit"]["sessions"] == 31  # the line allows 35, and 32 were seen to fail
    assert "extrapolated" in out
    _, result, _ = planned(rows, v2v_ms=600)
    assert by_basis(result, "cascade")["fit"]["sessions"] == 10


def test_a_percentile_on_an_unanswered_turn_does_not_hold(planned):
    rows = [cascade(1, 500), cascade(2, 520), cascade(4, None, unanswered=3)]
    _, result, _ = planned(rows)
    assert by_basis(result, "cascade")["measured"]["sessions"] == 2


def test_the_cross_over(planned):
    """s2s 16 a GPU, cascade 32: at 400 + 20 * 16 = 720 ms they would cost the same."""
    rows = line(10, 2) + [cascade(n, 400 + 20 * n) for n in (1, 2, 4, 8, 16, 32)]
    _, result, out = planned(rows)
    crossed = result["cross_over"]
    assert crossed["cheaper_per_session"] == "cascade"
    assert crossed["never_dearer_from_callers"] == 1
    assert crossed["equal_cost_at_cascade_v2v_ms_p95"] == 720
    assert not crossed["extrapolated"]
    assert f"Cross-over ({PREDICTED}" in out
    # The cascade's GPU at a tenth of the price: equal at 16 / 10 calls, and still cheaper.
    _, result, _ = planned(rows, price=2.0, cascade_price=0.2)
    assert result["cross_over"]["equal_cost_at_cascade_v2v_ms_p95"] == 432
    assert planned(line(10, 2))[1]["cross_over"] is None


def test_each_engine_on_its_own_gpu(planned):
    rows = line(10, 2) + [cascade(n, 400 + 20 * n, hardware="NVIDIA L4") for n in (1, 2, 4)]
    _, result, _ = planned(rows, cascade_gpu="l4")
    assert result["targets"]["cascade"]["gpu"] == "l4"
    assert by_basis(result, "cascade")["measured"]["sessions"] == 4
    # $2.69 for 16 a GPU against $0.44 for 4: the H100's session is dearer, so L4s win throughout.
    assert result["cross_over"]["cheaper_per_session"] == "cascade"


def test_one_step_is_no_curve(planned):
    code, result, _ = planned([s2s(4, 20.0)])
    assert code == 0
    assert by_basis(result)["measured"]["sessions"] == 4
    assert by_basis(result)["fit"]["sessions"] is None
    assert any("measure at least two numbers" in n for n in by_basis(result)["fit"]["notes"])


def test_a_flat_ramp_gives_no_number(planned):
    _, result, _ = planned([s2s(n, 20.0) for n in (1, 2, 4)])
    assert by_basis(result)["fit"]["sessions"] is None
    assert any("ramp further" in note for note in by_basis(result)["fit"]["notes"])
    _, result, _ = planned([s2s(n, 20.0) for n in (1, 2, 4)], gpu="l4")
    assert by_basis(result)["at most"]["sessions"] is None


# What is not a ramp.
def test_no_rows(tmp_path, capsys):
    assert run_plan(tmp_path, "l4") == 2
    said = capsys.readouterr()
    assert "load.jsonl: no such file" in said.err.replace("\n", "")
    assert "maata bench --suite load" in said.err
    assert said.out == ""
    (tmp_path / "load.jsonl").write_text("\n\n")
    with pytest.raises(PlanError, match="has no rows; measure them with"):
        read_rows(tmp_path)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (s2s(1, 9.0) | {"tick_p99_ms": 3}, "unknown key 'tick_p99_ms'; did you mean tick_ms_p"),
        (s2s(0, 9.0), "calls: Input should be greater than or equal to 1"),
        (s2s(1, 9.0) | {"engine": "fake"}, "engine: Input should be 's2s' or 'cascade'"),
        (cascade(1, None), "neither tick_ms_p99 nor v2v_ms_p95"),
        ({"engine": "s2s"}, "hardware: Field required"),
        (s2s(1, float("nan")), "tick_ms_p99: Input should be a finite number"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, sentence):
    text = json.dumps(s2s(1, 9.0)) + "\n" + json.dumps(row) + "\n"
    (tmp_path / "load.jsonl").write_text(text)
    with pytest.raises(PlanError) as e:
        read_rows(tmp_path)
    assert "load.jsonl:2: " in str(e.value)
    assert sentence in str(e.value)


def test_a_line_cut_off(tmp_path):
    (tmp_path / "load.jsonl").write_text(json.dumps(s2s(1, 9.0))[:-9])
    with pytest.raises(PlanError, match="delete the line if the run was cut off there"):
        read_rows(tmp_path)


def test_rows_are_written_as_they_are_read(tmp_path):
    row = LoadRow(**s2s(3, 12.5, context=100, memory_bytes=5, commit="abc"))
    (tmp_path / "load.jsonl").write_text(row.model_dump_json(exclude_none=True) + "\n")
    assert read_rows(tmp_path) == [row]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gpu": "t4"}, "no GPU 't4' in the table; it has l4"),
        ({"callers": 0}, "--callers 0: give a number from 1"),
        ({"price": -1.0}, "--price -1.0"),
        ({"price": float("nan")}, "--price nan"),
        ({"blocking": 1.0}, "--blocking 1.0"),
        ({"context": 100.0}, "--context: no row of the ramp has a context"),
    ],
)
def test_bad_options(tmp_path: Path, capsys, options, sentence):
    (tmp_path / "load.jsonl").write_text(json.dumps(s2s(1, 9.0)))
    assert run_plan(tmp_path, **({"gpu": "l4"} | options)) == 2
    assert sentence in capsys.readouterr().err
