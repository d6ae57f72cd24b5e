"""The model of the ear: every sample that should be heard is, once, and gaps are counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.caller.playback import Playback

RATE = 24_000
MS = RATE // 1000
CHUNK = 40 * MS


def chunk(value: int, n: int = CHUNK) -> np.ndarray:
    return np.full(n, value, dtype=np.int16)


def test_packets_play_back_to_back_after_the_jitter():
    ear = Playback(RATE, jitter_ms=40)
    for n in range(10):
        ear.receive(1_000 * MS + n * 39 * MS, chunk(n + 1))
    heard = ear.track(1_000 * MS)
    assert not heard[: 40 * MS].any()
    assert (heard[40 * MS :].reshape(10, CHUNK) == np.arange(1, 11)[:, None]).all()
    assert ear.underruns == []


@pytest.mark.parametrize(("late_ms", "underruns"), [(0, 0), (39, 0), (40, 0), (41, 1), (300, 1)])
def test_an_underrun_is_a_packet_later_than_the_jitter(late_ms, underruns):
    ear = Playback(RATE, jitter_ms=40)
    ear.receive(0 + 1, chunk(1))  # heard until 81 ms
    ear.receive(1 + 40 * MS + late_ms * MS, chunk(2))
    assert len(ear.underruns) == underruns
    if underruns:
        [dry] = ear.underruns
        assert dry.at == 1 + 80 * MS
        assert dry.length == late_ms * MS  # late by so much, of which the refill is a part
    heard = ear.track()
    assert np.count_nonzero(heard == 1) == CHUNK
    assert np.count_nonzero(heard == 2) == CHUNK


def test_a_pause_between_answers_is_no_underrun():
    ear = Playback(RATE)
    ear.receive(0, chunk(1))
    ear.answer_over()
    ear.receive(5_000 * MS, chunk(2))
    assert ear.underruns == []


def test_an_interruption_drops_what_is_buffered_and_nothing_else():
    ear = Playback(RATE, jitter_ms=40)
    ear.receive(1, chunk(1))
    ear.receive(2, chunk(2))
    heard = 1 + 60 * MS
    assert ear.interrupt(heard) == 60 * MS
    assert ear.interrupt(heard) == 0
    ear.receive(500 * MS, chunk(3))
    track = ear.track()
    assert np.count_nonzero(track == 1) == 20 * MS
    assert not (track == 2).any()
    assert np.flatnonzero(track == 3)[0] == 540 * MS
    assert ear.underruns == []


@given(
    st.lists(
        st.tuples(st.integers(0, 100 * MS), st.integers(1, 100 * MS), st.booleans()), max_size=40
    ),
    st.integers(0, 200),
)
def test_nothing_is_lost_doubled_or_heard_too_early(packets, jitter_ms):
    """Any arrival pattern: samples come out in order, none before it arrived, gaps add up."""
    ear = Playback(RATE, jitter_ms)
    now, value, expected = 0, 0, []
    for wait, length, over in packets:
        now, value = now + wait, value + 1
        if over:
            ear.answer_over()
        assert ear.receive(now, chunk(value, length)) >= now
        expected.extend([value] * length)
    track = ear.track()
    assert track[track != 0].tolist() == expected
    for dry in ear.underruns:
        assert not track[dry.at : dry.at + dry.length].any()
