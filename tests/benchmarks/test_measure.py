"""What counts as the answer, as a false start and as silence, on drawn-up stretches."""

import pytest

from benchmarks.ruler.measure import find_answer, silence_after, stale_samples
from models.audio import Stretch

S = 24_000  # one second


def pieces(*seconds: tuple[float, float]) -> list[Stretch]:
    return [Stretch(round(a * S), round(b * S)) for a, b in seconds]


@pytest.mark.parametrize(
    ("bot", "start", "false_starts"),
    [
        ([], None, 0),
        ([(3.5, 4.0)], 3.5, 0),
        ([(3.5, 4.0), (4.5, 5.0)], 3.5, 0),  # two sentences, one answer
        ([(2.9, 4.0)], 2.9, 0),  # it speaks before the user has ended: negative, not clamped
        ([(1.5, 1.9), (3.5, 4.0)], 3.5, 1),  # it took a pause for the end, and stopped
        ([(2.9, 3.1), (3.6, 4.0)], 3.6, 1),  # the same, but cut off after the user's end
        ([(0.2, 1.2), (3.5, 4.0)], 3.5, 0),  # the tail of an older answer
        ([(0.2, 1.2)], None, 0),
        ([(9.5, 9.9)], None, 0),  # belongs to the next turn
    ],
)
def test_the_answer(bot, start, false_starts):
    cuts = [round(3.1 * S)]
    found = find_answer(pieces(*bot), (1 * S, 3 * S), 9 * S, cuts, S)
    assert found.start == (None if start is None else round(start * S))
    assert found.false_starts == false_starts


@pytest.mark.parametrize(
    ("bot", "silence"),
    [
        ([(0.0, 2.3), (5.0, 6.0)], 0.3),
        ([(0.0, 2.3), (2.5, 2.6), (5.0, 6.0)], 0.6),  # a stray syllable counts
        ([(0.0, 1.9), (5.0, 6.0)], None),  # it had stopped by itself
    ],
)
def test_silence_after_a_barge_in(bot, silence):
    got = silence_after(pieces(*bot), 2 * S, 5 * S, S)
    assert got == (None if silence is None else round(silence * S))


def test_stale_sound():
    assert stale_samples(pieces((0, 2.3), (2.5, 2.75)), round(2.3 * S), 5 * S) == S // 4
    assert stale_samples(pieces((0, 2.3), (5, 6)), round(2.3 * S), 5 * S) == 0
