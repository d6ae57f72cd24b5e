"""Turn-taking exams: callers that hesitate and cut in, and what counts as stopping."""

import numpy as np
import pytest

from models.audio import dbfs, to_float32
from tests.models.tiny_moshi import tiny_lm, tiny_mimi
from training.duplex_timeline import RATE
from training.moshi_turns import (
    CUT_IN_MS,
    PAUSE_MS,
    CutIn,
    acknowledgements,
    cut_ins,
    hesitations,
    take_turns,
)

MS = RATE // 1000
FRAME = 1_920


def test_hesitations_fall_silent_inside_a_question() -> None:
    found = hesitations(3)
    assert len(found) == 3
    for one in found:
        start, end = one.pause.start, one.pause.end
        assert PAUSE_MS[0] * MS <= end - start <= PAUSE_MS[1] * MS
        pcm = to_float32(one.pcm)
        assert dbfs(pcm[start + 10 * MS : end - 10 * MS]) < -45
        assert dbfs(pcm[:start]) > -45 < dbfs(pcm[end:])


def test_a_caller_cuts_in_a_second_into_the_answer() -> None:
    pair = cut_ins(1)[0]
    begins = len(pair.first) + 300 * MS
    heard = np.zeros(begins + 6 * RATE, np.float32)
    rng = np.random.default_rng(0)
    heard[begins:] = 0.1 * rng.standard_normal(len(heard) - begins)
    said = [pair.frame(at, FRAME, heard[:at]) for at in range(0, len(heard), FRAME)]
    assert pair.onset is not None
    assert 0 <= pair.onset - (begins + CUT_IN_MS * MS) < 3 * FRAME
    spoken = np.concatenate([np.pad(part, (0, FRAME - len(part))) for part in said])
    assert np.array_equal(spoken[: len(pair.first)], pair.first)
    second = spoken[pair.onset : pair.onset + len(pair.second)]
    assert np.array_equal(second, pair.second[: len(second)])
    assert len(second) > RATE // 2


@pytest.mark.parametrize("quiet_ms", [300, 600])
def test_an_answer_has_stopped_after_half_a_second_of_silence(quiet_ms: int) -> None:
    pair = CutIn(np.zeros(RATE, np.int16), np.zeros(RATE, np.int16), onset=3 * RATE)
    heard = np.zeros(6 * RATE, np.float32)
    noise = np.random.default_rng(0).standard_normal(len(heard)).astype(np.float32)
    until = 3 * RATE + 350 * MS
    heard[2 * RATE : until] = 0.1 * noise[2 * RATE : until]
    again = slice(until + quiet_ms * MS, until + (quiet_ms + 200) * MS)
    heard[again] = 0.1 * noise[again]
    stop = pair.stop(heard)
    assert stop is not None
    assert abs(stop - (350 if quiet_ms > 500 else 550 + quiet_ms) * MS) < 5 * MS


def test_an_acknowledgement_is_short_and_heard_in_the_answer() -> None:
    for one in acknowledgements(3):
        assert 100 * MS < len(one.second) < 1_200 * MS
        assert dbfs(to_float32(one.second)) > -45
        assert len(one.silent().second) == len(one.second)
        assert not one.silent().second.any()


def test_nothing_stops_that_was_not_running() -> None:
    silence = np.zeros(RATE, np.int16)
    heard = np.zeros(6 * RATE, np.float32)
    assert CutIn(silence, silence, onset=3 * RATE).stop(heard) is None
    assert CutIn(silence, silence).stop(heard) is None


def test_who_never_stops_keeps_no_pause_and_no_turn() -> None:
    noisy, lm = tiny_mimi().eval(), tiny_lm().eval()
    figures = take_turns(noisy, lm, 2)
    assert figures["pause_kept"] == figures["pause_silent"] == 0.0
    assert figures["cut_in_none"] == figures["cut_in_stopped"] == 0.0
    assert figures["cut_in_ms"] > 1_000
    assert figures["acknowledged_ended"] == figures["ended"] == 0.0


def test_who_says_nothing_keeps_every_pause() -> None:
    mute, lm = tiny_mimi().eval(), tiny_lm().eval()
    for parameter in mute.decoder.parameters():
        parameter.mul_(0.0)
    assert take_turns(mute, lm, 2) == {"pause_kept": 1.0, "pause_silent": 1.0, "cut_in_none": 1.0}
