"""The text stream of a Moshi and the gate before it, on words aligned by the synthesizer itself."""

import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from models.espeak import Settings, synthesize_with_words
from models.moshi_text import END_OF_PADDING, PADDING, MoshiText
from training.dialogues import Composer
from training.duplex_dialogue import Word
from training.moshi_budget import RATE, TextBudget, TextBudgetExceeded, gate, measure
from training.moshi_codes import Asked
from training.moshi_streams import (
    FRAME,
    TextDoesNotFit,
    TimedTokens,
    dropped,
    heard,
    interleave,
    said,
    whole,
)
from training.moshi_tokenizer import train
from training.utterances import ESPEAK_RATE

TELUGU = [
    "నమస్కారం, మీకు ఏ విధంగా సహాయం చేయగలను?",
    "మీ ఖాతాలో ఇప్పుడు రెండు వేల మూడు వందల రూపాయలు ఉన్నాయి.",
    "హైదరాబాద్ నుంచి విజయవాడకు వెళ్లే బస్సు సాయంత్రం ఐదు గంటలకు బయలుదేరుతుంది.",
    "రేపు ఉదయం వర్షం పడే అవకాశం ఉంది, గొడుగు తీసుకువెళ్లండి.",
    "మీ పేరు నాకు గుర్తుంది, చెప్పండి ఏం కావాలి?",
    "వంద రూపాయల కూరగాయలు తీసుకుంటే పది రూపాయలు తగ్గిస్తారు.",
    "తెలుగులో మాట్లాడటం నాకు చాలా ఇష్టం.",
    "ప్రభుత్వ కార్యాలయం ఆదివారం తెరవరు, సోమవారం వెళ్లండి.",
]
ENGLISH = [
    "Hello, how can I help you today?",
    "There are two thousand three hundred rupees in your account.",
    "The bus to the next town leaves at five in the evening.",
    "It may rain tomorrow morning, so take an umbrella with you.",
    "I remember your name; tell me what you would like to know.",
    "If you buy vegetables for a hundred you save ten.",
    "I like to talk with people about their work and their families.",
    "The office is closed on Sunday, please come back on Monday.",
    "Where were you going when the train stopped at the station?",
    "She said that nothing had happened and that everything was fine.",
]


@pytest.fixture(scope="module")
def telugu() -> MoshiText:
    """Trained on the authored dialogues: it has not seen the sentences above."""
    composer = Composer(0, noise=0.0, prompted=0.0)
    turns = [turn for _ in range(300) for turn in composer.conversation(6).turns]
    return MoshiText.parse(train([text for t in turns for text in (t.user, t.reply)], 2_000))


@pytest.fixture(scope="module")
def english() -> MoshiText:
    """Of the kind Moshi ships: English pieces, bytes for everything else."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(ENGLISH),
        model_writer=model,
        vocab_size=420,
        hard_vocab_limit=False,
        byte_fallback=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        minloglevel=2,
    )
    return MoshiText.parse(model.getvalue())


@pytest.fixture(scope="module")
def spoken() -> list[tuple[list[Word], int]]:
    """Each sentence at a conversational speed, with a second of silence behind it."""
    found = []
    for sentence in TELUGU:
        pcm, words = synthesize_with_words(sentence, Settings("f3", words_per_minute=170))

        def at(sample: int) -> int:
            return round(sample * RATE / ESPEAK_RATE)

        found.append(([Word(w, at(a), at(b)) for w, a, b in words], at(len(pcm)) + RATE))
    return found


def test_the_gate_refuses_a_tokenizer_that_falls_to_bytes(
    english: MoshiText, spoken: list[tuple[list[Word], int]]
) -> None:
    assert english.falls_to_bytes(TELUGU[0]) > 0.8
    lines: list[str] = []
    with pytest.raises(TextBudgetExceeded, match="would be dropped .*swap the vocabulary"):
        gate(spoken, english, say=lines.append)
    budget = sum((measure(words, samples, english) for words, samples in spoken), TextBudget())
    assert lines == [f"text budget: {budget}"]  # the figures are printed all the same
    assert budget.tokens_per_second > 12.5
    assert budget.lost_share > 0.3


def test_the_gate_lets_a_telugu_tokenizer_pass(
    telugu: MoshiText, spoken: list[tuple[list[Word], int]]
) -> None:
    lines: list[str] = []
    budget = gate(spoken, telugu, say=lines.append)
    assert budget.lost_share <= 0.01
    assert budget.tokens_per_second < 12.5
    assert "tokens a word" in lines[0]
    assert "against 12.5" in lines[0]
    assert "would be dropped" in lines[0]


def test_the_gate_refuses_what_has_no_words(telugu: MoshiText) -> None:
    with pytest.raises(TextBudgetExceeded, match="no aligned words"):
        gate([([], 48_000)], telugu, say=lambda _: None)


def test_a_word_begins_in_its_frame_and_padding_announces_it() -> None:
    words = [TimedTokens(2, (11, 12)), TimedTokens(6, (13,))]
    assert interleave(words, 8).tokens.tolist() == [
        PADDING,
        END_OF_PADDING,
        11,
        12,
        PADDING,
        END_OF_PADDING,
        13,
        PADDING,
    ]
    assert interleave(words, 8, announce=False).tokens.tolist() == [3, 3, 11, 12, 3, 3, 13, 3]


def test_late_tokens_are_shifted_not_dropped() -> None:
    words = [TimedTokens(0, (11, 12, 13)), TimedTokens(1, (14, 15)), TimedTokens(7, (16,))]
    stream = interleave(words, 9)
    assert stream.tokens.tolist() == [11, 12, 13, 14, 15, PADDING, END_OF_PADDING, 16, PADDING]
    assert stream.latest == 2  # 14 was due in frame 1 and came in frame 3
    assert stream.unplaced == 0
    # The published interleaver forgets 12 and 13 when 14's word begins.
    assert dropped(words, 9) == 2


def test_text_longer_than_its_sound_is_an_error() -> None:
    words = [TimedTokens(0, (11, 12, 13)), TimedTokens(5, (14,))]
    assert interleave(words, 2).unplaced == 2
    with pytest.raises(TextDoesNotFit, match="silence"):
        whole(words, 2)


def schedules() -> st.SearchStrategy[list[TimedTokens]]:
    word = st.tuples(st.integers(0, 30), st.lists(st.integers(4, 99), min_size=1, max_size=4))
    return st.lists(word, max_size=12).map(
        lambda found: [TimedTokens(f, tuple(t)) for f, t in sorted(found, key=lambda x: x[0])]
    )


@given(schedules())
def test_nothing_is_lost_and_order_is_kept(words: list[TimedTokens]) -> None:
    stream = interleave(words, 90)
    text = [token for token in stream.tokens.tolist() if token > PADDING]
    assert text == [token for word in words for token in word.tokens]
    assert stream.unplaced == 0
    first = {word.frame for word in words}
    assert not first or stream.tokens[min(first)] > PADDING


@given(schedules(), st.integers(1, 40))
def test_what_the_published_rule_drops_is_what_its_own_queue_loses(
    words: list[TimedTokens], frames: int
) -> None:
    """Against the rule written out with a real queue (build_token_stream, keep_and_shift=False)."""
    queue: list[int] = []
    kept = at = 0
    for frame in range(frames):
        while at < len(words) and words[at].frame < frame + 1:
            queue = list(words[at].tokens)
            at += 1
        if queue:
            queue.pop(0)
            kept += 1
    assert dropped(words, frames) == sum(len(word.tokens) for word in words) - kept


@pytest.fixture(scope="module")
def two_words() -> list[Word]:
    return [Word("నాకు", 3 * FRAME, 5 * FRAME), Word("వర్షం", 5 * FRAME + 1, 9 * FRAME + 5)]


def test_said_starts_with_the_sound_and_heard_follows_it(
    telugu: MoshiText, two_words: list[Word]
) -> None:
    assert [word.frame for word in said(two_words, telugu)] == [3, 5]
    # The last sample of the first word lies in frame 4, whose codes are an input at step 5.
    assert [word.frame for word in heard(two_words, telugu, 0)] == [5, 10]
    assert [word.frame for word in heard(two_words, telugu, 2)] == [7, 12]
    assert said([Word("", 0, 10)], telugu) == []


def test_an_answer_is_announced_by_what_was_asked(two_words: list[Word]) -> None:
    texts = [*TELUGU, *(word.text for word in two_words)]
    text = MoshiText.parse(train(texts * 20, 600, ["weather.rain"]))
    rain = text.intents["weather.rain"]
    greeting = Word("నాకు", 0, FRAME)
    words = [greeting, *(Word(w.text, w.start + FRAME, w.end + FRAME) for w in two_words)]
    first = words[1].start  # the answer may begin a little before its first word
    asked = Asked("weather.rain", end=2 * FRAME, answer=first - 100)
    timed = said(words, text, [asked])
    assert [word.announced for word in timed] == [END_OF_PADDING, rain, END_OF_PADDING]
    stream = interleave(timed, 20).tokens
    assert stream[first // FRAME - 1] == rain
    assert (stream == rain).sum() == 1
    assert text.decode(stream) == " ".join(word.text for word in words)
    # Nobody authored it; nobody answered it.
    for other in (Asked("tool.song", 0, first), Asked("weather.rain", 0, 15 * FRAME)):
        assert {word.announced for word in said(words, text, [other])} == {END_OF_PADDING}
    # The user's words are heard as they are.
    assert rain not in interleave(heard(words, text, 2), 20, announce=False).tokens


def test_budgets_are_pooled() -> None:
    pooled = TextBudget(2, 5, RATE, 1, 3) + TextBudget(1, 1, RATE, 0, 7)
    assert (pooled.words, pooled.tokens, pooled.lost, pooled.latest) == (3, 6, 1, 7)
    assert pooled.tokens_per_second == 3.0
    assert np.isclose(pooled.lost_share, 1 / 6)
