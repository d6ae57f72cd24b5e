"""Answers as text alone: no sound, no caller, every word, and the intent before the first."""

import random
import re

import pytest
import torch

from models.moshi_config import build
from models.moshi_text import END_OF_PADDING, PADDING, MoshiText
from models.telugu.numbers import cardinal
from training.dialogues import Composer, intent_numbers
from training.moshi_network import BEYOND, Trainee
from training.moshi_preset import PRESETS, LossWeights
from training.moshi_tokenizer import train
from training.moshi_written import WrittenBatches, written


@pytest.fixture(scope="module")
def text() -> MoshiText:
    composer = Composer(0, noise=0.0, prompted=0.0)
    turns = [turn for _ in range(300) for turn in composer.conversation(6).turns]
    said = [text for t in turns for text in (t.user, t.reply)]
    return MoshiText.parse(train(said, 2_000, tuple(intent_numbers())))


def test_an_answer_is_whole_and_announced(text: MoshiText) -> None:
    reply = "ఆరు, రెండు కలిపితే ఎనిమిది."
    stream = written("sum.add", reply, text, random.Random(1))
    assert text.decode(stream) == reply
    assert text.intent(stream) == "sum.add"
    spoken = (stream != PADDING).nonzero()[0]
    assert stream[spoken[0]] == text.intents["sum.add"]
    assert spoken[0] >= 2
    # Four words at a speaker's speed: about as long as espeak takes, with marks between them.
    assert 20 < spoken[-1] - spoken[0] < 50
    assert (stream == END_OF_PADDING).sum() >= 2
    assert stream[0] == stream[-1] == PADDING
    assert text.intent(written("nobody.knows", reply, text, random.Random(1))) == ""


def test_most_are_sums_and_add_up(text: MoshiText) -> None:
    stream = [row for batch in WrittenBatches(text, 16, 3_200, 4, (2, 0)) for row in batch.codes]
    replies = [(text.intent(row[0].tolist()), text.decode(row[0].tolist())) for row in stream]
    sums = [reply for intent, reply in replies if intent.startswith("sum.")]
    assert 0.5 < len(sums) / len(replies) < 0.8
    words = {cardinal(number): number for number in range(101)}
    products = [reply for reply in sums if "గుణిస్తే" in reply]
    assert len(products) > 10
    for reply in products:
        factors, result = reply.removesuffix(".").split(" గుణిస్తే ")
        first, second = factors.split(", ")
        assert words[first] * words[second] == words[result]


def test_what_counts_more_is_a_sums_result(text: MoshiText) -> None:
    batch = WrittenBatches(text, 16, 4_800, 1, (2, 0))[0]
    assert batch.emphasis is not None
    assert batch.emphasis.shape == batch.codes[:, 0].shape
    told = 0
    for row, counts in zip(batch.codes[:, 0], batch.emphasis, strict=True):
        if not text.intent(row.tolist()).startswith("sum."):
            assert (counts == 1).logical_or(row < 0).all()
            continue
        result = re.split("కలిపితే|తీసేస్తే|గుణిస్తే|భాగిస్తే|సగం", text.decode(row.tolist()))[-1]
        assert text.decode(row[counts > 1].tolist()) == result.strip()
        told += " " in result.strip()
    assert told  # a result of two words, which counts whole


def test_batches_are_text_alone_and_the_same_again(text: MoshiText) -> None:
    batches, again = (WrittenBatches(text, 16, 800, 3, (1, 0)) for _ in range(2))
    other = WrittenBatches(text, 16, 800, 3, (1, 1))
    assert [batch.codes.shape[1] for batch in batches] == [17] * 3
    for number, batch in enumerate(batches):
        rows, _, width = batch.codes.shape
        assert 400 <= rows * width <= 800
        assert (batch.codes[:, 1:] == BEYOND).all()
        assert (batch.heard == BEYOND).all()
        assert len(batch.frames) == len(batch.spans) == len(batch.wanted) == 0
        assert torch.equal(batch.codes, again[number].codes)
        assert not torch.equal(batch.codes[:1, 0, :30], other[number].codes[:1, 0, :30])
    assert not torch.equal(batches[0].codes, batches[1].codes)
    with pytest.raises(IndexError):
        batches[3]


def test_only_the_text_is_learnt_of_them(text: MoshiText) -> None:
    network = Trainee(build(PRESETS["tiny"].shape.config(text.card, 8, 16)))
    losses = network.losses(WrittenBatches(text, 16, 320, 1, (1, 0))[0], LossWeights())
    told = losses.items()
    assert told.pop("total") == pytest.approx(told.pop("text"), abs=1e-3)
    assert not any(told.values())
    losses.total.backward()
    head = network.lm.text_linear.weight.grad
    assert head is not None
    assert head.abs().sum() > 0
