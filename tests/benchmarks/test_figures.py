"""The published figures: percentiles that hide nothing, and a whole run against a known server."""

import json

import numpy as np
import pytest

from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE
from benchmarks.figures import GOALS, missed, percentile, run
from models.audio import write_wav
from tests.benchmarks.scripted_server import conversing, serving, silence, tone

QUICK = Manners(lead_in_ms=100, answer_over_ms=300, answer_timeout_s=3)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        (range(1, 101), 0.95, 95),
        (range(1, 31), 0.95, 29),
        (range(1, 31), 0.50, 15),
        ([5], 0.95, 5),
        ([], 0.5, None),
        ([1, None, 2], 0.5, 2),  # an unanswered turn is slower than every other
        ([1, None, 2], 0.95, None),
        ([-30, 10, 20], 0.3, -30),
    ],
)
def test_percentiles(values, share, expected):
    assert percentile(values, share) == expected


def test_a_missing_figure_misses_its_goal():
    reached = dict(GOALS)
    assert missed(reached) == []
    assert missed(reached | {"v2v_p50": None}) == ["v2v_p50"]
    assert missed(reached | {"silence_p95": 400.1}) == ["silence_p95"]


def test_a_whole_run(tmp_path, capsys):
    """Three series of two utterances: answered 200 ms after the end, silent at once on barge-in."""
    lines = []
    for name in ("a.wav", "b.wav"):
        pcm = np.concatenate((silence(40, IN_RATE), tone(300, IN_RATE), silence(40, IN_RATE)))
        write_wav(tmp_path / name, pcm, IN_RATE)
        lines.append(json.dumps({"wav": name, "text": "నమస్తే మీరు"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with serving(conversing(answer_ms=900)) as address:
        code = run(address, tmp_path, tmp_path / "out", manners=QUICK)
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert code == 0, result
    assert (result["turns"], result["unanswered"], result["wer"]) == (2, 0, 0.5)
    assert 220 < result["v2v_p50"] <= result["v2v_p95"] < 400
    assert result["work_p50"] == 30
    assert (result["at_once_turns"], result["underruns_at_once"]) == (8, 0)
    assert result["barge_ins"] == 1
    assert result["silence_p95"] < 150
    assert result["stale_max"] == 0
    rows = (tmp_path / "out" / "turns.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 2 + 8 + 2
    assert len(list((tmp_path / "out").glob("*/call.wav"))) == 1 + 4 + 1


def test_no_manifest_and_no_server_are_sentences(tmp_path, capsys):
    assert run("127.0.0.1:9", tmp_path, tmp_path / "out") == 2
    assert "training.unseen_callers" in capsys.readouterr().err
    write_wav(tmp_path / "a.wav", tone(300, IN_RATE), IN_RATE)
    (tmp_path / "manifest.jsonl").write_text('{"wav": "a.wav", "text": "అ"}', encoding="utf-8")
    assert run("127.0.0.1:9", tmp_path, tmp_path / "out") == 2
    assert "nobody answers there" in capsys.readouterr().err
