"""`maata bench --corpus` through the command line, on a tiny copy in a corpus's real layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from benchmarks.caller.manners import Manners
from benchmarks.suite import bench
from benchmarks.suite.rows import read, read_run
from maata.cli import app
from models.telugu.normalizers import NORMALIZERS
from tests.benchmarks.scripted_engines import ScriptedServer, answering, spoken
from tests.benchmarks.scripted_server import silence

RATE = 32_000  # Common Voice's own
QUICK = Manners(lead_in_ms=60, answer_over_ms=250, answer_timeout_s=3, longest_answer_s=3)
SENTENCES = ("నమస్తే", "అవును", "సరే", "లేదు")


@pytest.fixture
def common_voice(tmp_path: Path) -> Path:
    """Four rows by two speakers: two good, one in stereo, one without its sound."""
    home = tmp_path / "cv-te"
    (home / "clips").mkdir(parents=True)
    rows = ["client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage"]
    around = silence(80, RATE)
    clip = np.concatenate((around, spoken("అవును", "ravi", RATE), around))
    for n, sentence in enumerate(SENTENCES):
        rows.append(f"speaker-{n % 2}\tcommon_voice_te_{n}.mp3\ts{n}\t{sentence}\t\t2\t0\t")
        if n < 3:
            pcm = np.stack((clip, clip), axis=1) if n == 2 else clip
            path = home / "clips" / f"common_voice_te_{n}.mp3"
            soundfile.write(str(path), pcm, RATE, format="MP3")
    (home / "test.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return home


def test_recorded_speech_is_said_to_an_engine(common_voice, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PATIENCE", QUICK)
    out, server = tmp_path / "run", ScriptedServer({"cascade": answering()})
    try:
        arguments = ["bench", "--corpus", f"common-voice:{common_voice}", "--url", server.url]
        arguments += ["--judge", "none", "--no-quality", "--out", str(out)]
        done = CliRunner().invoke(app, arguments)
    finally:
        server.stop()
    assert done.exit_code == 1, done.output  # two rows of four cannot be said
    assert "2 of 4 clips of common-voice:cv-te:test were not said" in done.stderr
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["suite"] == "corpus"
    assert (told["engines"]["cascade"]["n"], told["engines"]["cascade"]["answered"]) == (2, 2)

    rows = [row for row in read(out / "turns.jsonl") if not row.warmup]
    assert [(r.conversation, r.turn, r.group) for r in rows] == [
        ("common_voice_te_0", 1, "speaker-0"),
        ("common_voice_te_1", 1, "speaker-1"),
    ]
    assert [r.reference for r in rows] == ["నమస్తే", "అవును"]
    assert all(r.v2v_ms is not None and r.fits is None for r in rows)
    about = read_run(out / "run.json")
    assert [one["id"] for one in about["refused"]] == ["common_voice_te_2", "common_voice_te_3"]
    assert "2 channels" in about["refused"][0]["reason"]

    found = json.loads((out / "results.json").read_text("utf-8"))["turns"]["cascade"]
    assert (found["scheduled"], found["recorded"], found["clusters"]) == (2, 2, 2)
    rates = {one["normalizer"]: one["wer"] for one in found["words"]["user"]["normalizers"]}
    assert rates.keys() == NORMALIZERS.keys()
    assert rates["te-std"]["value"] == 0.5  # the engine writes నమస్తే whatever it hears
    assert found["latency"]["v2v"]["p50"]["n"] == 2
    assert found["content"]["fits"]["n"] == 0
    assert "call of its own" in (out / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--corpus", "librispeech:x"), "layouts are folder, common-voice"),
        (("--corpus", "fleurs:nowhere"), "no such folder"),
        (("--corpus", "folder:x", "--suite", "smoke"), "leave --suite out"),
        (("--corpus", "folder:x", "--content-judge", "http://h/v1#m"), "written examples"),
        (("--content-judge", "http://h/v1"), "write its model behind a #"),
        (("--suite", "smoke", "--limit", "3"), "for the suite duplex and for --corpus"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, words):
    done = CliRunner().invoke(app, ["bench", *arguments, "--out", str(tmp_path / "o")])
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
