"""Callers' turns as sound, rendered by the real synthesizer."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.sets.render import render, voice
from benchmarks.sets.turnset import load
from models.audio import speech_end

pytest.importorskip("espeakng_loader", reason="the espeak extra is not installed")


def test_a_conversation_is_heard_the_same_every_time(tmp_path):
    conversation = load("te-v1:smoke").conversations[0]
    first = render(conversation, tmp_path)
    files = sorted(tmp_path.iterdir())
    stamps = [f.stat().st_mtime_ns for f in files]
    again = render(conversation, tmp_path)
    assert len(files) == len(first) == 3
    assert [f.stat().st_mtime_ns for f in sorted(tmp_path.iterdir())] == stamps
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name
        assert one.pcm.dtype == np.int16
        assert np.array_equal(one.pcm, other.pcm)
        assert 0.5 < len(one.pcm) / 16_000 < 10
        assert np.abs(one.pcm).max() == pytest.approx(16_384, abs=400)
        assert speech_end(one.pcm, 16_000)


def test_other_texts_and_other_voices_are_other_sounds(tmp_path):
    conversation = load("te-v1:smoke").conversations[1]
    whole = render(conversation, tmp_path)
    other = replace(conversation, voice="m2")
    assert voice(other).variant == "m2"
    heard = render(other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 6
    assert len({len(u.pcm) for u in whole}) == 3
    assert not np.array_equal(whole[0].pcm, heard[0].pcm)
    assert whole[0].name == "sums-1-01"


def test_every_caller_has_a_manner_of_their_own():
    voices = {voice(c) for c in load().conversations}
    assert len(voices) == len(load().conversations)


def test_a_subset_renders_as_the_whole_does():
    whole = {c.id: voice(c) for c in load().conversations}
    assert all(voice(c) == whole[c.id] for c in load("te-v1:standard").conversations)
