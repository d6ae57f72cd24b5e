"""A caller's audio cut into frames: nothing lost that is in time, nothing kept that is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.duplex_input import Backlog, FrameBuffer

FRAME = 8


def loud(n: int, start: int = 0) -> np.ndarray:
    """Samples that differ from one another and are never quiet."""
    return (0.1 + 0.001 * np.arange(start, start + n)).astype(np.float32)


@settings(deadline=None)  # a busy machine stalls anything
@given(st.lists(st.integers(0, 30), max_size=20))
def test_any_chunking_gives_the_same_samples(sizes: list[int]) -> None:
    box = FrameBuffer(FRAME, Backlog(quiet_above=100, limit=100))
    whole, at, out = loud(sum(sizes)), 0, []
    for size in sizes:
        box.push(whole[at : at + size])
        at += size
        while not box.empty:
            out.append(box.pop())
    box.finish()
    while not box.empty:
        out.append(box.pop())
    heard = np.concatenate(out) if out else np.zeros(0, np.float32)
    assert len(heard) == -(-len(whole) // FRAME) * FRAME
    assert np.array_equal(heard[: len(whole)], whole)
    assert not heard[len(whole) :].any()
    assert (box.silence, box.dropped, box.waiting) == (0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=40))
def test_every_frame_is_accounted_for(steps: list[tuple[int, int]]) -> None:
    box, popped = FrameBuffer(FRAME, Backlog(quiet_above=2, limit=5)), 0
    for size, pops in steps:
        box.push(np.zeros(size, np.float32) if size % 2 else loud(size))
        assert box.waiting < 6 * FRAME
        for _ in range(pops):
            assert len(box.pop()) == FRAME
            popped += 1
        assert box.received == (popped - box.silence + box.dropped) * FRAME + box.waiting


def test_a_stalled_caller_is_heard_as_silence_and_a_part_of_a_frame_waits() -> None:
    box = FrameBuffer(FRAME, Backlog())
    box.push(loud(FRAME - 1))
    assert not box.pop().any()
    box.push(loud(1, FRAME - 1))
    assert np.array_equal(box.pop(), loud(FRAME))
    assert box.silence == 1


def test_delay_after_a_stall_is_given_back_in_the_next_pause() -> None:
    box = FrameBuffer(FRAME, Backlog(quiet_above=1, limit=10))
    box.push(np.concatenate([loud(2 * FRAME), np.zeros(3 * FRAME, np.float32), loud(FRAME, 50)]))
    out = [box.pop() for _ in range(3)]
    assert np.array_equal(np.concatenate(out), np.concatenate([loud(2 * FRAME), loud(FRAME, 50)]))
    assert box.dropped == 3


def test_beyond_the_limit_the_oldest_goes() -> None:
    box = FrameBuffer(FRAME, Backlog(quiet_above=2, limit=3))
    box.push(loud(5 * FRAME))
    assert box.dropped == 2
    assert np.array_equal(box.pop(), loud(FRAME, 2 * FRAME))


def test_the_callers_buffer_may_be_reused() -> None:
    box, pcm = FrameBuffer(FRAME, Backlog()), loud(FRAME)
    box.push(pcm)
    pcm[:] = 0
    assert np.array_equal(box.pop(), loud(FRAME))


def test_int16_is_scaled_and_bad_audio_refused() -> None:
    box = FrameBuffer(FRAME, Backlog())
    box.push(np.full(FRAME, -32768, np.int16))
    assert np.array_equal(box.pop(), np.full(FRAME, -1.0, np.float32))
    with pytest.raises(ValueError, match="mono"):
        box.push(np.zeros((2, FRAME), np.float32))
    with pytest.raises(ValueError, match="not numbers"):
        box.push(np.full(FRAME, np.nan, np.float32))
    with pytest.raises(ValueError, match="int64"):
        box.push(np.zeros(FRAME, np.int64))
