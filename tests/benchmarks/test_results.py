"""Figures out of rows: what counts, what does not, and that the same rows give the same bytes."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report.figures import ReportError, error_rate
from benchmarks.statistics.bootstrap import resampled_quantiles
from benchmarks.suite.rows import TURNS, RowError, TurnRow, append, read
from benchmarks.summary.figure import Figure, mean, percentile, share
from benchmarks.summary.latency import latency, stages
from benchmarks.summary.metrics import METRICS
from benchmarks.summary.paired import difference, differences, paired
from benchmarks.summary.results import as_text, read_directory, results
from benchmarks.summary.words import words
from tests.benchmarks.synthetic_run import write_synthetic_run

P50 = next(m for m in METRICS if m.key == "v2v_p50")


def row(turn: int = 1, v2v: float | None = 300.0, **more: Any) -> TurnRow:
    values: dict[str, Any] = {
        "engine": "cascade",
        "suite": "t",
        "conversation": "c",
        "turn": turn,
        "repeat": 0,
        "order": 0,
        "status": "answered" if v2v is not None else "silent",
        "v2v_ms": v2v,
    }
    return TurnRow(**(values | more))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_run(tmp_path_factory.mktemp("run"), audio_calls=0)


@pytest.fixture(scope="module")
def found(run: Path) -> dict:
    return results(read_directory(run))


def test_missing_turns_stay_in_every_denominator():
    rows = [row(n, float(100 * n)) for n in range(1, 19)] + [row(19, None), row(20, None)]
    told = latency(rows)
    assert told["v2v"]["p50"]["value"] == 1000.0  # the tenth of twenty
    assert told["v2v"]["p95"]["value"] == "never"  # the nineteenth was not answered
    assert told["answered"]["value"] == 0.9
    assert told["answered"]["n"] == 20
    assert [w["share"]["value"] for w in told["within"]] == [0.1, 0.2, 0.25, 0.4]
    assert math.isinf(Figure.of(told["v2v"]["p95"]).value or 0)


def test_early_and_first_turns_are_told_apart():
    rows = [row(1, -50.0), row(2, 100.0), row(1, 900.0, conversation="d"), row(2, 120.0, repeat=1)]
    told = latency(rows)
    assert told["early"]["n"] == 4
    assert told["first_turn"]["p50"]["n"] == 2
    assert told["first_turn"]["p50"]["value"] == -50.0  # signed
    assert told["later_turns"]["p50"]["value"] == 100.0


def test_stage_means_sum_to_the_mean():
    rows = [
        row(1, 300.0, stages={"asr_ms": 100.0, "tts_ms": 180.0, "residual_ms": 20.0}),
        row(2, 500.0, stages={"asr_ms": 510.0, "residual_ms": -10.0}),
        row(3, 400.0),
        row(4, None),
    ]
    told = stages(rows)
    assert told["n"] == 2
    assert [s["name"] for s in told["stages"]] == ["asr", "tts", "residual"]
    means = [s["mean"]["value"] for s in told["stages"]]
    assert means == [305.0, 90.0, 5.0]
    assert sum(means) == told["v2v"]["value"] == 400.0
    assert told["inexact"] == 0
    assert stages([row(1, 300.0, stages={"asr_ms": 290.0})])["inexact"] == 1


def test_warm_up_turns_are_in_no_figure(run: Path, found: dict):
    rows = read(run / TURNS)
    warm = [r for r in rows if r.warmup and r.engine == "s2s"]
    assert warm
    told = found["turns"]["s2s"]
    assert told["warmup"] == len(warm)
    assert told["n"] == told["latency"]["answered"]["n"] == 51
    assert told["scheduled"] == told["recorded"] == 51  # a warm-up stands in no schedule


def test_a_warm_up_does_not_hide_a_turn_that_was_not_recorded(tmp_path: Path):
    write_synthetic_run(tmp_path, conversations=1, audio_calls=0, load=False, duplex=False)
    rows = read(tmp_path / TURNS)
    lost = next(n for n, r in enumerate(rows) if r.engine == "s2s" and not r.warmup)
    (tmp_path / TURNS).unlink()
    append(tmp_path / TURNS, rows[:lost] + rows[lost + 1 :])
    told = results(read_directory(tmp_path))
    s2s = told["turns"]["s2s"]
    assert (s2s["scheduled"], s2s["recorded"], s2s["warmup"]) == (3, 2, 3)
    assert (
        "s2s: 2 of 3 scheduled turns were recorded; the others are in no figure."
        in (told["missing"])
    )


def test_every_figure_has_n_and_an_interval_or_a_reason(found: dict):
    seen = 0

    def walk(node: object) -> None:
        nonlocal seen
        if isinstance(node, dict):
            if "ci95" in node and "unit" in node:
                seen += 1
                assert isinstance(node["n"], int)
                assert node["ci95"] is not None or node["note"], node
                assert Figure.of(node).json() == node
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk([found["turns"], found["pair"], found["duplex"]])
    assert seen > 150


def test_small_samples_say_so():
    assert percentile([1.0], 0.5).note == "n too small"
    assert percentile([float(n) for n in range(30)], 0.95).note == "n too small for the upper limit"
    assert share(2, 3).note == "n too small"
    assert share(0, 0).value is None
    few = mean([1.0, 2.0, 3.0], ["a", "b", "c"], "score")
    assert (few.value, few.has_interval, few.note) == (2.0, False, "n too small")
    more = mean([float(n) for n in range(12)], [f"c{n}" for n in range(12)], "score")
    assert more.has_interval
    assert more.note.startswith("12 conversations")


def test_a_constant_difference_has_an_exact_interval():
    rng = np.random.default_rng(1)
    ours = [row(1, float(rng.normal(500, 200)), conversation=f"c{n}") for n in range(40)]
    theirs = [replace(r, v2v_ms=(r.v2v_ms or 0) + 250.0, engine="other") for r in ours]
    mine, others = paired(ours, list(reversed(theirs)))
    one = difference(P50, mine, others)
    assert (one.value, one.low, one.high) == pytest.approx((-250.0, -250.0, -250.0))
    assert one.n == 40


def test_only_turns_of_both_sides_are_paired():
    ours = [row(n, 100.0) for n in (1, 2, 3)]
    theirs = [row(n, 200.0, engine="o") for n in (2, 3, 4, 5)]
    told = differences(ours, theirs)
    assert (told["n"], told["unpaired"]) == (2, 3)
    assert told["metrics"]["v2v_p50"]["value"] == -100.0
    assert told["metrics"]["v2v_p50"]["note"] == "n too small"  # one conversation


def test_a_shift_is_found_and_noise_is_not(found: dict):
    told = found["pair"]
    assert (told["ours"], told["theirs"], told["draws"]) == ("s2s", "cascade", 10_000)
    low, high = told["metrics"]["v2v_p50"]["ci95"]
    assert low < -250 < high or low < -350 < high
    assert high < 0
    assert told["metrics"]["user_wer"]["value"] is None


def test_resampled_quantiles_are_those_of_the_samples():
    values = np.array([5.0, 1.0, np.inf, 3.0, 2.0])
    groups = ["a", "b", "c", "a", "b"]
    drawn = resampled_quantiles(values, groups, [0.5, 0.9], draws=200, seed=3)
    # The same samples by hand: the generator draws three of the three groups, 200 times.
    picks = np.random.default_rng(3).integers(3, size=(200, 3))
    of_group = {0: [5.0, 3.0], 1: [1.0, 2.0], 2: [np.inf]}
    for sample, (median, late) in zip(picks, drawn, strict=True):
        pool = sorted(v for g in sample for v in of_group[int(g)])
        assert median == pool[math.ceil(0.5 * len(pool)) - 1]
        assert late == pool[math.ceil(0.9 * len(pool) - 1e-9) - 1]


def test_words_count_what_was_said_and_what_was_not():
    rows = [
        row(1, reference="వాన పడుతుందా", user_text="వాన పడుతుందా", bot_text="లేదు", heard_text="లేదు"),
        row(2, reference="సరే మంచిది", user_text="సరే", bot_text="నమస్తే", heard_text=""),
        row(3, None, reference="మళ్ళీ చెప్పండి"),
    ]
    told = words(rows, ["asr"])
    std = next(one for one in told["user"]["normalizers"] if one["headline"])
    assert std["wer"]["value"] == 0.5  # one word lost, two of the turn that was not heard
    assert told["user"]["n"] == 3
    assert told["user"]["missing"] == 1
    bot = next(one for one in told["bot"]["normalizers"] if one["headline"])
    assert (bot["wer"]["value"], told["bot"]["n"]) == (0.5, 2)
    assert [one["normalizer"] for one in told["user"]["normalizers"] if not one["comparable"]] == [
        "whisper-basic"
    ]
    assert told["bot"]["worst"][0]["hypothesis"] == ""


def test_an_engine_without_a_recogniser_has_no_such_rate():
    rows = [row(1, reference="వాన పడుతుందా")]
    assert words(rows, ["s2s"])["user"] == {"n": 0, "scheduled": 1, "why": "no transcripts"}
    silent = words(rows, ["asr"])["user"]  # a recogniser that wrote nothing is not excused
    assert next(o for o in silent["normalizers"] if o["headline"])["wer"]["value"] == 1.0


def test_an_error_rate_without_its_circumstances_is_refused(found: dict):
    good = found["turns"]["cascade"]["words"]["user"]["normalizers"][0]
    assert error_rate(good, "wer").n == 51
    for bad in (
        good | {"normalizer": ""},
        good | {"wer": 0.12},
        good | {"wer": good["wer"] | {"n": 0}},
        good | {"wer": {"value": 0.1, "ci95": None, "n": 5, "unit": "share"}},
    ):
        with pytest.raises(ReportError):
            error_rate(bad, "wer")


def test_the_same_rows_give_the_same_bytes(run: Path, found: dict):
    text = as_text(found)
    assert as_text(results(read_directory(run))) == text
    assert as_text(json.loads(text)) == text
    assert set(found["raw"]) == {"run.json", "turns.jsonl", "duplex.jsonl", "load.jsonl"}
    assert all(len(digest) == 64 for digest in found["raw"].values())


def test_content_and_voice_have_figures_of_their_own(found: dict):
    told = found["turns"]["cascade"]
    fits, judged = told["content"]["fits"], told["content"]["judged"]
    agreement = told["content"]["agreement"]
    assert judged["n"] == agreement["n"] == fits["n"]
    # The made-up model also takes every second turn for fitting, and differs in nothing else.
    assert judged["value"] > fits["value"]
    assert agreement["value"] == pytest.approx(1 - judged["value"] + fits["value"], abs=2e-6)
    assert 0.86 <= told["sound"]["voice"]["value"] <= 0.88  # turns 2 and 3 of each call
    assert found["pair"]["metrics"]["judged_fits"]["ci95"] is not None


def test_duplex_differences_pair_the_stimuli(found: dict):
    told = {(b["task"], b["name"]): b for b in found["duplex"]["behaviours"]}
    stop = told["interruption", "silent after, p50"]
    assert stop["headline"]
    assert stop["difference"]["ci95"][1] < 0  # s2s is silent sooner
    assert told["pause", "turn taken in a pause"]["difference"]["value"] > 0
    assert found["duplex"]["radar"]["axes"][0] == "pause"
    values = found["duplex"]["radar"]["engines"]["s2s"]
    assert len(values) == len(found["duplex"]["radar"]["axes"])
    taken = told["pause", "turn taken in a pause"]["engines"]["s2s"]["value"]
    assert values[0] == pytest.approx(1 - taken, abs=1e-6)


def test_cost_comes_with_the_measured_gpu(found: dict):
    plans = found["load"]["cost"]["plans"]
    assert plans[0]["gpu"] == "l4"
    for one in plans[0]["engines"]:
        assert one["basis"] == "measured"
        assert one["usd_full"] < one["usd_blocking"]
        assert one["curve"][0]["usd"] == plans[0]["usd_per_hour"]  # one caller has a whole GPU


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"v2v_ms": float("nan")}, "v2v_ms"),
        ({"v2v_ms": "300"}, "v2v_ms"),
        ({"v2v_ms": None}, "answered, but without"),
        ({"stages": {"asr_ms": None}}, "asr_ms"),
        ({"underruns": True}, "underruns"),
    ],
)
def test_rows_that_no_figure_can_be_made_of(tmp_path: Path, broken: dict, word: str):
    write_synthetic_run(tmp_path, conversations=1, audio_calls=0, load=False, duplex=False)
    values = json.loads((tmp_path / TURNS).read_text(encoding="utf-8").splitlines()[0])
    lines = [json.dumps(values | {"status": "answered"} | broken)]
    (tmp_path / TURNS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(RowError, match=word):
        read_directory(tmp_path)


def test_a_turn_twice_is_refused(tmp_path: Path):
    write_synthetic_run(tmp_path, conversations=1, audio_calls=0, load=False, duplex=False)
    append(tmp_path / TURNS, read(tmp_path / TURNS)[-1:])
    with pytest.raises(RowError, match="twice"):
        read_directory(tmp_path)
