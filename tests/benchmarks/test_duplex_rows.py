"""Rows of the duplex suite: written whole, read back equal, and what figures follow from them."""

import math

import pytest

from benchmarks.duplex.rows import (
    DUPLEX,
    INTERRUPTION,
    PAUSE,
    SMOOTH,
    USER_BACKCHANNEL,
    DuplexRow,
    append,
    read,
)
from benchmarks.duplex.scores import Score, scores
from benchmarks.suite.rows import ANSWERED, LOST, SILENT, RowError


def row(task: str, n: int = 0, status: str = ANSWERED, **more) -> DuplexRow:
    condition = more.pop("condition", "")
    return DuplexRow("s2s", "duplex-v1", task, f"{task}-{n}", condition, 0, "call", status, **more)


def test_rows_come_back_as_they_were(tmp_path):
    rows = [
        row(PAUSE, user=(1.5, 2.5), holds=((1.7, 2.0),), bot=((3.0, 4.0),), took_turn=False),
        row(SMOOTH, status=LOST, reason="తెగిపోయింది", cuts=(3.5,)),
    ]
    for one in rows:
        append(tmp_path / DUPLEX, [one])
    assert read(tmp_path / DUPLEX) == rows


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1"),
        ('{"engine": "s2s"}', "line 1"),
        (row(SMOOTH).line().replace('"engine"', '"motor"'), "unknown key 'motor'"),
        (row(SMOOTH, status="fine").line(), "unknown status or task"),
        (row(SMOOTH, user=(1.0, 2.0)).line().replace("[1.0, 2.0]", "[1.0]"), "line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, says):
    (tmp_path / DUPLEX).write_text(line + "\n", encoding="utf-8")
    with pytest.raises(RowError, match=says):
        read(tmp_path / DUPLEX)


def test_no_rows(tmp_path):
    with pytest.raises(RowError, match="no such file"):
        read(tmp_path / DUPLEX)
    (tmp_path / DUPLEX).touch()
    with pytest.raises(RowError, match="nothing was recorded"):
        read(tmp_path / DUPLEX)


def named(rows: list[DuplexRow]) -> dict[str, Score]:
    return {f"{one.task}: {one.name}": one for one in scores(rows, "s2s")}


def test_rates_have_their_interval_and_time_their_missing_turns():
    rows = [row(SMOOTH, n, took_turn=True, latency_ms=100.0 * n) for n in range(1, 19)]
    rows += [row(SMOOTH, 20 + n, SILENT, took_turn=False) for n in range(2)]
    found = named(rows)
    taken = found["smooth: turn taken at its end"]
    assert (taken.n, taken.value) == (20, 0.9)
    assert taken.low == pytest.approx(0.699, abs=1e-3)
    assert taken.high == pytest.approx(0.972, abs=1e-3)
    assert found["smooth: answer after, p50"].value == 1000
    assert found["smooth: answer after, p95"].value == math.inf
    assert found["smooth: answer after, p95"].high is None  # n is too small
    assert scores(rows, "cascade") == []


def test_a_lost_call_is_no_good_behaviour():
    rows = [
        row(PAUSE, 1, took_turn=False, condition="hold 400 ms"),
        row(PAUSE, 2, took_turn=True, condition="hold 1000 ms", early_starts=1),
        row(PAUSE, 3, LOST, condition="hold 1000 ms"),
    ]
    found = named(rows)
    taken = found["pause: turn taken in a pause"]
    assert (taken.n, taken.value, taken.excluded) == (2, 0.5, 1)
    assert found["pause: turn taken in a pause, hold 400 ms"].value == 0
    assert found["pause: turn taken in a pause, hold 1000 ms"].value == 1
    assert found["pause: began to speak in a turn"].value == 0.5
    answered = named([row(SMOOTH, 1, took_turn=True, latency_ms=5.0), row(SMOOTH, 2, LOST)])
    assert answered["smooth: turn taken at its end"].value == 0.5


def test_what_could_not_be_interrupted_is_counted_apart():
    second = (5000.0, 7000.0)
    rows = [
        row(
            INTERRUPTION,
            1,
            took_turn=True,
            second=second,
            stop_ms=250.0,
            latency_ms=600.0,
            stale_ms=40.0,
        ),
        row(INTERRUPTION, 2, took_turn=True, second=second, stop_ms=350.0),
        row(INTERRUPTION, 3, took_turn=True, second=second, latency_ms=700.0),
        row(INTERRUPTION, 4, SILENT),
        row(USER_BACKCHANNEL, 1, second=second, took_turn=True, went_on=True),
        row(USER_BACKCHANNEL, 2, second=second, took_turn=True),
    ]
    found = named(rows)
    assert found["interruption: silent after, p50"].value == 250
    assert found["interruption: silent after, p50"].excluded == 2
    assert found["interruption: new turn answered"].value == pytest.approx(2 / 3)
    assert found["interruption: stale sound"].value == 40
    went_on = found["user-backchannel: went on speaking"]
    assert (went_on.n, went_on.value, went_on.excluded) == (1, 1.0, 1)
