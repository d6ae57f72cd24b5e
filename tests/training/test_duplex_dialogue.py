"""Spoken dialogues: the same for the same number, and every event keeps what its label says."""

import random
from collections import Counter

import numpy as np
import pytest

from models.audio import dbfs
from models.voices import EMOTIONS, VOICES
from training.dialogues import fits, load, user_utterances
from training.duplex_dialogue import FRAME, RATE, DialogueSource, Mix, SpokenDialogue, Word
from training.duplex_script import BACKCHANNELS
from training.duplex_speech import draw_speakers
from training.duplex_timing import ANSWER, LATE, LATE_STOPPING, OVERLAP, PAUSE, STOPPING

pytest.importorskip("espeakng_loader")

MS = RATE // 1000
COUNT = 25


def made(count: int = COUNT, **settings) -> list[SpokenDialogue]:
    source = DialogueSource(7, **settings)
    return [source.dialogue(number) for number in range(count)]


def plain(count: int = COUNT, **chances: float) -> list[SpokenDialogue]:
    return made(count, mix=Mix.plain(**chances))


@pytest.fixture(scope="module")
def everything() -> list[SpokenDialogue]:
    return made(60)


def events(dialogues: list[SpokenDialogue], kind: str):
    """Every event of `kind` with its dialogue; a test that found none would prove nothing."""
    found = [(talk, event) for talk in dialogues for event in talk.events if event.kind == kind]
    assert len(found) >= 5, kind
    return found


def same(one: SpokenDialogue, other: SpokenDialogue) -> bool:
    sounds = np.array_equal(one.agent, other.agent) and np.array_equal(one.user, other.user)
    names = ("agent_words", "user_words", "voice", "emotion", "exchanges", "events", "caller")
    return sounds and all(getattr(one, name) == getattr(other, name) for name in names)


def agent_speaks(talk: SpokenDialogue, start: int, end: int) -> bool:
    return bool(np.any(talk.agent[start:end]))


def test_a_number_is_always_the_same_dialogue() -> None:
    source = DialogueSource(3)
    first = source.dialogue(5)
    for number in (0, 9):  # what was said before must not matter
        source.dialogue(number)
    assert same(source.dialogue(5), first)
    assert not same(source.dialogue(6), first)
    assert not same(DialogueSource(4).dialogue(5), first)


def test_other_processes_make_the_same_dialogues() -> None:
    source = DialogueSource(3)
    here = [source.dialogue(number) for number in (4, 1, 5, 2)]
    there = list(source.spoken([4, 1, 5, 2], processes=2))
    assert len(there) == 4
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


def test_lengths(everything) -> None:
    for talk in everything:
        assert len(talk.agent) == len(talk.user) == talk.frames * FRAME <= 30 * RATE
    assert np.mean([talk.frames for talk in everything]) > 0.6 * 30 * RATE / FRAME
    short = made(10, longest=12 * RATE)
    assert all(talk.frames * FRAME <= 12 * RATE for talk in short)
    with pytest.raises(ValueError, match="whole frames"):
        DialogueSource(0, longest=30 * RATE + 1)


def test_words_of_a_channel_never_overlap(everything) -> None:
    for talk in everything:
        for words in (talk.agent_words, talk.user_words):
            assert all(0 <= word.start < word.end <= len(talk.agent) for word in words)
            assert all(a.end <= b.start for a, b in zip(words, words[1:], strict=False))


def test_the_agent_is_clean_and_heard_only_in_its_words(everything) -> None:
    for talk in everything:
        between = talk.agent.copy()
        for word in talk.agent_words:
            between[word.start : word.end + 8 * MS] = 0
            assert dbfs(talk.agent[word.start : word.end]) > -40
        assert dbfs(between) < -55
        assert np.abs(talk.agent.astype(int)).max(initial=0) <= 0.98 * 32768


def test_callers_are_heard_in_their_words() -> None:
    for talk in plain(10):
        between = talk.user.copy()
        for word in talk.user_words:
            between[word.start - 8 * MS : word.end + 8 * MS] = 0
            assert dbfs(talk.user[word.start : word.end]) > -45
        assert dbfs(between) < -55


def test_answers_come_after_natural_gaps(everything) -> None:
    gaps = [
        (exchange.reply_start - exchange.question_end) / MS
        for talk in everything
        for exchange, before in zip(talk.exchanges, (None, *talk.exchanges), strict=False)
        if not (before and before.interrupted)  # there the agent's own voice must end first
    ]
    assert len(gaps) > 100
    assert ANSWER.shortest <= min(gaps)
    late = [gap for gap in gaps if gap > ANSWER.longest]
    assert 0.03 < len(late) / len(gaps) < 0.2
    assert all(LATE[0] <= gap <= LATE[1] for gap in late)
    gaps = [gap for gap in gaps if gap <= ANSWER.longest]
    assert 200 < np.median(gaps) < 300
    assert np.mean(gaps) > np.median(gaps)  # skewed to the right
    assert 60 < np.std(gaps) < 130


def test_exchanges_say_what_is_heard_and_judge_answers() -> None:
    judged = 0
    for talk in plain(10):
        assert talk.exchanges
        for exchange in talk.exchanges:
            heard = " ".join(
                word.text
                for word in talk.agent_words
                if exchange.reply_start <= word.start < exchange.reply_end
            )
            asked = " ".join(
                word.text
                for word in talk.user_words
                if exchange.question_start <= word.start < exchange.question_end
            )
            assert heard == " ".join(exchange.reply.split())
            assert asked == exchange.question
            key = load()[exchange.intent].fits
            assert fits(key, heard, exchange.slots)
            assert not fits(key, "ఇది జవాబు కాదు", exchange.slots)
            judged += 1
    assert judged > 20


def test_the_agent_waits_through_a_pause() -> None:
    for talk, pause in events(plain(pause=1.0), "pause"):
        assert PAUSE[0] * MS <= pause.end - pause.start <= PAUSE[1] * MS
        assert not agent_speaks(talk, pause.start, pause.end)
        assert dbfs(talk.user[pause.start + 10 * MS : pause.end - 10 * MS]) < -45
        inside = [x for x in talk.exchanges if x.question_start < pause.start < x.question_end]
        assert len(inside) == 1  # the question goes on behind it
        assert pause.end < inside[0].question_end


def test_the_agent_stops_when_interrupted_and_answers_the_new_question() -> None:
    cut = 0
    for talk, event in events(plain(interruption=1.0), "interruption"):
        assert STOPPING[0] * MS <= event.end - event.start <= STOPPING[1] * MS
        speaking = [w for w in talk.agent_words if w.start < event.start < w.end]
        pausing = talk.agent_words[0].start < event.start
        assert speaking or pausing
        new = next(x for x in talk.exchanges if x.question_start == event.start)
        assert not agent_speaks(talk, event.end, new.reply_start)
        for old in talk.exchanges:
            if old.reply_end == event.end:
                assert old.interrupted
                said = [w for w in talk.agent_words if old.reply_start <= w.start < old.reply_end]
                assert 0 < len(said) < len(old.reply.split())
                assert [word.text for word in said] == old.reply.split()[: len(said)]
                assert said[-1].end == event.end
                cut += 1
    assert cut >= 5


def test_callers_stumble_as_often_as_the_mix_says() -> None:
    def asked(**chances: float) -> list[str]:
        return [talk.exchanges[0].question for talk in plain(4, **chances)]

    assert asked() == asked(stumble=0.0) != asked(stumble=1.0)


def test_callers_cut_in_at_any_time_of_a_word() -> None:
    """Of the word in which an answer stops, as much as may be is said, and as little."""
    said: list[float] = []
    for talk in plain(interruption=1.0):
        agent = draw_speakers(random.Random(0), "train", [talk.voice], [talk.emotion])
        for old in talk.exchanges:
            if old.interrupted:
                words = [w for w in talk.agent_words if old.reply_start <= w.start < old.reply_end]
                whole, last = agent.agent(old.reply).words[len(words) - 1], words[-1]
                assert whole.text == last.text
                said.append((last.end - last.start) / (whole.end - whole.start))
    assert len(said) > 15
    assert sum(share < 0.5 for share in said) > len(said) / 6
    assert sum(share > 0.7 for share in said) > len(said) / 6


def test_some_are_late_to_answer_and_to_stop() -> None:
    late = plain(late=1.0, interruption=1.0)
    for talk in late:
        for exchange, before in zip(talk.exchanges, (None, *talk.exchanges), strict=False):
            if not (before and before.interrupted):
                gap = exchange.reply_start - exchange.question_end
                assert LATE[0] * MS <= gap <= LATE[1] * MS
    for talk, event in events(late, "interruption"):
        assert LATE_STOPPING[0] * MS <= event.end - event.start <= LATE_STOPPING[1] * MS
        heard = [w for w in talk.agent_words if w.start < event.start and w.end <= event.end]
        assert heard  # what is interrupted had begun


def test_an_overlapped_answer_is_finished() -> None:
    for talk, event in events(plain(overlap=1.0), "overlap"):
        assert OVERLAP[0] * MS <= event.end - event.start <= OVERLAP[1] * MS
        old = next(x for x in talk.exchanges if x.reply_end == event.end)
        said = [w.text for w in talk.agent_words if old.reply_start <= w.start < old.reply_end]
        assert said == old.reply.split()
        assert not old.interrupted


@pytest.mark.parametrize("kind", ["agent backchannel", "user backchannel"])
def test_the_speaker_goes_on_through_a_backchannel(kind: str) -> None:
    mix = Mix.plain(**{kind.replace(" ", "_"): 1.0})
    for talk, event in events(made(mix=mix), kind):
        own, other = talk.agent_words, talk.user_words
        if kind == "user backchannel":
            own, other = other, own
        assert [w.text for w in own if w.start == event.start][0] in BACKCHANNELS
        turns = [
            (x.question_start, x.question_end, x.question)
            if kind == "agent backchannel"
            else (x.reply_start, x.reply_end, x.reply)
            for x in talk.exchanges
        ]
        start, end, text = next(turn for turn in turns if turn[0] < event.start < turn[1])
        said = [word for word in other if start <= word.start < end]
        assert " ".join(word.text for word in said) == text
        assert said[0].start < event.start
        assert said[-1].end == end > event.end + 150 * MS


def test_silences_are_long_and_silent() -> None:
    for talk, event in events(plain(silence=1.0), "silence"):
        assert event.end - event.start >= 2_000 * MS
        assert not agent_speaks(talk, event.start + 10 * MS, event.end)
        assert not [w for w in talk.user_words if event.start < w.start < event.end]


def test_nobody_is_answered_when_nobody_speaks() -> None:
    for talk in plain(5, nobody=1.0, noise=1.0, background=1.0):
        assert talk.user.any()
        assert not talk.agent.any()
        assert not talk.agent_words
        assert not talk.user_words
        assert not talk.exchanges


def test_some_calls_are_opened_by_the_agent() -> None:
    for talk, event in events(plain(40, greeting=1.0), "greeting"):
        assert talk.agent_words[0].start == event.start < talk.exchanges[0].question_start
        assert talk.agent_words[0].text == "నమస్కారం!"
        assert event.end <= talk.exchanges[0].question_start


def test_everything_happens(everything) -> None:
    counted = Counter(event.kind for talk in everything for event in talk.events)
    for kind in ("greeting", "pause", "interruption", "overlap", "silence", "noise", "echo"):
        assert counted[kind] >= 3, kind
    assert counted["user backchannel"] >= 3
    assert {talk.voice for talk in everything} == {voice.id for voice in VOICES}
    assert len({talk.emotion for talk in everything}) == len(EMOTIONS)


def test_held_out_dialogues_share_neither_words_nor_voices_with_training() -> None:
    heard = made(15, wordings="held_out", callers="held_out")
    trained = made(15)
    asked = {exchange.question for talk in heard for exchange in talk.exchanges}
    assert len(asked) > 30
    assert not asked & set(user_utterances("train"))
    assert not asked & {exchange.question for talk in trained for exchange in talk.exchanges}
    assert not {talk.caller for talk in heard} & {talk.caller for talk in trained}


def test_no_dialogue_tells_the_time_it_cannot_know() -> None:
    intents = {x.intent for talk in made(40, mix=Mix.plain()) for x in talk.exchanges}
    assert all(load()[intent].when != "clock" for intent in intents)


def test_a_piece_counts_from_its_start() -> None:
    talk = DialogueSource(7, mix=Mix.plain(greeting=1.0)).dialogue(1)
    second = talk.exchanges[1]
    start = second.question_start // FRAME * FRAME
    piece = talk.piece(start, talk.frames * FRAME)
    assert piece.exchanges[0].question == second.question
    assert piece.exchanges[0].question_start == second.question_start - start
    for word in piece.agent_words:
        assert Word(word.text, word.start + start, word.end + start) in talk.agent_words
    np.testing.assert_array_equal(piece.user, talk.user[start:])


def test_channels_must_fit_each_other() -> None:
    sound = np.zeros(FRAME, np.int16)
    with pytest.raises(ValueError, match="whole frames"):
        SpokenDialogue(sound, sound[:-1], (), (), "", "")
    with pytest.raises(ValueError, match="int16"):
        SpokenDialogue(sound.astype(np.float32), sound, (), (), "", "")
