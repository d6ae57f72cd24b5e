"""The duplex suite's sounds: labels that are true to the sample, and the same from run to run."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import benchmarks.duplex.authored as authored
from benchmarks.caller.wire import IN_RATE
from benchmarks.duplex.authored import SET, SHA256, SetError, the_set
from benchmarks.duplex.rows import ECHO, INTERRUPTION, NOISE, PAUSE, SIDE_SPEECH, SMOOTH, TASKS
from benchmarks.duplex.stimuli import stimuli
from benchmarks.duplex.stimulus import Stimulus
from models.audio import audible, dbfs

HOP = IN_RATE // 1000  # samples: how closely the energy rule looks
By = dict[str, list[Stimulus]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def by_task(store: Path) -> By:
    return stimuli(store, limit=3)


def test_the_set_is_the_pinned_one(monkeypatch):
    assert hashlib.sha256(SET.read_bytes()).hexdigest() == SHA256
    monkeypatch.setattr(authored, "SHA256", "0" * 64)
    the_set.cache_clear()
    with pytest.raises(SetError, match="new name"):
        the_set()
    the_set.cache_clear()


def test_what_the_set_holds():
    texts = [e[part] for e in the_set()["sentence"] for part in ("before", "after")]
    assert len(the_set()["sentence"]) >= 20
    assert len(set(texts)) == len(texts)
    for kind in ("sentence", "interruption", "story", "backchannel", "aside"):
        ids = [e.get("id") for e in the_set()[kind]]
        assert len(set(ids)) == len(ids)
    for text in texts:
        assert all("\u0c00" <= c <= "\u0c7f" or c in " ," for c in text), text


def test_labels_are_true_to_the_sample(by_task):
    assert tuple(by_task) == TASKS
    for stimulus in (s for of_task in by_task.values() for s in of_task):
        said = np.pad(stimulus.pcm[: stimulus.user.end], (IN_RATE, IN_RATE))
        sounds = audible(said, IN_RATE)
        begins = [s.start - IN_RATE for s in sounds]
        ends = [s.end - IN_RATE for s in sounds]
        assert begins[0] == stimulus.user.start == 0
        assert abs(ends[-1] - stimulus.user.end) <= HOP
        for hold in stimulus.holds:
            assert not stimulus.pcm[hold.start : hold.end].any()
            assert min(abs(end - hold.start) for end in ends) <= HOP
            assert min(abs(begin - hold.end) for begin in begins) <= HOP


def test_holds_leave_room_for_a_second_of_bot_speech(by_task):
    lengths = []
    for stimulus in by_task[PAUSE]:
        [hold] = stimulus.holds
        lengths.append((hold.end - hold.start) * 1000 // IN_RATE)
        assert stimulus.user.end - hold.end > 1.5 * IN_RATE
    assert lengths == [400, 700, 1000]


def test_a_disturbed_turn_is_its_twin_and_the_disturbance(by_task):
    twins = {s.id: s for s in by_task[SMOOTH]}
    for task in (ECHO, NOISE, SIDE_SPEECH):
        for stimulus in by_task[task]:
            assert stimulus.twin is not None
            twin = twins[stimulus.twin]
            assert np.array_equal(stimulus.pcm[: stimulus.user.end], twin.pcm)
    side = by_task[SIDE_SPEECH][0]
    assert side.side is not None
    quieter = dbfs(side.pcm[: side.user.end]) - dbfs(side.pcm[side.side.start :])
    assert quieter == pytest.approx(15, abs=2)
    noise = by_task[NOISE][0].noise
    assert noise is not None
    assert dbfs(noise) == pytest.approx(-35, abs=0.1)
    after = [s.cut_in.after_ms for s in by_task[INTERRUPTION] if s.cut_in is not None]
    assert after == [500, 1000, 500]


def test_the_same_sounds_again(store, by_task):
    again = stimuli(store, limit=3)
    for task, of_task in by_task.items():
        assert [s.sha256 for s in again[task]] == [s.sha256 for s in of_task]
