"""One speaker's words: written as they are written, timed as they are heard."""

import random

import numpy as np
import pytest

from models.audio import dbfs
from models.espeak import Settings, synthesize
from models.voices import EMOTIONS, VOICES
from training.duplex_speech import (
    BEGUN,
    Speakers,
    callers,
    draw_speakers,
    start_afresh,
    written_times,
)
from training.duplex_timeline import RATE
from training.utterances import HELD_OUT_VARIANTS

pytest.importorskip("espeakng_loader")

CALLER = Settings("f5", words_per_minute=160)
PRIYA = Speakers("priya", "neutral", CALLER)


def test_words_stay_as_they_are_written() -> None:
    text = "నమస్కారం! ధర ₹1,250 అండి — 108 కి ఫోన్ చేయండి."
    said = PRIYA.agent(text)
    assert " ".join(word.text for word in said.words) == text
    times = [time for word in said.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] == said.end <= len(said.pcm)
    longest = max(said.words, key=lambda word: word.end - word.start)
    assert longest.text == "₹1,250"  # a thousand two hundred and fifty rupees


def test_a_figure_shares_the_time_of_what_is_said_for_it() -> None:
    spoken = [("మీరు", 0, 100), ("నూట", 100, 300), ("ఎనిమిదికి", 300, 700), ("రండి", 800, 900)]
    timed = written_times(["మీరు", "108", "కి", "రండి."], spoken)
    assert [word for word, _, _ in timed] == ["మీరు", "108", "కి", "రండి."]
    assert timed[0] == ("మీరు", 0, 100)
    assert timed[3] == ("రండి.", 800, 900)
    (_, start, middle), (_, again, end) = timed[1:3]
    assert (start, end) == (100, 700)
    assert middle == again
    assert middle - start > 3 * (end - middle)  # నూట ఎనిమిది is longer than కి


def test_signs_that_are_not_said_join_a_neighbour() -> None:
    spoken = [("రండి", 10, 20), ("పోండి", 30, 40)]
    assert written_times(["—", "రండి", "…", "పోండి"], spoken) == [
        ("— రండి …", 10, 20),
        ("పోండి", 30, 40),
    ]
    assert written_times(["రండి"], spoken) == [("రండి", 10, 40)]
    assert written_times(["—"], []) == []


@pytest.mark.parametrize("voice", [voice.id for voice in VOICES])
def test_times_are_where_the_sound_is(voice: str) -> None:
    """Pauses between sentences are silent, words are loud, and a word begins after its pause."""
    speakers = Speakers(voice, "neutral", CALLER)
    said = speakers.agent("బాగుంది. కాకినాడ, గుంటూరు, తిరుపతి. పాలు తాగండి!")
    pauses = 0
    for before, after in zip(said.words, said.words[1:], strict=False):
        pause = said.pcm[before.end + 120 : after.start]
        if len(pause) > RATE // 50:
            pauses += 1
            assert dbfs(pause) < -50
            onset = np.flatnonzero(np.abs(said.pcm[after.start :]) > 0.02)[0]
            assert onset < 0.1 * RATE  # a stop's closure, a soft consonant
    assert pauses >= 4
    for word in said.words:
        assert dbfs(said.pcm[word.start : word.end]) > -35
    assert np.abs(said.pcm[said.end - 240 : said.end]).max() > 0.002


def test_a_slower_word_is_longer_and_nothing_else_moves() -> None:
    """Times come from the synthesis, not from a share of the text."""
    long_last = PRIYA.agent("రండి పోండి కూర్చోండి").words
    long_first = PRIYA.agent("కూర్చోండి పోండి రండి").words
    spans = [[word.end - word.start for word in words] for words in (long_last, long_first)]
    assert spans[0][2] > 1.3 * spans[0][0]
    assert spans[1][0] > 1.1 * spans[1][2]


def test_falling_silent_drops_what_is_not_said() -> None:
    said = PRIYA.agent("బియ్యం కడిగి నీళ్ళు పోయండి")
    second = said.words[1]
    begun = second.start + BEGUN
    for stop, count in ((second.end, 2), (begun - 1, 1), (begun, 2), (second.end - 100, 2)):
        cut = said.until(stop)
        assert len(cut.pcm) == cut.end == stop
        assert len(cut.words) == count
        assert cut.words[-1].end <= stop
        assert cut.pcm[-1] == 0
        np.testing.assert_array_equal(cut.pcm[: stop - 400], said.pcm[: stop - 400])


def test_callers_are_never_the_agent_nor_in_both_splits() -> None:
    train, held_out = callers("train"), callers("held_out")
    assert len(train) > 50
    assert set(held_out) == set(HELD_OUT_VARIANTS)
    assert not set(train) & set(held_out)
    assert not {"m3", "max", "f3", "f1"} & {*train, *held_out}
    drawn = {
        draw_speakers(random.Random(n), "train", [v.id for v in VOICES], EMOTIONS)
        for n in range(60)
    }
    assert {speakers.voice for speakers in drawn} == {voice.id for voice in VOICES}
    assert len({speakers.emotion for speakers in drawn}) == len(EMOTIONS)
    assert len({speakers.caller.variant for speakers in drawn}) > 25


def test_after_a_fresh_start_the_same_text_gives_the_same_samples() -> None:
    """Without it, espeak's flutter goes on from the text before."""
    voices = ("m3", "klatt2", "Andrea")

    def speak() -> list[np.ndarray]:
        return [synthesize("నేను రేపు వస్తాను", Settings(voice)) for voice in voices]

    start_afresh()
    first, later = speak(), speak()
    start_afresh()
    again = speak()
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(
        len(a) != len(b) or not np.array_equal(a, b) for a, b in zip(first, later, strict=True)
    )
