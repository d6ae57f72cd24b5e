"""A voice read aloud and listened to: its rows, its figures, and the command on a tiny one."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.voice import run
from benchmarks.voice.figures import figures, likeness
from benchmarks.voice.plan import TEXTS, Plan
from benchmarks.voice.readers import Reading
from benchmarks.voice.rows import ROWS, ReadRow, VoiceRowError, WatchRow, append, mend, read_rows
from benchmarks.voice.seams import ranks
from benchmarks.voice.table import render
from models.host_server import HostServer, bind
from models.speecht5 import SpeechT5
from models.speecht5_host import SpeechT5Host
from models.speecht5_layout import load
from models.speecht5_reading import Reading as ReadingProcess
from models.speecht5_voices import Decoding
from models.telugu.spoken import speakable
from tests.models import tiny_speecht5


def read(text: int = 0, **other: Any) -> ReadRow:
    """A reading of 2 s that was well understood."""
    row: dict[str, Any] = {
        **{"system": "speecht5", "voice": "priya", "emotion": "neutral", "at_once": 1},
        **{"text_id": f"{text:03d}", "text": "మాట", "heard": "మాట", "edits": 1, "length": 20},
        **{"wav": "wav/x.wav", "rate": 16_000, "samples": 32_000, "pieces": (2_048, 29_952)},
        **{"first_ms": 100.0 + text, "whole_ms": 500.0, "starved_ms": 0.0},
        **{"clipped": 0.0, "peak_dbfs": -3.0, "gap_ms": 0.0},
    }
    return ReadRow(**(row | other))


def watched(**other: Any) -> WatchRow:
    """A clause that was said to its end."""
    row: dict[str, Any] = {
        **{"text": "మాట", "voice": "priya", "emotion": "neutral", "seed": 0, "clause": "మాట"},
        **{"fault": "", "leap": 2.0, "back": 0.5, "stayed": 6, "used": 0.4, "stopped": True},
        **{"steps": 40, "characters": 5, "limits": {"leap": 12.0, "stayed": 40.0}},
    }
    return WatchRow(**(row | other))


# -- joins --------------------------------------------------------------------------------------


def speech(seconds: float = 4.0) -> np.ndarray:
    """Syllables of a harmonic sound and of noise, without a seam, float32 at 16 kHz."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * 16_000)) / 16_000
    tone = np.sum([np.sin(2 * np.pi * 130 * k * t + k) / k for k in range(1, 30)], axis=0)
    noise = np.convolve(rng.standard_normal(len(t)), np.ones(4) / 4, "same")
    shape = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)
    return (0.1 * shape * (tone + 0.3 * noise)).astype(np.float32)


def test_joins_that_fit_are_like_any_other_place_and_cuts_are_not():
    pcm = speech()
    joins = list(range(2_048, len(pcm) - 1_000, 1_500))
    whole = np.array(ranks(pcm, joins))
    assert len(whole) == len(joins)
    assert 0.25 < np.median(whole) < 0.75
    assert (whole > 0.95).mean() < 0.2
    pieces = np.split(pcm, joins)
    lost = np.concatenate([pieces[0], *(piece[41:] for piece in pieces[1:])])
    shifted = [join - 41 * n for n, join in enumerate(joins)]
    assert (np.array(ranks(lost, shifted)) > 0.95).mean() > 0.7
    assert ranks(pcm, [10, len(pcm) - 10]) == []  # too near the ends to be looked at
    assert ranks(np.zeros(16_000, np.float32), [8_000]) == []
    assert ranks(np.zeros(0, np.float32), [8_000]) == []


# -- readings and rows --------------------------------------------------------------------------


def test_a_listener_waits_for_what_comes_too_late():
    wav = Path("x.wav")
    in_time = Reading(wav, 1_000, (100, 300, 300), (50.0, 149.0, 440.0))
    assert in_time.starved_ms == 0.0
    late = Reading(wav, 1_000, (100, 300, 300), (50.0, 180.0, 470.0))
    assert late.starved_ms == 30.0  # and the rest is played that much later
    assert Reading(wav, 1_000, (), ()).starved_ms == 0.0


def test_rows_come_back_and_half_a_row_is_taken_off(tmp_path: Path):
    rows = [read(embedding=(0.5, 0.5), seams=(0.1,)), watched()]
    for row in rows:
        append(tmp_path, row)
    assert read_rows(tmp_path) == rows
    with (tmp_path / ROWS).open("a") as file:
        file.write('{"kind": "re')
    with pytest.raises(VoiceRowError, match="line 3"):
        read_rows(tmp_path)
    mend(tmp_path)
    assert read_rows(tmp_path) == rows
    mend(tmp_path)
    assert len(read_rows(tmp_path)) == 2
    (tmp_path / ROWS).write_text('{"kind": "read", "colour": 1}\n')
    with pytest.raises(VoiceRowError, match="unknown colour"):
        read_rows(tmp_path)
    assert read_rows(tmp_path / "nowhere") == []


def test_the_plan_reads_every_text_in_every_voice_and_others_together(tmp_path: Path):
    plan = Plan("starter/tts", {}, tmp_path, limit=8)
    alone = [task for batch in plan.batches(1) for task in batch]
    assert len(alone) == len({task.id for task in alone}) == 8 * 4
    pairs = list(plan.batches(2))
    assert [len(pair) for pair in pairs] == [2] * 4
    assert all(a.text != b.text and a.voice != b.voice for a, b in pairs)
    many = Plan("starter/tts", {}, tmp_path, watch=400).watched()
    assert len({tuple(sorted(row.items())) for row in many}) == 400
    assert {row["voice"] for row in many} == set(plan.voices)
    assert len({row["emotion"] for row in many}) == 9
    lines = TEXTS.read_text(encoding="utf-8").splitlines()
    assert len(set(lines)) == len(lines) == 40
    assert all(speakable(line) == line for line in lines)  # nothing is said otherwise than written


# -- figures ------------------------------------------------------------------------------------


def turned(degrees: float) -> tuple[float, float]:
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


def test_voices_separate_when_each_is_more_like_itself():
    apart = [read(n, voice="a", embedding=turned(2 * n)) for n in range(4)]
    apart += [read(n, voice="b", embedding=turned(60 + 2 * n)) for n in range(4)]
    found = likeness(apart)
    assert found["separate"] is True
    assert found["matrix"]["a"]["b"] == found["matrix"]["b"]["a"] < 0.6
    assert 0.99 < found["least_own"] < 1.0  # not of a reading with itself
    mixed = [read(n, voice="a", embedding=turned(30 * n)) for n in range(4)]
    mixed += [read(n, voice="b", embedding=turned(45 + 2 * n)) for n in range(4)]
    assert likeness(mixed)["separate"] is False
    # Different voices on the same text only: there is no pair of different texts.
    one = [read(0, voice=v, embedding=turned(0)) for v in "ab"]
    assert likeness(one)["separate"] is None


def test_the_figures_are_those_of_the_rows():
    rows = [read(n, edits=3, seams=(0.5, 0.99)) for n in range(20)]
    rows += [read(n, at_once=2, whole_ms=1_200.0, heard=None) for n in range(4)]
    rows += [read(n, system="espeak", edits=2) for n in range(20)]
    told = figures(rows, [watched(), watched(seed=1, fault="stuck"), watched(seed=2, leap=7.0)])
    ours = told["systems"]["speecht5"]
    assert ours["all"]["cer"] == 0.15
    assert ours["all"]["cer_ci"] == [0.15, 0.15]  # all alike
    assert ours["time"]["1"]["first_ms_p50"] == 109.0
    assert ours["time"]["1"]["first_ms_p95"] == 118.0
    assert ours["time"]["1"]["real_time_factor"] == 0.25
    assert ours["time"]["2"]["real_time_factor"] == 0.6
    assert (ours["seams"]["joins"], ours["seams"]["stand_out"]) == (40, 0.5)
    assert told["cer_ratio"] == {"n": 20, "ratio": 1.5, "ci": [1.5, 1.5]}
    assert told["guards"]["fired"] == {"skipped": 0, "repeated": 0, "stuck": 1, "runaway": 0}
    margin = told["guards"]["margins"]["leap"]
    assert margin == {"p50": 4.5, "p99": 6.95, "max": 7.0, "limit": 12.0}
    met = {goal["goal"].split(",")[0]: goal["met"] for goal in told["goals"]}
    assert met["first audio"] is True
    assert met["CER over espeak-ng's"] is True
    assert met["real-time factor"] is False
    assert met["joins that stand out (5 % would by chance)"] is False
    assert met["least likeness of a voice to itself"] is None
    perfect = figures([read(0, edits=1), read(0, system="espeak", edits=0)], [])
    assert perfect["cer_ratio"] == {"n": 1, "ratio": None, "ci": None}  # nothing to divide by
    found = {goal["goal"]: goal for goal in perfect["goals"]}["CER over espeak-ng's"]
    assert (found["found"], found["met"]) == ("0.05 over 0", False)
    assert figures([read(system="espeak")], [])["systems"].keys() == {"espeak"}


def test_a_reading_that_broke_counts_and_what_is_unknown_is_said_so():
    silent = read(1, fault="stuck", first_ms=None, whole_ms=None, samples=0, pieces=(), edits=20)
    told = figures([read(0), silent], [])
    ours = told["systems"]["speecht5"]
    assert ours["all"]["broken"] == 1
    assert ours["all"]["cer"] == 0.525
    assert ours["time"]["1"]["first_ms_p50"] == 100.0
    beside = {"model": "m", "set": "s", "hardware": "h", "commit": None, "judge": None, "load": 0.0}
    text = render({**beside, "texts": 2, **told})
    assert "not measured" in text
    assert "| SpeechT5 | priya | 2 | 1 |" in text


# -- the command --------------------------------------------------------------------------------


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A tiny voice and the address of a host that serves it."""
    torch.set_num_threads(1)
    voice = tiny_speecht5.write(tmp_path / "tiny")
    address, over = f"ipc://{tmp_path}/door", threading.Event()
    socket = bind(address)

    def serve() -> None:
        server = HostServer(socket, SpeechT5Host(SpeechT5(load(voice))))
        while not over.is_set():
            server.step()
        socket.close(linger=0)

    thread = threading.Thread(target=serve)
    thread.start()
    yield voice, address
    over.set()
    thread.join()


def test_a_voice_is_read_and_reported(
    hosted: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """All but the instruments, which have tests of their own and take seconds to load."""
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(run, "instruments", lambda judge, console: run.Ears())
    voice, address = hosted
    out = tmp_path / "out"
    command = ["--model", str(voice), "--host", address, "--out", str(out)]
    command += ["--limit", "2", "--voices", "priya,ravi"]
    code = run.main(command)
    told = capsys.readouterr()
    assert code in (0, 1), told.err
    reads = [row for row in read_rows(out) if isinstance(row, ReadRow)]
    assert len(reads) == 2 * (2 * 2 + 2)  # systems; alone, and a pair
    assert all((out / row.wav).is_file() for row in reads)
    ours = [row for row in reads if row.system == "speecht5"]
    assert all(sum(row.pieces) == row.samples > 1_000 and not row.fault for row in ours)
    assert all(0 < (row.first_ms or 0) <= (row.whole_ms or 0) for row in ours)
    assert [row for row in ours if row.seams]  # of pieces that were streamed
    last = json.loads(told.out.splitlines()[-1])
    assert Path(last["report"]).read_text(encoding="utf-8").startswith("# The voice ")
    assert run.main(command) == 2  # there is a run already
    assert "--resume" in capsys.readouterr().err
    before = (out / "voice.md").read_bytes()
    assert run.main(["--render", str(out)]) == code
    assert (out / "voice.md").read_bytes() == before


@pytest.mark.parametrize("good", [True, False])
async def test_clauses_are_watched(tmp_path: Path, good: bool):
    """What the guards saw of each; a voice that loses its place does so in every clause."""
    decoding = tiny_speecht5.HELD if good else Decoding()
    voice = tiny_speecht5.write(tmp_path, decoding, never_stops=not good)
    texts = Plan("", {}, tmp_path, watch=3).watched()
    rows = [row async for row in ReadingProcess({"model": str(voice)}).run({"watch": texts})]
    seen = [WatchRow(**json.loads(json.dumps(row))) for row in rows]
    assert {row.text for row in seen} == {text["text"] for text in texts}
    assert len(seen) > 3  # a text of two clauses is two rows
    assert all(row.limits["leap"] == (6.0 if good else 12.0) and row.steps for row in seen)
    assert all(bool(row.fault) != good for row in seen)
    if good:
        assert all(row.leap <= 6.0 and row.back <= 4.0 and row.used <= 1.0 for row in seen)


def test_what_cannot_be_measured_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments, words in (
        (["--model", str(tmp_path / "nowhere")], "--systems espeak measures the stand-in alone"),
        (["--voices", "nobody"], "choose arjun"),
        (["--systems", "parrot"], "choose speecht5, espeak"),
        (["--emotion", "bored"], "no 'bored'"),
        (["--limit", "1"], "at least 2 texts"),
        (["--profile", "nothing"], "no profile"),
        (["--render", str(tmp_path)], "voice.json"),
    ):
        assert run.main(arguments) == 2
        assert words in capsys.readouterr().err
