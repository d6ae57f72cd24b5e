"""Two runs compared, the table in README, and people's ratings in a report."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.baseline import against
from benchmarks.report.readme import BEGIN, END
from benchmarks.report.report import run_report
from benchmarks.suite.rows import RUN, TURNS, read_run, write_run
from benchmarks.summary.metrics import METRICS
from benchmarks.summary.results import read_directory
from tests.benchmarks.listening_raters import Case
from tests.benchmarks.synthetic_run import write_synthetic_run


def made(path: Path, **more: Any) -> Path:
    given: dict[str, Any] = {
        "audio_calls": 0,
        "load": False,
        "duplex": False,
        "conversations": 12,
    } | more
    return write_synthetic_run(path, **given)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("before"))


def test_a_run_has_not_become_worse_than_itself(before: Path, capsys: pytest.CaptureFixture[str]):
    changes = against(read_directory(before), read_directory(before))
    assert {c.metric.key for c in changes} == {m.key for m in METRICS}
    assert all(c.is_paired and not c.worse and not c.regressed for c in changes)
    assert run_report(before, baseline=before) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["regressions"] == []


def test_a_slower_run_is_a_regression(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    slower = made(tmp_path, slower_ms=150.0)
    assert run_report(slower, baseline=before) == 1
    said = capsys.readouterr()
    regressed = json.loads(said.out.splitlines()[-1])["regressions"]
    assert {"s2s v2v_p50", "cascade v2v_p50"} <= set(regressed)
    assert not any(name.endswith(("answered", "fits", "wer")) for name in regressed)
    assert "more than the 30 ms that pass" in said.err
    assert run_report(before, baseline=slower) == 0  # sooner is no regression


def test_what_is_worse_within_the_tolerance_passes(before: Path, tmp_path: Path):
    slower = made(tmp_path, slower_ms=20.0)
    found = {c.name: c for c in against(read_directory(slower), read_directory(before))}
    one = found["s2s v2v_p50"]
    assert one.figure.value == pytest.approx(20.0)
    assert one.worse
    assert not one.regressed


def test_other_turns_are_compared_unpaired(before: Path, tmp_path: Path):
    other = made(tmp_path, slower_ms=400.0, seed=31)
    run = read_run(other / RUN)
    write_run(other / RUN, {k: v for k, v in run.items() if k != "schema"} | {"suite_sha256": "0"})
    found = {c.name: c for c in against(read_directory(other), read_directory(before))}
    assert not any(c.is_paired for c in found.values())
    assert found["s2s v2v_p50"].regressed
    assert found["s2s v2v_p50"].figure.n == 36


def test_what_is_not_measured_any_more_is_a_regression(before: Path, tmp_path: Path):
    poorer = made(tmp_path)
    rows = [json.loads(x) for x in (poorer / TURNS).read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps(r | {"heard_text": None}) + "\n" for r in rows)
    (poorer / TURNS).write_text(text, encoding="utf-8")
    lost = [c.name for c in against(read_directory(poorer), read_directory(before)) if c.lost]
    assert lost == ["s2s bot_wer", "s2s bot_cer", "cascade bot_wer", "cascade bot_cer"]


def test_a_baseline_that_is_none(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_report(before, baseline=tmp_path) == 2
    other = made(tmp_path / "o", engines=("elsewhere",))
    assert run_report(before, baseline=other) == 2
    assert "no engine of" in capsys.readouterr().err


def test_the_table_in_readme_is_replaced_and_nothing_else(before: Path, tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Name\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    assert run_report(before, readme=readme) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Name\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text
    assert "Voice to voice, p50" in text
    assert "s2s − cascade" in text
    assert run_report(before, readme=readme) == 0
    assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", [None, "no markers", f"{END} {BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_readme_without_markers_is_one_sentence(
    before: Path, tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
):
    readme = tmp_path / "README.md"
    if text is not None:
        readme.write_text(text, encoding="utf-8")
    assert run_report(before, readme=readme) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert text is None or readme.read_text(encoding="utf-8") == text


def test_ratings_stand_in_the_report_and_gaps_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = made(tmp_path / "run", conversations=3)
    case = Case(tmp_path)
    for n in range(3):
        case.add(f"r{n}")
    csvs = sorted(case.folder.glob("*.csv"))
    assert len(csvs) == 3
    assert run_report(run, ratings=csvs) == 0
    assert "MOS (people" in (run / "report.md").read_text(encoding="utf-8")
    assert "MOS (people" in (run / "report.html").read_text(encoding="utf-8")
    stored = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert stored["ratings"]["raters"] == 3
    csvs[0].write_text("name,score\nx,3\n", encoding="utf-8")
    capsys.readouterr()
    assert run_report(run, ratings=csvs) == 1
    assert "in the ratings, skipped" in capsys.readouterr().err
    assert run_report(run, ratings=[tmp_path / "gone.csv"]) == 2
    assert run_report(run, ratings=[run / TURNS]) == 2  # no key beside it
