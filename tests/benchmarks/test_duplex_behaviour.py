"""Outcomes of drawn-up scenes, in seconds."""

import numpy as np
import pytest

from benchmarks.duplex.behaviour import Labels, Outcome, jensen_shannon, judge, took_turn
from benchmarks.duplex.rows import BACKCHANNEL, INTERRUPTION, PAUSE, SMOOTH, USER_BACKCHANNEL
from models.audio import Stretch

S = 1000  # samples a second


def stretch(start: float, end: float) -> Stretch:
    return Stretch(round(start * S), round(end * S))


def outcome(task: str, *bot: tuple[float, float], **more) -> Outcome:
    """The caller speaks from 1 to 5 s, with a hold from 2 to 3; it is over at 20 s."""
    labels = Labels(stretch(1, 5), (stretch(2, 3),), until=20 * S, **more)
    return judge(task, labels, [stretch(*piece) for piece in bot], S)


@pytest.mark.parametrize(
    ("bot", "taken", "early", "latency"),
    [
        ([], False, 0, None),
        ([(5.6, 8)], False, 0, 600),
        ([(2.6, 2.9), (5.6, 8)], False, 1, 600),  # a false start
        ([(2.6, 4), (5.6, 8)], True, 1, 600),
        ([(2.6, 3.2), (3.5, 4), (5.6, 8)], True, 2, 600),  # one segment, 1.1 s of speech
        ([(2.6, 3.2), (3.8, 4.2), (5.6, 8)], False, 2, 600),  # two, half a second of silence apart
        ([(2.6, 9)], True, 1, -2400),  # goes on as the answer: never clamped
        ([(1.3, 1.9)], False, 1, None),  # before the hold
        ([(1.3, 4)], True, 1, None),  # before it and through it
        ([(0, 4)], False, 0, None),  # the tail of an older answer
    ],
)
def test_pause(bot, taken, early, latency):
    found = outcome(PAUSE, *bot)
    assert (found.took_turn, found.early_starts, found.latency) == (taken, early, latency)


@pytest.mark.parametrize(
    ("bot", "taken", "latency", "extra"),
    [
        ([(5.2, 7), (7.4, 9)], True, 200, 0),
        ([(5.2, 5.9)], False, 200, 0),  # too short for a turn, and still an answer
        ([(4.9, 7)], True, -100, 0),
        ([(5.2, 7), (9, 10)], True, 200, 1),
        ([(30, 31)], False, None, 0),  # belongs to what comes after
    ],
)
def test_smooth(bot, taken, latency, extra):
    found = outcome(SMOOTH, *bot)
    assert (found.took_turn, found.latency, found.extra_answers) == (taken, latency, extra)


def test_backchannels():
    found = outcome(BACKCHANNEL, (2.1, 2.4), (3.0, 3.3), (6, 8))
    assert (found.took_turn, found.backchannels, found.latency) == (False, 2, 1000)
    assert found.backchannel_hz == pytest.approx(0.5)
    assert found.backchannel_jsd is not None
    assert found.backchannel_jsd < 0.5
    elsewhere = outcome(BACKCHANNEL, (1.1, 1.4), (4.0, 4.3)).backchannel_jsd
    assert elsewhere == pytest.approx(1.0)
    none = outcome(BACKCHANNEL)
    assert (none.backchannels, none.backchannel_hz, none.backchannel_jsd) == (0, 0.0, 1.0)
    taken = outcome(BACKCHANNEL, (1.5, 3.1))
    assert (taken.took_turn, taken.backchannels) == (True, 0)


def interrupted(*bot: tuple[float, float], cuts: tuple[int, ...] = ()) -> Outcome:
    """The caller cuts in from 7 to 9 s."""
    return outcome(INTERRUPTION, *bot, second=stretch(7, 9), cuts=cuts)


def test_interruption():
    found = interrupted((6, 7.25), (9.6, 12), cuts=(7250,))
    assert (found.stop, found.overlap, found.stale, found.latency) == (250, 250, 0, 600)
    assert found.took_turn
    assert found.answer == 2400

    # Goes on past its own flush mark; the rest of the old answer is no answer to the new turn.
    found = interrupted((6, 7.5), (7.8, 10), cuts=(7250,))
    assert (found.stop, found.overlap, found.latency) == (3000, 1700, None)
    assert found.stale == 250 + 2200
    assert not found.took_turn

    assert interrupted((6, 6.9), (9.6, 12)).stop is None  # it had stopped by itself
    assert interrupted((6, 7.25)).latency is None


def test_the_callers_backchannel():
    def nods(*bot: tuple[float, float]) -> bool | None:
        return outcome(USER_BACKCHANNEL, *bot, second=stretch(7, 7.4)).went_on

    assert nods((6, 9)) is True
    assert nods((6, 7.3), (7.6, 8.4)) is True
    assert nods((6, 7.3)) is False
    assert nods((6, 7.3), (8.2, 12)) is False  # stopped, and began again
    assert nods((6, 6.8)) is None


def test_a_turn_is_a_second_of_one_segment():
    window = stretch(0, 10)
    assert took_turn([stretch(9.0, 12)], window, S)
    assert not took_turn([stretch(9.1, 12)], window, S)  # most of it lies outside
    assert not took_turn([stretch(1, 1.6), stretch(2.1, 2.7)], window, S)


def test_jensen_shannon():
    p, q = np.array([1.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0])
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(p, q) == pytest.approx(0.5)
    assert jensen_shannon(p, np.array([0.0, 0.0, 3.0])) == pytest.approx(1)
    assert jensen_shannon(p, np.zeros(3)) == 1
