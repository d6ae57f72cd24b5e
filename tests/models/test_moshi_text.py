"""Moshi's text tokenizer: pieces as bytes, structure never as text, bad files named."""

import io
from pathlib import Path

import pytest
import sentencepiece

from models.moshi_text import END_OF_PADDING, PADDING, MoshiText, TokenizerInvalid
from models.telugu.captions import CaptionStream
from tests.training.words import WORDS
from training.moshi_tokenizer import train

SENTENCES = [f"{a} {b} {c}" for a in WORDS for b in WORDS[::2] for c in WORDS[::5]]


@pytest.fixture(scope="module")
def model() -> bytes:
    return train([*SENTENCES, "నా ఫోన్‌లో OTP 1930 రాలేదు, ఏం చేయాలి?"], 600)


@pytest.fixture(scope="module")
def text(model: bytes) -> MoshiText:
    return MoshiText.parse(model)


@pytest.mark.parametrize(
    "said",
    [
        "నాకు పని ఉంది",
        "ఫోన్‌లో వినండి",  # with a non-joiner, which is seen on screen
        "112 కి ఫోన్ చేయండి!",
        "OTP ని CHECK చేయండి",
        "హ్మ్మ్ 😀 సరే",  # not in the alphabet: bytes
    ],
)
def test_text_survives(text: MoshiText, said: str) -> None:
    ids = [id_ for word in said.split() for id_ in text.encode(word)]
    assert text.decode(ids) == said
    assert min(ids) > PADDING
    assert max(ids) < text.card


def test_captions_read_a_stream_with_its_structure(text: MoshiText) -> None:
    words = [text.encode(word) for word in ("నమస్కారం", "ఫోన్‌లో", "వినండి.")]
    stream = [PADDING, END_OF_PADDING, *words[0], PADDING, PADDING, END_OF_PADDING, *words[1]]
    captions = CaptionStream(text.pieces)
    shown = "".join(captions.token(id_) for id_ in [*stream, *words[2], text.start])
    assert shown + captions.flush() == "నమస్కారం ఫోన్‌లో వినండి."
    assert text.decode([*stream, *words[2], text.start]) == "నమస్కారం ఫోన్‌లో వినండి."


def test_an_intent_is_written_and_never_shown(model: bytes) -> None:
    plain = MoshiText.parse(model)
    named = MoshiText.parse(train(SENTENCES, 600, ["food.tea", "sum.add"]))
    assert plain.intents == {}
    assert list(named.intents) == ["food.tea", "sum.add"]
    tea, add = named.intents.values()
    assert PADDING < tea < add < named.card
    # What a caller or an agent says is never read as one.
    assert not {tea, add} & set(named.encode("<intent:food.tea> sum.add"))
    stream = [PADDING, add, *named.encode(WORDS[0]), PADDING, tea, *named.encode(WORDS[1])]
    assert named.decode(stream) == f"{WORDS[0]} {WORDS[1]}"
    captions = CaptionStream(named.pieces)
    shown = "".join(captions.token(id_) for id_ in stream)
    assert shown + captions.flush() == f"{WORDS[0]} {WORDS[1]}"
    assert named.intent(stream) == "sum.add"
    assert named.intent([PADDING, *named.encode(WORDS[0])]) == ""


def test_structure_has_no_bytes(text: MoshiText) -> None:
    assert text.pieces[:4] == [b"", b"", b"", b""]
    assert all(piece for piece in text.pieces[4:])
    assert len(text.pieces) == text.card == text.start


def test_a_composed_vowel_is_one_text(text: MoshiText) -> None:
    assert text.encode("క\u0c46\u0c56") == text.encode("క\u0c48")  # NFC joins the two halves


def test_no_text_gives_no_tokens(text: MoshiText) -> None:
    assert text.encode("") == text.encode("   ") == []
    assert text.decode([]) == ""


def test_known_text_needs_no_bytes(text: MoshiText) -> None:
    assert text.falls_to_bytes("నాకు పని ఉంది") == 0.0
    assert text.falls_to_bytes("😀") > 0.5


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, model: bytes) -> None:
    with pytest.raises(TokenizerInvalid, match="missing"):
        MoshiText.load(tmp_path / "tokenizer_spm_1k_te.model")
    broken = tmp_path / "tokenizer_spm_1k_te.model"
    broken.write_bytes(model[:100])
    with pytest.raises(TokenizerInvalid, match="no SentencePiece"):
        MoshiText.load(broken)
    broken.write_bytes(model)
    assert MoshiText.load(broken).card == MoshiText.parse(model).card


def test_a_tokenizer_without_padding_ids_is_refused() -> None:
    found = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(SENTENCES),
        model_writer=found,
        vocab_size=120,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(TokenizerInvalid, match="id 3 is a piece"):
        MoshiText.parse(found.getvalue())


def test_the_same_text_gives_the_same_tokenizer(model: bytes) -> None:
    assert train([*SENTENCES, "నా ఫోన్‌లో OTP 1930 రాలేదు, ఏం చేయాలి?"], 600) == model


def test_too_few_pieces_are_refused() -> None:
    with pytest.raises(ValueError, match="alphabet"):
        train(SENTENCES, 100)
