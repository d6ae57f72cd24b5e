"""The caller's line: level, noise, echo, band. The agent's channel: level and emphasis."""

import random

import numpy as np
import pytest

from models.audio import dbfs
from models.espeak import Settings
from training.duplex_mix import Mix
from training.duplex_script import Placed, Script
from training.duplex_sound import (
    AGENT_DBFS,
    Line,
    agent_channel,
    draw_line,
    place_bursts,
    user_channel,
)
from training.duplex_speech import Speakers
from training.duplex_timeline import FRAME, RATE, Word

pytest.importorskip("espeakng_loader")

QUIET = Line(dbfs=-30.0, snr=None, room=False, telephone=False, echo=None)
SPEAKERS = Speakers("lakshmi", "neutral", Settings("m5"))


@pytest.fixture(scope="module")
def script() -> Script:
    """The caller speaks in the first two seconds, the agent from the fourth."""
    asked = Placed(FRAME, SPEAKERS.user("మీ పేరు ఏమిటి"))
    answered = Placed(50 * FRAME, SPEAKERS.agent("నా పేరు మాట అండి."))
    assert asked.end < 40 * FRAME
    return Script(agent=[answered], user=[asked], samples=100 * FRAME)


@pytest.fixture(scope="module")
def agent(script: Script) -> np.ndarray:
    return agent_channel(script, 0.0)


def heard(script: Script, agent: np.ndarray, **changes) -> np.ndarray:
    line = Line(**(vars(QUIET) | changes))
    return user_channel(script, line, [], agent, np.random.default_rng(0))


def level(pcm: np.ndarray, words: tuple[Word, ...]) -> float:
    return dbfs(np.concatenate([pcm[word.start : word.end] for word in words]))


def test_levels(script, agent) -> None:
    assert level(agent, script.agent[0].words) == pytest.approx(AGENT_DBFS, abs=0.5)
    louder = agent_channel(script, 2.5)
    assert level(louder, script.agent[0].words) == pytest.approx(AGENT_DBFS + 2.5, abs=0.5)
    for dbfs_ in (-38.0, -16.0):
        user = heard(script, agent, dbfs=dbfs_)
        assert level(user, script.user[0].words) == pytest.approx(dbfs_, abs=1.5)


def test_nothing_but_the_caller_on_a_quiet_line(script, agent) -> None:
    user = heard(script, agent)
    assert dbfs(user[script.user[0].end + FRAME :]) < -80
    assert not agent[: 50 * FRAME].any()


def test_noise_lies_under_the_caller_at_the_asked_distance(script, agent) -> None:
    noise_level = dbfs(heard(script, agent, snr=20.0)[42 * FRAME :])
    assert noise_level == pytest.approx(-50.0, abs=6.0)  # it drifts by up to 6 dB


def test_echo_is_the_agent_late_and_low(script, agent) -> None:
    answer = script.agent[0]
    user = heard(script, agent, echo=(-40.0, 100))
    leak = user[answer.start : answer.end + RATE // 4].astype(float)
    assert dbfs(leak.astype(np.int16)) == pytest.approx(-40.0, abs=5.0)
    late = np.correlate(leak[: 2 * RATE], agent[answer.start : answer.start + RATE], "valid")
    assert np.abs(late).argmax() == pytest.approx(0.1 * RATE, abs=24)
    assert dbfs(user[42 * FRAME : answer.start]) < -80


def test_a_telephone_takes_the_low_and_the_high(script, agent) -> None:
    def share(pcm: np.ndarray) -> float:
        power = np.square(np.abs(np.fft.rfft(pcm.astype(float))))
        hertz = np.fft.rfftfreq(len(pcm), 1 / RATE)
        return float(power[(hertz < 250) | (hertz > 4_000)].sum() / power.sum())

    assert share(heard(script, agent, telephone=True)) < 0.2 * share(heard(script, agent))


def test_a_room_outlasts_the_voice(script, agent) -> None:
    behind = slice(script.user[0].end + 480, script.user[0].end + 2_400)
    assert dbfs(heard(script, agent, room=True)[behind]) > dbfs(heard(script, agent)[behind]) + 10


def test_sounds_that_are_no_speech_are_where_their_label_says(agent) -> None:
    for seed in range(20):
        silent = Script(samples=100 * FRAME)
        places = place_bursts(silent, Mix.plain(noise=1.0), random.Random(seed))
        assert [(event.start, event.end) for event in silent.events] == places
        user = user_channel(silent, QUIET, places, agent, np.random.default_rng(seed))
        outside = user.copy()
        for start, end in places:
            outside[max(start - 240, 0) : end + 240] = 0
        assert not outside.any()


def test_lines_follow_the_mix() -> None:
    assert draw_line(Mix.plain(), random.Random(0)) == Line(AGENT_DBFS, None, False, False, None)
    lines = [draw_line(Mix(), random.Random(seed)) for seed in range(300)]
    assert 0.1 < np.mean([line.echo is not None for line in lines]) < 0.2
    assert 0.5 < np.mean([line.snr is not None for line in lines]) < 0.7
    assert min(line.dbfs for line in lines) < -36
