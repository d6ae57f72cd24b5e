"""Which moments count as giving way to a caller, and which do not."""

import dataclasses

import numpy as np

from models.moshi_text import MoshiText
from tests.training.words import WORDS
from training.duplex_dialogue import FRAME, RATE, DialogueSource, Mix, Word
from training.moshi_batches import EpochBatches
from training.moshi_codes import CodedDialogue
from training.moshi_preset import PRESETS, LossWeights
from training.moshi_stops import KEPT, cut_ins, emphasis
from training.moshi_tokenizer import train

MS = RATE // 1000
FRAMES = 60


def spoken(*user: tuple[int, int], agent: tuple[tuple[int, int], ...]) -> CodedDialogue:
    """Words at those milliseconds."""
    said, heard = (
        tuple(Word("మాట", start * MS, end * MS) for start, end in side) for side in (agent, user)
    )
    return CodedDialogue(np.zeros((16, FRAMES), np.uint16), said, heard, "priya", "calm")


def test_a_stop_is_what_a_callers_first_word_brings_about() -> None:
    dialogue = spoken(
        (0, 500),
        (2_000, 2_400),  # cuts in
        (2_450, 2_900),  # and goes on
        agent=((1_000, 1_500), (1_550, 2_130)),
    )
    assert list(cut_ins(dialogue)) == [(2_000 * MS, 2_130 * MS)]
    counts = emphasis([dialogue], FRAMES, 4.0)
    first = 27  # 2,130 ms lie in frame 26, whose beginning is still spoken
    assert counts[0, first : first + KEPT].eq(4.0).all()
    assert counts.sum() == FRAMES + 3 * KEPT


def test_going_on_is_no_stop() -> None:
    acknowledged = spoken((1_500, 1_900), agent=((1_000, 1_600), (1_650, 2_600)))
    answered = spoken((0, 500), agent=((800, 1_300),))
    assert not list(cut_ins(acknowledged))
    assert not list(cut_ins(answered))
    assert emphasis([acknowledged, answered], FRAMES, 4.0).eq(1.0).all()


def test_a_batch_counts_stops_as_its_preset_says() -> None:
    dialogue = spoken((2_000, 2_400), agent=((1_000, 1_500), (1_550, 2_130)))
    text = MoshiText.parse(train([f"{a} {b}" for a in WORDS for b in WORDS], 500))
    for listening, weight, counted in (
        (False, 4.0, 3 * KEPT),
        (False, 1.0, None),
        (True, 4.0, None),
    ):
        preset = dataclasses.replace(PRESETS["tiny"], weights=LossWeights(stopping=weight))
        batches = EpochBatches([dialogue], np.array([FRAMES]), text, preset, 0, listening=listening)
        counts = batches[0].emphasis
        assert (None if counts is None else counts.sum() - counts.numel()) == counted


def test_stops_of_dialogues_are_found_where_they_were_written() -> None:
    source = DialogueSource(1, 20 * RATE, mix=Mix.plain(interruption=1.0), turns=3)
    written = found = 0
    for number in range(12):
        made = source.dialogue(number)
        coded = CodedDialogue(
            np.zeros((16, len(made.user) // FRAME), np.uint16),
            made.agent_words,
            made.user_words,
            made.voice,
            made.emotion,
        )
        events = {(e.start, e.end) for e in made.events if e.kind == "interruption"}
        close = {
            (start, end)
            for start, end in events
            for at, stop in cut_ins(coded)
            if abs(at - start) < 40 * MS and abs(stop - end) < 40 * MS
        }
        written, found = written + len(events), found + len(close)
    assert written > 5
    assert found == written


def test_an_agent_that_says_nothing_gives_way_to_nobody() -> None:
    assert not list(cut_ins(spoken((0, 500), (1_000, 1_400), agent=())))
