"""Agents of known behaviour get exactly their scores, through real calls; runs can go on.

The stimuli are the shipped ones, the agents real WebSocket servers; only waiting is skipped.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from benchmarks.duplex.call import DUPLEX_MANNERS
from benchmarks.duplex.rows import (
    DUPLEX,
    PAUSE,
    SMOOTH,
    USER_BACKCHANNEL,
    DuplexRow,
    read,
)
from benchmarks.duplex.stimuli import stimuli
from benchmarks.duplex.stimulus import Stimulus
from benchmarks.duplex.suite import place_all, plan
from benchmarks.suite.rows import ANSWERED, ENDLESS, LOST, REFUSED, SILENT, RowError
from models.audio import speech_end
from tests.benchmarks.scripted_duplex import answering, backchannelling, barging_in, silent
from tests.benchmarks.scripted_server import Script, Served, ready, scripted
from tests.benchmarks.virtual_time import LoopClock, run_virtual

MANNERS = replace(DUPLEX_MANNERS, answer_timeout_s=3.0, longest_answer_s=12.0)
By = dict[str, list[Stimulus]]


@pytest.fixture(scope="module")
def by_task(tmp_path_factory: pytest.TempPathFactory) -> By:
    return stimuli(tmp_path_factory.mktemp("store"), limit=3)


def only(by_task: By, **numbers: int) -> By:
    return {
        task.replace("_", "-"): by_task[task.replace("_", "-")][:n] for task, n in numbers.items()
    }


def run(
    script: Script,
    chosen: By,
    out: Path,
    *,
    engines: Sequence[str] = ("cascade",),
    resume: bool = False,
) -> list[DuplexRow]:
    async def place() -> list[DuplexRow]:
        async with scripted(script) as (address, _):
            return await place_all(
                lambda engine: f"ws://{address}/ws?engine={engine}",
                engines,
                out,
                chosen,
                manners=MANNERS,
                resume=resume,
                clock=LoopClock(),
            )

    return run_virtual(place())


def test_one_that_answers_after_600_ms(by_task, tmp_path):
    rows = run(answering(600, 1500), only(by_task, pause=3, smooth=2), tmp_path)
    pauses, smooth = rows[:3], rows[3:]
    assert [row.condition for row in pauses] == ["hold 400 ms", "hold 700 ms", "hold 1000 ms"]
    assert [row.took_turn for row in pauses] == [False, True, True]
    assert [row.early_starts for row in pauses] == [0, 1, 1]
    for row in (pauses[0], *smooth):
        assert row.status == ANSWERED
        assert row.latency_ms == pytest.approx(600, abs=1)
        assert row.answer_ms == pytest.approx(1500, abs=1)
        assert (row.took_turn, row.early_starts, row.extra_answers) == (row.task == SMOOTH, 0, 0)
    assert pauses[1].user is not None
    assert pauses[1].bot[0][0] == pytest.approx(pauses[1].holds[0][0] + 600, abs=1)

    assert read(tmp_path / DUPLEX) == rows
    assert {row.audio for row in pauses} == {"audio/duplex-cascade-pause-01.flac"}
    file, rate = soundfile.read(tmp_path / "audio" / "duplex-cascade-pause-01.flac")
    for row in pauses:  # anyone who opens the file finds the same times
        assert row.user is not None
        assert row.audio_to_ms is not None
        until = round(row.audio_to_ms * rate / 1000)
        assert speech_end(file[:until, 0], rate) == pytest.approx(row.user[1] * 24, abs=24)


def test_one_that_never_answers(by_task, tmp_path):
    rows = run(silent, only(by_task, pause=1, smooth=1, interruption=1), tmp_path)
    assert [row.status for row in rows] == [SILENT] * 3
    assert [row.took_turn for row in rows] == [False, False, None]
    assert all(row.latency_ms is None and row.bot == () for row in rows)
    assert "nothing to speak into" in (rows[2].reason or "")


def test_one_that_always_barges_in(by_task, tmp_path):
    rows = run(barging_in(300, 9000), only(by_task, pause=1, backchannel=1), tmp_path)
    for row in rows:
        assert row.took_turn
        assert row.early_starts >= 1
        assert row.backchannels == 0
    assert rows[0].user is not None
    start, end = rows[0].user
    assert rows[0].latency_ms == pytest.approx(start + 300 - end, abs=1)  # far below zero


def test_one_that_only_backchannels(by_task, tmp_path):
    [row] = run(backchannelling(1000, 3000, 300), only(by_task, backchannel=1), tmp_path)
    assert row.user is not None
    seconds = (row.user[1] - row.user[0]) / 1000
    expected = int((seconds - 1) // 3) + 1
    assert (row.took_turn, row.backchannels, row.early_starts) == (False, expected, expected)
    assert row.backchannel_hz == pytest.approx(expected / seconds, abs=1e-3)
    assert row.backchannel_jsd is not None
    assert 0.3 < row.backchannel_jsd < 1


def test_one_that_stops_after_250_ms(by_task, tmp_path):
    script = answering(600, 8000, stop_after_ms=250)
    rows = run(script, only(by_task, interruption=2, user_backchannel=1), tmp_path)
    for row, after in zip(rows[:2], (500, 1000), strict=True):
        assert row.second is not None
        assert row.second[0] - row.bot[0][0] == pytest.approx(after, abs=40)
        assert row.stop_ms == pytest.approx(250, abs=1)
        assert row.overlap_ms == pytest.approx(250, abs=1)
        assert row.stale_ms == 0
        assert row.latency_ms == pytest.approx(600, abs=1)
        assert row.took_turn
    assert rows[2].task == USER_BACKCHANNEL
    assert rows[2].stop_ms == pytest.approx(250, abs=1)
    assert rows[2].went_on is False


def test_one_that_never_stops(by_task, tmp_path):
    script = answering(600, 9000)
    rows = run(script, only(by_task, interruption=1, user_backchannel=1), tmp_path)
    cut, nod = rows
    assert cut.second is not None
    assert cut.stop_ms == pytest.approx(cut.bot[0][0] + 9000 - cut.second[0], abs=1)
    assert cut.overlap_ms == pytest.approx(cut.second[1] - cut.second[0], abs=1)
    assert cut.stale_ms is None
    assert nod.went_on is True


@pytest.mark.parametrize(("loud", "again"), [(184, True), (4000, False)])
def test_one_that_hears_its_own_echo(by_task, tmp_path, loud, again):
    [row] = run(answering(1200, 1500, loud=loud), only(by_task, echo=1), tmp_path)
    assert row.condition == "echo -20 dB"
    assert (row.extra_answers > 0) is again
    assert row.status == (ENDLESS if again else ANSWERED)


def test_side_speech_has_its_place(by_task, tmp_path):
    [row] = run(answering(600, 1500, loud=4000), only(by_task, side_speech=1), tmp_path)
    assert row.user is not None
    assert row.second is not None
    assert row.second[0] - row.user[1] == pytest.approx(400, abs=0.2)
    assert row.took_turn


def test_a_run_goes_on_where_it_ended(by_task, tmp_path):
    engines = ("cascade", "s2s")
    first = only(by_task, smooth=1)
    run(answering(600, 500), first, tmp_path, engines=engines)
    with pytest.raises(RowError, match="--resume"):
        run(silent, first, tmp_path)
    more = only(by_task, smooth=1, pause=1)
    rows = run(answering(600, 500), more, tmp_path, engines=engines, resume=True)
    assert [(row.task, row.engine) for row in rows] == [
        (SMOOTH, "cascade"),
        (SMOOTH, "s2s"),
        (PAUSE, "s2s"),
        (PAUSE, "cascade"),
    ]
    assert read(tmp_path / DUPLEX) == rows


def test_engines_take_turns(by_task):
    order = [p.engine for p in plan(only(by_task, pause=3, smooth=3, echo=3), ("a", "b"))]
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_server_that_refuses_has_a_row_for_everything(by_task, tmp_path):
    async def refuse(served: Served) -> None:
        await served.socket.close(4429, "busy")

    rows = run(refuse, only(by_task, smooth=2), tmp_path)
    assert [row.status for row in rows] == [REFUSED] * 2
    assert "busy" in (rows[0].reason or "")
    assert all(row.took_turn is None for row in rows)


def test_a_line_that_breaks_costs_one_stimulus(by_task, tmp_path):
    calls = 0

    async def breaks(served: Served) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # after the warm-up
            await ready(served)
            for _ in range(200):
                await served.socket.recv()
            served.socket.transport.abort()
            return
        await answering(600, 500)(served)

    rows = run(breaks, only(by_task, smooth=2), tmp_path)
    assert [row.status for row in rows] == [LOST, ANSWERED]
    assert "connection broke" in (rows[0].reason or "")
    assert [row.call_id for row in rows] == ["cascade-smooth-01", "cascade-smooth-01b"]
