"""The loss of a Moshi in training, and that what it learns is what it says in a call."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from moshi.utils.compile import no_compile

from models import codec
from models.audio import to_float32
from models.duplex import DuplexEngine
from models.duplex_batch import Sampling
from models.moshi_config import build
from models.moshi_text import PADDING, MoshiText
from tests.training.tiny_dialogues import NoiseDialogues, write_codec
from tests.training.words import WORDS
from training.average import Average
from training.dialogues import intent_numbers
from training.moshi_batches import collate, row
from training.moshi_codes import CodedDialogues, Encoder
from training.moshi_hearing import ANSWER, write
from training.moshi_intents import wanted
from training.moshi_letters import spelled
from training.moshi_network import BEYOND, Batch, Trainee
from training.moshi_preset import LossWeights, Shape
from training.moshi_run import OUTER
from training.moshi_tokenizer import train
from training.optimizer import MuonAdamW

SHAPE = Shape(48, 2, 2, 40, 32, 1, 2)
STEPS = 100
pytestmark = pytest.mark.timeout(600)  # where every core is taken


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def text() -> MoshiText:
    return MoshiText.parse(train([f"{a} {b}" for a in WORDS for b in WORDS], 500))


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codec(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def batch(codec_folder: Path, text: MoshiText, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("codes")
    encoder = Encoder(NoiseDialogues(), "noise", codec_folder, folder)
    coded = CodedDialogues(encoder.encode(range(2)))
    rows = [row(dialogue, text, 2) for dialogue in coded]
    rng = np.random.default_rng(0)
    batch = collate(rows, ["priya", None], ["calm", None], rng=rng, share=1.0)
    letters, spans = spelled(coded)
    intents = wanted(coded, [r.shape[1] for r in rows])
    return dataclasses.replace(batch, letters=letters, spans=spans, wanted=intents)


@pytest.fixture
def trainee(text: MoshiText) -> Trainee:
    torch.manual_seed(1)
    return Trainee(build(SHAPE.config(text.card, 8, 16))).train()


def test_the_loss_is_the_published_one(trainee: Trainee, batch: Batch) -> None:
    """Written out with loops over positions, from the library's own logits and masks."""
    weights = LossWeights(hearing=0.0, user=0.0, letters=0.0, intent=0.0)
    losses = trainee.losses(batch, weights)
    with torch.no_grad(), no_compile():
        output = trainee.lm(batch.codes, trainee.conditions(batch.voices, batch.emotions))

    def weighted(logits, targets, mask, weight_of) -> float:
        total = size = 0.0
        for at in torch.nonzero(mask).tolist():
            target = targets[tuple(at)]
            weight = weight_of(at, int(target))
            total += weight * float(F.cross_entropy(logits[tuple(at)], target))
            size += weight
        return total / size

    text = weighted(
        output.text_logits,
        batch.codes[:, :1],
        output.text_mask,
        lambda at, token: 0.5 if token in (0, 3) else 1.0,
    )
    audio = weighted(
        output.logits,
        batch.codes[:, 1:9],
        output.mask,
        lambda at, token: 100.0 if at[1] == 0 else 1.0,
    )
    found = losses.items()
    assert found["text"] == pytest.approx(text, abs=1e-3)
    assert found["total"] == pytest.approx(text + audio, abs=1e-3)
    assert found["hearing"] == found["user"] == found["letters"] == found["intent"] == 0.0
    louder = dataclasses.replace(weights, text=5.0)
    total = trainee.losses(batch, louder).items()["total"]
    assert total == pytest.approx(5 * text + audio, abs=1e-3)


def test_codes_may_be_learnt_at_some_steps_only(trainee: Trainee, batch: Batch) -> None:
    weights = LossWeights()
    whole = trainee.losses(batch, weights).items()
    parts = [batch.frames[::2], batch.frames[1::2]]
    found = [trainee.losses(dataclasses.replace(batch, frames=p), weights).items() for p in parts]
    for name in ("text", "hearing", "user"):
        assert {figures[name] for figures in found} == {whole[name]}
    assert whole["first"] == pytest.approx(sum(f["first"] for f in found) / 2, rel=0.1)
    assert found[0]["first"] != found[1]["first"]


def test_what_lies_beyond_a_row_changes_nothing(trainee: Trainee, batch: Batch) -> None:
    longer = torch.full((*batch.codes.shape[:2], 32), BEYOND)
    heard = torch.full((2, 32), BEYOND)
    padded = Batch(
        torch.cat([batch.codes, longer], 2),
        torch.cat([batch.heard, heard], 1),
        torch.arange(64),
        batch.voices,
        batch.emotions,
        batch.letters,
        batch.spans,
        batch.wanted,
    )
    weights = LossWeights()
    for ours, theirs in zip(
        trainee.losses(batch, weights).items().values(),
        trainee.losses(padded, weights).items().values(),
        strict=True,
    ):
        assert ours == pytest.approx(theirs, abs=2e-4)


def test_every_part_learns_and_the_heads_reach_the_model(trainee: Trainee, batch: Batch) -> None:
    trainee.losses(batch, LossWeights()).total.backward()
    idle = [n for n, p in trainee.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
    trainee.zero_grad()
    trainee.losses(batch, LossWeights()).hearing.backward()
    moved = {n for n, p in trainee.named_parameters() if p.grad is not None and p.grad.any()}
    assert "lm.emb.8.weight" in moved  # the user's first codebook
    assert "lm.text_linear.weight" not in moved


def test_letters_are_learnt_from_the_users_codes(trainee: Trainee, batch: Batch) -> None:
    assert len(batch.spans) > 0
    trainee.losses(batch, LossWeights()).letters.backward()
    moved = {n for n, p in trainee.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"lm.emb.8.weight", "letter_head.weight"} <= moved
    assert "lm.text_linear.weight" not in moved
    without = trainee.losses(batch, LossWeights(letters=0.0)).items()
    assert without["letters"] == 0.0


def test_intents_are_asked_for_when_the_answer_begins(trainee: Trainee, batch: Batch) -> None:
    """The question ends with frame 7, the answer begins in frame 8: one step to know it."""
    number = intent_numbers()
    before_it = batch.wanted[batch.wanted[:, 1] <= 8]
    assert before_it.tolist() == [[0, 8, number["greet.hello"]], [1, 8, number["sum.add"]]]
    batch = dataclasses.replace(batch, wanted=before_it)
    trainee.losses(batch, LossWeights()).intent.backward()
    moved = {n for n, p in trainee.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"lm.emb.8.weight", "intent_head.weight"} <= moved
    other = batch.codes.clone()
    other[:, 9:, 8:] = (other[:, 9:, 8:] + 1) % trainee.lm.card  # what comes later
    changed = dataclasses.replace(batch, codes=other)
    before, after = (trainee.losses(b, LossWeights()).items()["intent"] for b in (batch, changed))
    assert before == after > 0


def test_hidden_inputs_are_not_seen(trainee: Trainee, batch: Batch) -> None:
    nothing = dataclasses.replace(batch, hidden=torch.ones_like(batch.codes, dtype=torch.bool))
    other = batch.codes.clone()
    other[:, 9:] = (other[:, 9:] + 1) % trainee.lm.card  # what the user said
    changed = dataclasses.replace(nothing, codes=other)
    weights = LossWeights()
    blind, deaf = (trainee.losses(b, weights).items()["text"] for b in (nothing, changed))
    assert blind == deaf
    assert trainee.losses(batch, weights).items()["text"] != blind


def test_some_frames_count_several_times(trainee: Trainee, batch: Batch) -> None:
    """Counted three times is as if a row's step were there three times."""
    weights = LossWeights(hearing=0.0, user=0.0, letters=0.0, intent=0.0)
    counts = torch.ones(batch.codes.shape[0], batch.codes.shape[2])
    plain = trainee.losses(batch, weights).items()
    even = trainee.losses(dataclasses.replace(batch, emphasis=counts), weights).items()
    assert even == pytest.approx(plain, abs=1e-3)
    one = torch.zeros_like(counts)
    one[0, 10] = 1.0
    alone = trainee.losses(dataclasses.replace(batch, emphasis=one), weights).items()
    counts[0, 10] = 3.0
    found = trainee.losses(dataclasses.replace(batch, emphasis=counts), weights).items()
    size = float((batch.codes[:, 1] != BEYOND).sum())  # targets of the agent's first codebook
    expected = (size * plain["first"] + 2 * alone["first"]) / (size + 2)
    assert found["first"] == pytest.approx(expected, abs=2e-3)
    assert found["text"] != plain["text"]


def test_voices_are_heard_by_the_loss(trainee: Trainee, batch: Batch) -> None:
    other = dataclasses.replace(batch, voices=("ravi", None))
    weights = LossWeights()
    assert trainee.losses(batch, weights).items() != trainee.losses(other, weights).items()


@pytest.mark.slow
def test_a_call_says_what_training_taught(
    trainee: Trainee, batch: Batch, codec_folder: Path
) -> None:
    """Learnt by heart, then spoken to through the engine: token by token, sample by sample.

    An off-by-one between the streams of training and those of a call could not pass this.
    """
    optimizer = MuonAdamW(trainee, 1e-2, outer=OUTER, weight_decay=0.0)
    weights = LossWeights(first_codebook=1.0, text_padding=1.0, letters=0.0, intent=0.0)
    found: dict[str, float] = {}
    for step in range(STEPS):
        optimizer.set_rate(1e-2 * min(1.0, (STEPS - step) / (STEPS / 2)))
        losses = trainee.losses(batch, weights)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found = losses.items()
    assert found["text"] < 0.02
    assert found["acoustic"] < 0.05
    trainee.eval()
    mimi = codec.load(codec_folder)
    engine = DuplexEngine(mimi, trainee.lm, slots=2, sampling=Sampling(greedy=True))
    calls = [engine.join("priya", "calm"), engine.join()]
    users = [to_float32(NoiseDialogues().dialogue(number).user) for number in range(2)]
    frames = len(users[0]) // engine.frame_size
    for tick in range(frames + 1):
        for call, user in zip(calls, users, strict=True):
            call.push(user[tick * engine.frame_size : (tick + 1) * engine.frame_size])
        engine.tick()
    heard = [call.take() for call in calls]
    engine.close()
    for place in range(2):
        tokens = [frame.text_token for frame in heard[place]]
        assert tokens == batch.codes[place, 0, :frames].tolist()
        agent = batch.codes[place, 1:9, :frames].numpy()
        pcm = np.concatenate([frame.pcm for frame in heard[place]])
        np.testing.assert_allclose(pcm, codec.pcm_of(mimi, agent), atol=1e-3)


def test_an_average_is_swapped_in_and_out(trainee: Trainee) -> None:
    average = Average(trainee, keep=0.9)
    before = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    with torch.no_grad():
        for parameter in trainee.parameters():
            parameter.add_(1.0)
    average.follow(1000)
    after = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    with average.applied():
        for name, parameter in trainee.named_parameters():
            torch.testing.assert_close(parameter.detach(), before[name] + 0.1)
    with average.applied(torch.bfloat16):
        assert {p.dtype for p in trainee.parameters()} == {torch.bfloat16}
    for name, parameter in trainee.named_parameters():
        assert torch.equal(parameter.detach(), after[name])


def test_what_it_writes_is_what_it_would_learn_to_write(trainee: Trainee) -> None:
    """Frame by frame it reads what the loss gives it at once: its own text, the questions' codes.

    A question's text does not depend on those beside it.
    """
    rng = np.random.default_rng(4)
    heard = [rng.integers(0, 16, (8, frames)) for frames in (9, 14)]
    trainee.eval()
    written = write(trainee, heard)
    longest = 14 + ANSWER
    assert [len(tokens) for tokens in written] == [longest, longest]
    for tokens, question in zip(written, heard, strict=True):
        codes = torch.full((1, 17, longest), BEYOND)
        codes[0, 9:, : question.shape[1]] = torch.from_numpy(question)
        codes[0, 0] = torch.tensor(tokens)
        given = trainee.delayed(codes)[:, :, :-1]
        conditions, fuser = trainee.conditions((None,), (None,)), trainee.lm.fuser
        assert conditions is not None
        assert fuser is not None
        fused = fuser.get_sum(conditions)
        with torch.no_grad(), no_compile():
            _, logits = trainee.lm.forward_text(given, fused)
        assert logits[0, 0].argmax(-1).tolist() == tokens
    assert len(set(written[0])) > 3


def test_who_would_write_nothing_is_made_to_begin(trainee: Trainee) -> None:
    always = torch.nn.Linear(trainee.lm.dim, trainee.lm.text_card)
    always.weight.data.zero_()
    always.bias.data.zero_()[PADDING] = 6.0
    trainee.lm.text_linear = always
    rng = np.random.default_rng(4)
    heard = [rng.integers(0, 16, (8, frames)) for frames in (9, 14)]
    for tokens, question in zip(write(trainee.eval(), heard), heard, strict=True):
        assert [n for n, token in enumerate(tokens) if token != PADDING] == [question.shape[1]]
