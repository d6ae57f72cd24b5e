"""The calls of a run against scripted servers: every turn has its row, whatever came of it."""

import asyncio
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.keys.keys import parse
from benchmarks.ruler.recording import Utterance
from benchmarks.server.endpoints import Foreign, Own, discover
from benchmarks.sets.turnset import CallerTurn, Conversation
from benchmarks.suite.call import PATIENCE, Line, place, unusable
from benchmarks.suite.command import ended_by_kill
from benchmarks.suite.rows import TURNS, TurnRow, read
from benchmarks.suite.schedule import Planned, plan
from benchmarks.suite.turn_rows import Said, file_name
from benchmarks.suite.turns import OtherSchedule, done, measure
from models.audio import audible
from tests.benchmarks.scripted_engines import (
    VOICED,
    WORD,
    Launcher,
    ScriptedServer,
    answering,
    spoken,
    utterance_pcm,
)
from tests.benchmarks.scripted_server import Served, ready, silence

QUICK = Manners(lead_in_ms=60, answer_over_ms=250, answer_timeout_s=0.7, longest_answer_s=1.2)
HELLO = Said("అవును", Utterance("hello", utterance_pcm()), parse(["నమస్కార~"]))
TALKS = tuple(Conversation(id_, "", "", (CallerTurn("అవును"),)) for id_ in ("a", "b"))
SAID = {talk.id: [HELLO] for talk in TALKS}


def line(out: Path) -> Line:
    return Line("te-x", out, QUICK)


def hold(script, tmp_path: Path, said: list[Said] | None = None) -> list[TurnRow]:
    """The rows of one call with an engine of this script."""
    said = said or [HELLO, HELLO]
    planned = Planned(3, "cascade", "a", len(said), 0)
    server = ScriptedServer({"cascade": script})
    try:
        address = discover(server.url).addresses["cascade"]
        return asyncio.run(place(address, planned, said, line(tmp_path), asyncio.Event()))
    finally:
        server.stop()


def test_an_answered_turn_says_where_its_time_went(tmp_path):
    served: list[Served] = []

    async def script(one: Served) -> None:
        served.append(one)
        await answering(lead_ms=90)(one)

    first, second = hold(script, tmp_path)
    for n, row in enumerate((first, second)):
        assert row.status == "answered", row
        assert row.v2v_ms is not None
        assert row.user_end_ms is not None
        assert row.bot_start_ms is not None
        assert row.bot_end_ms is not None
        assert row.bot_start_ms == pytest.approx(row.user_end_ms + row.v2v_ms, abs=0.11)
        assert sum(row.stages.values()) == pytest.approx(row.v2v_ms, abs=1)
        assert row.stages["playback_ms"] == pytest.approx(40, abs=1)
        assert row.stages["leading_silence_ms"] == pytest.approx(90, abs=2)
        assert row.stages["endpointing_ms"] == 200
        unaccounted = served[0].true_v2v_ms(n) - 230  # what the script did, less what it says
        assert row.stages["residual_ms"] == pytest.approx(unaccounted, abs=20)
        length = (row.bot_end_ms - row.bot_start_ms) * OUT_RATE / 1000
        assert length == pytest.approx(len(spoken(VOICED, "priya", OUT_RATE)), abs=OUT_RATE // 100)
        assert (row.user_text, row.bot_text, row.fits) == ("నమస్తే", f"{WORD}.", True)
        assert (row.order, row.conversation, row.reference) == (3, "a", "అవును")
    assert (first.turn, second.turn) == (1, 2)
    assert second.audio_from_ms == first.audio_to_ms


def test_a_call_is_one_stereo_file_with_its_events_beside_it(tmp_path):
    import soundfile

    first, second = hold(answering(), tmp_path)
    assert first.audio == second.audio
    assert first.audio is not None
    frames, rate = soundfile.read(tmp_path / first.audio, dtype="int16")
    assert (rate, frames.shape[1]) == (OUT_RATE, 2)
    assert second.audio_from_ms is not None
    assert second.bot_start_ms is not None
    bot = audible(frames[round(second.audio_from_ms * 24) :, 1], rate)
    assert bot[0].start / 24 + second.audio_from_ms == pytest.approx(second.bot_start_ms, abs=2)
    lines = (tmp_path / first.audio).with_suffix(".events.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(x)["event"] for x in lines].count("measured") == 2
    assert file_name(Planned(1, "host:80", "a/b", 1, 0)) == "0001-host-80-a-b"


def test_a_bot_that_says_nothing_is_silent(tmp_path):
    async def script(served: Served) -> None:
        await ready(served)

    for row in hold(script, tmp_path):
        assert (row.status, row.v2v_ms, row.stages) == ("silent", None, {})
        assert row.reason is not None
        assert "patience" in row.reason
        assert row.user_end_ms is not None


def test_a_bot_that_does_not_stop_is_endless(tmp_path):
    async def script(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        voice = spoken(WORD, "priya", OUT_RATE)
        await served.answer(np.tile(voice, 1 + 6 * OUT_RATE // len(voice)))

    first, second = hold(script, tmp_path)
    assert first.status == second.status == "endless"
    assert first.v2v_ms is not None
    assert first.bot_end_ms is None
    assert sum(first.stages.values()) == pytest.approx(first.v2v_ms, abs=1)
    assert second.v2v_ms is None
    assert second.reason is not None
    assert "went on speaking" in second.reason


def test_a_line_that_breaks_loses_its_turns(tmp_path):
    async def script(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        await served.answer(spoken(VOICED, "priya", OUT_RATE))
        await served.next_user_end()
        await served.answer(spoken(VOICED, "priya", OUT_RATE)[: OUT_RATE // 10])
        served.socket.transport.abort()

    rows = hold(script, tmp_path, [HELLO] * 3)
    assert [row.status for row in rows] == ["answered", "lost", "lost"]
    assert [row.v2v_ms is None for row in rows] == [False, True, True]
    assert all(row.reason and "connection broke" in row.reason for row in rows[1:])


def test_a_call_that_is_turned_away_is_refused(tmp_path):
    async def script(served: Served) -> None:
        await served.socket.close(4429, "2 calls at most")

    for row in hold(script, tmp_path):
        assert row.status == "refused"
        assert row.reason is not None
        assert "2 calls at most" in row.reason
        assert row.audio is None


def test_input_that_cannot_be_said_is_a_row_and_the_others_are_said(tmp_path):
    mute = Said("–", Utterance("mute", silence(200, IN_RATE)))
    empty = Said("–", Utterance("empty", np.zeros(0, np.int16)))
    rows = hold(answering(), tmp_path, [mute, HELLO, empty, HELLO])
    assert [r.status for r in rows] == ["bad-input", "answered", "bad-input", "answered"]
    assert [r.turn for r in rows] == [1, 2, 3, 4]
    assert rows[0].reason == "nothing is audible in mute"
    assert unusable(empty.utterance) == "empty holds no samples"
    alone = hold(answering(), tmp_path, [mute])
    assert [r.status for r in alone] == ["bad-input"]


def measured(tmp_path: Path, launcher: Launcher, calls=None, engines=("cascade", "s2s")):
    calls = calls or plan(engines, TALKS)
    source = Own(tmp_path / "log", "starter", {}, engines, launcher)
    try:
        return measure(calls, SAID, source, line(tmp_path)), read(tmp_path / TURNS)
    finally:
        source.close()
        launcher.close()


def short(rows: list[TurnRow]) -> list[tuple[int, str, str, int, str]]:
    return [(r.order, r.engine, r.conversation, r.turn, r.status) for r in rows]


def test_a_whole_run_is_interleaved_and_warmed_up(tmp_path):
    launcher = Launcher({"cascade": answering(), "s2s": answering()})
    outcome, rows = measured(tmp_path, launcher)
    assert outcome.complete
    assert outcome.notes == []
    order = ["cascade", "s2s", "s2s", "cascade"]
    assert launcher.servers[0].calls == ["cascade", "cascade", "s2s", "s2s", *order[2:]]
    assert [r.warmup for r in rows] == [True, False, True, False, False, False]
    assert [r.engine for r in rows if not r.warmup] == order
    assert all(r.status == "answered" for r in rows)
    assert len({r.call_id for r in rows}) == 6


def test_an_engine_that_is_missing_has_rows_that_say_so(tmp_path):
    launcher = Launcher({"s2s": answering()}, lacking={"cascade": "no weights at 'x'"})
    outcome, rows = measured(tmp_path, launcher, plan(("cascade", "s2s"), TALKS[:1]))
    assert outcome.complete
    assert [r for r in short(rows) if r[1] == "cascade"] == [
        (0, "cascade", "a", 1, "refused"),
    ]
    assert {r.reason for r in rows if r.engine == "cascade"} == {"no weights at 'x'"}
    assert {r.status for r in rows if r.engine == "s2s"} == {"answered"}


def dying(launcher: Launcher):
    """Answers the warm-up; in the call after it, takes the server down."""

    async def script(served: Served) -> None:
        server = launcher.servers[-1]
        if len(server.calls) == 1:
            await answering()(served)
            return
        await ready(served)
        await served.next_user_end()
        server.stop_soon()

    return script


def test_a_server_that_dies_once_is_started_again(tmp_path):
    launcher = Launcher()
    launcher.scripts = [{"s2s": dying(launcher)}, {"s2s": answering()}]
    outcome, rows = measured(tmp_path, launcher, engines=("s2s",))
    assert outcome.complete
    assert len(launcher.servers) == 2
    counted = [r for r in rows if not r.warmup]
    assert [r.status for r in counted] == ["lost", "answered"]
    assert [(r.order, r.warmup) for r in rows if r.warmup] == [(0, True), (1, True)]
    [note] = outcome.notes
    assert "was started again" in note


def test_a_server_that_dies_again_ends_the_run_which_goes_on_later(tmp_path):
    launcher = Launcher()
    launcher.scripts = [{"s2s": dying(launcher)}]
    talks = [*TALKS, replace(TALKS[0], id="c")]
    calls = plan(("s2s",), talks)
    SAID["c"] = SAID["a"]
    outcome, rows = measured(tmp_path, launcher, calls)
    assert not outcome.complete
    assert not outcome.interrupted
    assert [r.order for r in rows if not r.warmup] == [0, 1]
    assert "had died before" in outcome.notes[-1]
    outcome, rows = measured(tmp_path, Launcher({"s2s": answering()}), calls)
    assert outcome.complete
    assert [r.order for r in rows if not r.warmup] == [0, 1, 2]


def test_ctrl_c_leaves_whole_calls_and_the_rest_is_made_later(tmp_path):
    async def pressing(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    talks = plan(("cascade", "s2s"), TALKS[:1])
    outcome, rows = measured(
        tmp_path, Launcher({"cascade": answering(), "s2s": pressing}), calls=talks
    )
    assert outcome.interrupted
    assert not outcome.complete
    assert [(r.engine, r.warmup) for r in rows] == [("cascade", True), ("cascade", False)]
    assert done(tmp_path, talks) == {0}
    launcher = Launcher({"cascade": answering(), "s2s": answering()})
    outcome, rows = measured(tmp_path, launcher, calls=talks)
    assert outcome.complete
    assert launcher.servers[0].calls == ["s2s", "s2s"]
    assert [r.engine for r in rows if not r.warmup] == ["cascade", "s2s"]


def test_rows_of_another_schedule_are_not_continued(tmp_path):
    launcher = Launcher({"cascade": answering()})
    measured(tmp_path, launcher, plan(("cascade",), TALKS[:1]), ("cascade",))
    with pytest.raises(OtherSchedule, match="another --out"):
        done(tmp_path, plan(("s2s",), TALKS))


def test_a_foreign_server_that_is_gone_ends_the_run(tmp_path):
    server = ScriptedServer({"cascade": answering()})
    source = Foreign(discover(server.url))
    server.stop()
    assert not source.alive()
    outcome = measure(plan(("cascade",), TALKS), SAID, source, line(tmp_path))
    assert not outcome.complete
    assert "could not be started again" in outcome.notes[-1]
    assert not (tmp_path / TURNS).exists()


def test_patience_ends():
    assert PATIENCE.answer_timeout_s <= 10
    assert PATIENCE.longest_answer_s <= 30


def test_a_kill_is_taken_as_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_by_kill():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
