"""The rendered report: complete, offline, safe, the same every time; and its bad inputs."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.duplex.rows import DUPLEX
from benchmarks.report.audio import chosen
from benchmarks.report.report import run_report
from benchmarks.report.sound import clip
from benchmarks.report.verdict import compared, verdict
from benchmarks.suite.rows import RUN, TURNS, read, read_run, write_run
from benchmarks.summary.figure import Figure
from benchmarks.summary.metrics import METRICS
from benchmarks.summary.results import read_directory
from models.audio import AudioError
from tests.benchmarks.synthetic_run import SAID, write_synthetic_run

VOID = {"meta", "line", "rect", "circle", "polyline", "polygon", "path", "br"}
FILES = ("results.json", "report.md", "report.html")


class Balance(HTMLParser):
    """Whether every tag that opens closes, in order; collects ids and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [i for i in [given.get("id")] if i]
        self.addresses += [a for a in (given.get("src"), given.get("href")) if a]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_run(tmp_path_factory.mktemp("run"), audio_calls=1)


@pytest.fixture(scope="module")
def rendered(original: Path) -> Path:
    assert run_report(original) == 0
    return original


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Few turns and nothing else, for what has to be broken."""
    return write_synthetic_run(
        tmp_path / "small", conversations=3, audio_calls=0, load=False, duplex=False
    )


@pytest.fixture(scope="module")
def page(rendered: Path) -> str:
    return (rendered / "report.html").read_text(encoding="utf-8")


def test_rendering_again_gives_the_same_bytes(rendered: Path):
    before = {name: (rendered / name).read_bytes() for name in FILES}
    assert run_report(rendered) == 0
    assert {name: (rendered / name).read_bytes() for name in FILES} == before
    assert not list(rendered.glob("*.part"))


def test_the_page_needs_no_network_and_is_well_formed(page: str):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert all(a.startswith(("#", "data:audio/mpeg")) for a in parser.addresses)
    assert not re.search(r"https?://|url\((?!data:)|@import", page)
    anchors = {a[1:] for a in parser.addresses if a.startswith("#")}
    assert anchors <= set(parser.ids)
    assert {"latency", "stages", "listen", "duplex", "words", "load", "cost"} <= anchors


def test_every_drawing_says_what_it_shows(page: str):
    drawings = re.findall(r"<svg .*?</svg>", page, re.S)
    assert len(drawings) > 10
    for drawing in drawings:
        title = re.search(r"<title id=.*?>(.+?)</title><desc id=.*?>(.+?)</desc>", drawing)
        assert title, drawing[:200]
        assert "nan" not in drawing
        assert "inf" not in drawing


def test_the_first_screen_has_table_verdict_and_plot(page: str):
    first = page[page.index("<body>") : page.index('<section id="latency"')]
    assert "s2s − cascade" in first
    assert "sooner than cascade in the median" in first
    assert first.count("<svg") == 2  # one drawing, for a desk and for a phone
    assert "starter models" in first
    assert any(text in page for text in SAID)  # Telugu as it was written


def test_markdown_has_the_same_figures(rendered: Path, page: str):
    text = (rendered / "report.md").read_text(encoding="utf-8")
    found = json.loads((rendered / "results.json").read_text(encoding="utf-8"))
    median = Figure.of(found["turns"]["s2s"]["latency"]["v2v"]["p50"])
    for shown in (text, page):
        assert f"{median.value:.0f}\u202fms" in shown
        assert "whisper-basic" in shown
        assert "not comparable" in shown
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) > 60
    heads = [n for n, line in enumerate(text.splitlines()) if line.startswith("| ---")]
    for n in heads:  # every table has as many cells in each row as in its head
        rows = text.splitlines()
        width = rows[n].count("|")
        while n < len(rows) and rows[n].startswith("|"):
            assert rows[n].replace("\\|", "").count("|") == width
            n += 1


def test_what_a_server_says_is_text_and_nothing_else(small: Path):
    rows = (small / TURNS).read_text(encoding="utf-8").splitlines()
    evil = "<script>alert(1)</script> | `x`"
    lines = []
    for line in rows:
        values = json.loads(line)
        spoken = {"bot_text": evil, "heard_text": "<b>"} if values["status"] == "answered" else {}
        lines.append(json.dumps(values | spoken | {"reason": values["reason"] and evil}))
    (small / TURNS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run_report(small) == 0
    shown = (small / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" not in (small / "report.md").read_text(encoding="utf-8").replace("\\<", "")


def test_one_engine_has_one_column(tmp_path: Path):
    write_synthetic_run(tmp_path, engines=("cascade",), audio_calls=0, duplex=False, load=False)
    assert run_report(tmp_path) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "cascade answered" in text
    assert "|  | cascade |" in text.replace("|   |", "|  |")
    assert "−  cascade" not in text
    assert "No duplex suite" in text


@pytest.mark.parametrize("kept", [DUPLEX, "load.jsonl"])
def test_a_run_without_turns_shows_what_there_is(rendered: Path, tmp_path: Path, kept: str):
    for name in (RUN, kept):
        shutil.copy(rendered / name, tmp_path / name)
    assert run_report(tmp_path) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "No turns were measured" in text
    assert ("## Load" in text) == (kept == "load.jsonl")
    assert ("## Duplex" in text) == (kept == DUPLEX)
    first = next(line for line in text.splitlines() if line.startswith("> "))
    assert first.startswith("> Takes the turn in a pause: s2s" if kept == DUPLEX else "> s2s (star")


def test_an_unfinished_run_says_so(small: Path):
    run = read_run(small / RUN)
    run["complete"] = False
    run["scheduled"] = {"s2s": 99, "cascade": 99}
    write_run(small / RUN, {k: v for k, v in run.items() if k != "schema"})
    assert run_report(small) == 0
    text = (small / "report.md").read_text(encoding="utf-8")
    assert "was interrupted" in text
    assert "9 of 99 scheduled turns" in text


def test_references_without_hypotheses_are_told(small: Path, capsys: pytest.CaptureFixture[str]):
    rows = [json.loads(line) for line in (small / TURNS).read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps(row | {"user_text": ""}) + "\n" for row in rows)
    (small / TURNS).write_text(text, encoding="utf-8")
    assert run_report(small) == 1
    said = capsys.readouterr().err
    assert "9 references and not one hypothesis" in said
    assert "100.0\u202f%" in (small / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (RUN, None),
        (RUN, '{"schema": 99}'),
        (RUN, "{"),
        (TURNS, ""),
        (TURNS, '{"engine": "s2s", "sui'),
        (TURNS, '{"engine": "s2s", "colour": 1}'),
        (TURNS, b"\xff\xfe\x00"),
        (DUPLEX, ""),
        (DUPLEX, '{"engine": "s2s"}'),
        ("load.jsonl", "{"),
        ("load.jsonl", ""),
    ],
)
def test_bad_files_are_one_sentence(
    small: Path, name: str, text: str | bytes | None, capsys: pytest.CaptureFixture[str]
):
    if text is None:
        (small / name).unlink()
    else:
        (small / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run_report(small) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("maata report: ")
    assert not (small / "report.html").exists()


def test_a_directory_without_rows_is_one_sentence(small: Path, capsys: pytest.CaptureFixture[str]):
    (small / TURNS).unlink()
    assert run_report(small) == 2
    assert "nothing was measured" in capsys.readouterr().err
    assert run_report(small / "nowhere") == 2


def test_turns_to_hear_are_chosen_by_rule_and_within_the_cap(rendered: Path):
    run = read_directory(rendered)
    choice = chosen(run)
    assert [h.why[0] for h in choice.heard[:2]] == ["side by side: the same turn"] * 2
    assert {h.row.engine for h in choice.heard} == {"s2s", "cascade"}
    assert len({id(h.row) for h in choice.heard}) == len(choice.heard)
    cap = sum(len(h.base64) for h in choice.heard[:2])
    less = chosen(run, cap=cap)
    assert sum(len(h.base64) for h in less.heard) <= cap
    assert less.left_out == len(choice.heard) - len(less.heard) > 0


def test_recordings_that_cannot_be_heard_are_named(small: Path):
    rows = [json.loads(line) for line in (small / TURNS).read_text(encoding="utf-8").splitlines()]
    (small / "broken.wav").write_bytes(b"RIFF")
    for row in rows:
        row |= {"audio": "broken.wav" if row["engine"] == "s2s" else "gone.wav"}
    (small / TURNS).write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    assert run_report(small) == 0
    text = (small / "report.html").read_text(encoding="utf-8")
    assert "not a readable audio file" in text
    assert "gone.wav: no such file" in text


def test_a_clip_is_small_outlined_and_the_same_again(rendered: Path):
    row = next(r for r in read(rendered / TURNS) if r.audio and r.v2v_ms and not r.warmup)
    path, end = rendered / (row.audio or ""), row.user_end_ms or 0.0
    one = clip(path, end - 1000, end + 2000)
    assert one == clip(path, end - 1000, end + 2000)
    assert len(one.mp3) < 30_000
    assert len(one.user) == len(one.bot) == 150
    assert max(one.user[:40]) > 0.1 > max(one.user[60:])  # the caller falls silent at `end`
    with pytest.raises(AudioError, match="ends before"):
        clip(path, 1e6, 2e6)


def pair_of(**changes: tuple[float, float, float]) -> dict:
    metrics = {m.key: Figure(None, None, None, 0, m.unit, "not there").json() for m in METRICS}
    units = {m.key: m.unit for m in METRICS}
    for key, (value, low, high) in changes.items():
        metrics[key] = Figure(value, low, high, 60, units[key]).json()
    return {"ours": "s2s", "theirs": "cascade", "n": 60, "metrics": metrics}


def test_the_verdict_follows_the_intervals():
    first, *rest = compared(
        pair_of(
            v2v_p50=(-210.0, -240.0, -180.0), bot_wer=(0.12, 0.05, 0.2), fits=(0.01, -0.1, 0.12)
        )
    )
    assert first.startswith("s2s answers 210\u202fms sooner than cascade in the median [180, 240]")
    assert "but it is understood less well by the judge (+12.0\u202fpoints)" in first
    assert rest == ["No difference was shown in fitting answers."]
    first, *rest = compared(pair_of(v2v_p50=(-10.0, -30.0, 12.0), answered=(0.1, 0.02, 0.2)))
    assert "no difference in latency between s2s and cascade was shown" in first
    assert "but" not in first
    assert rest == ["It also answers more of the turns (+10.0\u202fpoints)."]
    first, *rest = compared(
        pair_of(
            v2v_p50=(200.0, 100.0, 300.0), v2v_p95=(-90.0, -120.0, -60.0), early=(-0.1, -0.2, -0.01)
        )
    )
    assert "200\u202fms later than cascade" in first
    assert "but it starts less often before the caller has ended" in first
    assert "slowest turns go the other way" in rest[-1]


def test_a_partial_run_of_nothing_has_a_verdict():
    said = verdict({"pair": None, "turns": {}, "run": {"complete": False}})
    assert said[0].startswith("No turn of this run counts")
    assert said[-1] == "The run is partial."


def test_too_few_turns_and_a_mute_engine_are_said_first(small: Path):
    rows = [json.loads(line) for line in (small / TURNS).read_text(encoding="utf-8").splitlines()]
    mute = {"status": "silent", "v2v_ms": None, "bot_start_ms": None, "bot_end_ms": None}
    text = [json.dumps(r | mute if r["engine"] == "s2s" else r) for r in rows]
    (small / TURNS).write_text("\n".join(text) + "\n", encoding="utf-8")
    assert run_report(small) == 0
    said = (small / "report.md").read_text(encoding="utf-8")
    assert "> s2s answered none of its 9 turns." in said
    assert "9 turns that both had are too few to tell s2s and cascade apart." in said
    assert "No difference was shown" not in said
