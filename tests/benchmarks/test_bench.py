"""`maata bench` as a program, on scripted engines: files, JSON line, exit codes, going on."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.judge.address import CONTENT_KEY_VARIABLE
from benchmarks.keys.keys import parse
from benchmarks.load.ramp import read_rows
from benchmarks.ruler.recording import Utterance
from benchmarks.sets.turnset import CallerTurn, Conversation
from benchmarks.suite import after, suites
from benchmarks.suite import bench as command
from benchmarks.suite import others as bench_suites
from benchmarks.suite.asked import Asked, CannotBegin
from benchmarks.suite.bench import bench
from benchmarks.suite.command import run_bench
from benchmarks.suite.input import Prepared
from benchmarks.suite.record import OtherRun
from benchmarks.suite.rows import read, read_run
from benchmarks.suite.turn_rows import Said
from tests.benchmarks.scripted_engines import Launcher, ScriptedServer, answering, utterance_pcm
from tests.benchmarks.scripted_model import MODEL, scripted_model
from tests.benchmarks.scripted_server import Served, ready

BOTH = {"cascade": answering(), "s2s": answering()}
HELLO = Said("అవును", Utterance("hello", utterance_pcm()), parse(["నమస్కార~"]))
TALK = Conversation("a", "greetings", "", (CallerTurn("అవును", example="నమస్కారం అండి"),))


@pytest.fixture(autouse=True)
def one_word(monkeypatch):
    """Callers say one word: a test waits for every sound of theirs."""
    prepared = Prepared("te-x", "0" * 64, (TALK,), {"a": [HELLO]})
    monkeypatch.setattr(command, "prepare", lambda suite, console: prepared)


def asked(out: Path, **changed) -> Asked:
    plain = Asked(suites.find("smoke"), out, judge="none", quality=False)
    return replace(plain, **changed)


def run(given: Asked, capsys) -> tuple[int, dict, str]:
    code = bench(given, Console(stderr=True))
    out, err = capsys.readouterr()
    return code, json.loads(out.strip().splitlines()[-1]), err


def test_both_engines_are_measured_and_reported(tmp_path, capsys):
    launcher = Launcher(BOTH)
    code, told, err = run(asked(tmp_path, start=launcher), capsys)
    assert code == 0, err
    assert {*told} == {"out", "suite", "engines", "report"}
    assert told["suite"] == "smoke"
    for engine in BOTH:
        figures = told["engines"][engine]
        assert {*figures} == {"n", "answered", "v2v_p50", "v2v_p95"}
        assert (figures["n"], figures["answered"]) == (1, 1)
    assert Path(told["report"]).stat().st_size > 10_000
    about = read_run(tmp_path / "run.json")
    assert about["complete"] is True
    assert about["engines"] == ["cascade", "s2s"]
    assert about["scheduled"] == {"cascade": 1, "s2s": 1}
    assert about["profile"]["name"] == "starter"
    assert about["starter"] is True
    assert about["seconds"] > 1
    assert "warm" in about["rules"]["warmup"]
    rows = read(tmp_path / "turns.jsonl")
    assert [(r.engine, r.warmup) for r in rows] == [
        (engine, warmup) for engine in BOTH for warmup in (True, False)
    ]
    assert not any("secret" in p.read_text("utf-8") for p in tmp_path.glob("*.json*"))

    # What is finished needs no server; what was asked for otherwise is not the same run.
    started = len(launcher.servers)
    again = asked(tmp_path, start=launcher, resume=True)
    code, told, _ = run(again, capsys)
    assert code == 0
    assert len(launcher.servers) == started
    assert read(tmp_path / "turns.jsonl") == rows
    assert read_run(tmp_path / "run.json")["started"] == about["started"]
    with pytest.raises(OtherRun, match="another --profile or --set"):
        run(replace(again, settings={"cascade.llm.max_tokens": "9"}), capsys)
    with pytest.raises(CannotBegin, match="--resume goes on"):
        run(asked(tmp_path, start=launcher), capsys)
    launcher.close()


def test_a_missing_engine_is_told_and_the_other_reported(tmp_path, capsys):
    launcher = Launcher(BOTH, lacking={"s2s": "no weights at 'starter/s2s'"})
    code, told, err = run(asked(tmp_path, start=launcher), capsys)
    launcher.close()
    assert code == 1
    assert told["engines"]["s2s"] == {"n": 1, "answered": 0, "v2v_p50": None, "v2v_p95": None}
    assert told["engines"]["cascade"]["answered"] == 1
    assert told["report"] is not None
    assert "s2s answered nothing: no weights at 'starter/s2s'" in err
    notes = read_run(tmp_path / "run.json")["notes"]
    assert "s2s was not measured: no weights at 'starter/s2s'" in notes


def test_a_server_elsewhere_is_measured_by_its_own_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "PATIENCE", replace(command.PATIENCE, answer_timeout_s=1.0))

    async def mute(served: Served) -> None:
        await ready(served)

    server = ScriptedServer({"cascade": mute}, missing={"s2s": "runs without it"})
    try:
        given = asked(tmp_path, url=server.url, token="secret")
        code, told, err = run(given, capsys)
    finally:
        server.stop()
    assert code == 1
    assert [*told["engines"]] == ["cascade"]
    assert "cascade answered nothing: the bot said nothing" in err
    about = read_run(tmp_path / "run.json")
    assert (about["url"], about["profile"]) == (server.url, None)
    assert not any("secret" in p.read_text("utf-8") for p in tmp_path.glob("*.json*"))


def test_a_language_model_may_be_asked_about_the_answers(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(CONTENT_KEY_VARIABLE, "secret")
    launcher = Launcher(BOTH)
    with scripted_model() as model:
        given = asked(tmp_path, start=launcher, content_judge=f"{model.url}#{MODEL}")
        code, _, err = run(given, capsys)
        case = json.loads(model.asked[0]["messages"][-1]["content"])
    assert code == 0, err
    assert case == {
        "caller_before": [],
        "caller": "అవును",
        "fitting_example": "నమస్కారం అండి",
        "assistant": "నమస్కారం.",
    }
    assert model.keys == ["Bearer secret"] * 2
    rows = [row for row in read(tmp_path / "turns.jsonl") if not row.warmup]
    assert [(r.judged_fits, r.judged_reason) for r in rows] == [(True, "because")] * 2
    told = read_run(tmp_path / "run.json")["content_judge"]
    assert (told["n"], told["without_verdict"]) == (2, 0)
    found = json.loads((tmp_path / "results.json").read_text("utf-8"))
    content = found["turns"]["s2s"]["content"]
    assert (content["judged"]["value"], content["agreement"]["value"]) == (1.0, 1.0)
    assert f"Language model: {MODEL} at 127.0.0.1" in (tmp_path / "report.md").read_text("utf-8")
    assert not any("secret" in p.read_text("utf-8") for p in tmp_path.glob("*.*") if p.is_file())

    # Nobody answers there any more: what is judged stays, what is not is said.
    monkeypatch.setattr("benchmarks.judge.content._RETRIES", 0)
    fresh = [replace(r, judged_fits=None, judged_reason=None) for r in rows]
    after.rewrite(tmp_path / "turns.jsonl", fresh)
    code, _, err = run(replace(given, resume=True), capsys)
    launcher.close()
    assert code == 1
    assert "judged no answer" in err
    assert "is it running?" in err


def test_a_ramp_is_a_run_too(tmp_path, capsys, monkeypatch):
    short = partial(bench_suites.run_load, steps=(1,), seconds=1.0)
    monkeypatch.setattr(bench_suites, "run_load", short)
    monkeypatch.setattr(bench_suites, "prepare", command.prepare)
    launcher = Launcher({"cascade": answering()})
    given = asked(
        tmp_path, suite=suites.find("load"), engines=("cascade",), start=launcher, repeats=1
    )
    code, told, err = run(given, capsys)
    launcher.close()
    assert code == 0, err
    assert told["suite"] == "load"
    assert told["engines"]["cascade"]["answered"] >= 1
    about = read_run(tmp_path / "run.json")
    assert about["complete"] is True
    [row] = read_rows(tmp_path)
    assert (row.engine, row.calls, row.model, row.precision) == (
        "cascade",
        1,
        "starter/none",
        "int8",
    )
    assert row.profile.startswith("starter ")
    assert any("limits.max_calls=64" in flag for flag in launcher.arguments[0])


def test_mistakes_are_one_sentence_and_exit_code_2(tmp_path, capsys):
    for arguments, words in [
        ({"suite": "big"}, "no suite 'big'"),
        ({"suite": "smoke", "repeats": 0}, "--repeats 0"),
        ({"suite": "smoke", "profile": "nobody"}, "no profile 'nobody'"),
        ({"suite": "smoke", "settings": {"cascade.x": "1"}}, "unknown key cascade.x"),
        ({"suite": "smoke", "engines": ["moshi"]}, "moshi"),
        ({"suite": "smoke", "url": "ftp://x"}, "no server address"),
        ({"suite": "smoke", "url": "h:1", "settings": {"a": "b"}}, "not one at --url"),
    ]:
        given = {"engines": None, **arguments}
        assert run_bench(given.pop("engines"), given.pop("suite"), out=tmp_path / "o", **given) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert words in err
        assert len(err.strip().splitlines()) == 1
        assert "Traceback" not in err
