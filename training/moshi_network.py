"""A Moshi in training: the library's model, heads that help it hear, and the loss.

The steps are those of `LMModel.forward` (moshi/models/lm.py, 0.2.13), whose pieces are called here
because it hands out neither its state nor a part of the frames; like the model in a call they see
codes delayed. The heads read the temporal transformer's state: one spells the user's words while
they are said, one names them a moment after they are over, one foretells the user's next first
code, one names what the user wants when they have said it. They teach the model to listen and are
left behind on export. Knows nothing of data or optimizers.
"""

from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from moshi.conditioners.base import ConditionAttributes, ConditionTensors
from moshi.models.lm import LMModel
from moshi.models.lm_utils import _delay_sequence
from moshi.utils.compile import no_compile
from torch import Tensor, nn

from models.moshi_text import END_OF_PADDING, PADDING
from training.asr_tokenizer import LETTER_COUNT
from training.codec_letters import A_FRAME
from training.codec_losses import word_loss
from training.dialogues import intent_numbers
from training.moshi_preset import LossWeights
from training.moshi_teacher import Teacher, distance

BEYOND = -1  # `LMModel.zero_token_id`: no input and no target, after a row's end


@dataclass(frozen=True)
class Batch:
    """B rows of dialogue, T frames each."""

    codes: Tensor  # int64 [B, 1 + 2 K, T]: text, the agent's codes, the user's codes; or BEYOND
    heard: Tensor  # int64 [B, T]: the user's words as text tokens; BEYOND after the row
    frames: Tensor  # int64 [M]: the steps whose codes are learnt; none while it only listens
    voices: tuple[str | None, ...]
    emotions: tuple[str | None, ...]
    # Of the users' words, as `moshi_letters.spelled` gives them; none are asked for without.
    letters: Tensor = field(default_factory=lambda: torch.zeros(0, 1, dtype=torch.int64))
    spans: Tensor = field(default_factory=lambda: torch.zeros(0, 4, dtype=torch.int64))
    # As `moshi_intents.wanted` gives them; none are asked for without.
    wanted: Tensor = field(default_factory=lambda: torch.zeros(0, 3, dtype=torch.int64))
    hidden: Tensor | None = None  # bool [B, 1 + 2 K, T]: inputs that the model does not get
    emphasis: Tensor | None = None  # float32 [B, T]: how often what a step writes counts; 1 without

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        codes, heard, frames = (p.to(device) for p in (self.codes, self.heard, self.frames))
        letters, spans, wanted = (p.to(device) for p in (self.letters, self.spans, self.wanted))
        hidden = None if self.hidden is None else self.hidden.to(device)
        emphasis = None if self.emphasis is None else self.emphasis.to(device)
        given = (letters, spans, wanted, hidden, emphasis)
        return Batch(codes, heard, frames, self.voices, self.emotions, *given)


@dataclass(frozen=True)
class Losses:
    """Nats a target; `total` is what is stepped along."""

    total: Tensor
    text: Tensor
    first: Tensor  # of the agent's first codebook
    acoustic: Tensor  # of its others
    hearing: Tensor
    user: Tensor
    letters: Tensor  # nats a letter
    taught: Tensor  # nats a frame
    intent: Tensor

    def items(self) -> dict[str, float]:
        """Every loss as a number."""
        return {name: round(float(value.detach()), 4) for name, value in vars(self).items()}


class Trainee(nn.Module):
    """The language model with its training-only heads."""

    def __init__(self, lm: LMModel, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.lm, self.teacher = lm, teacher
        self.hearing_head = nn.Linear(lm.dim, lm.text_card, bias=False)
        self.user_head = nn.Linear(lm.dim, lm.card, bias=False)
        self.letter_head = nn.Linear(lm.dim, A_FRAME * LETTER_COUNT)
        self.intent_head = nn.Linear(lm.dim, len(intent_numbers()))

    def conditions(
        self, voices: tuple[str | None, ...], emotions: tuple[str | None, ...]
    ) -> ConditionTensors | None:
        """The embedded voices and emotions; None for a model without them."""
        provider = self.lm.condition_provider
        if provider is None:
            return None
        given = {"voice": voices, "emotion": emotions}
        unknown: tuple[None, ...] = (None,) * len(voices)
        columns = [given.get(name, unknown) for name in provider.conditioners]
        return provider.prepare_and_provide(
            [
                ConditionAttributes(text=dict(zip(provider.conditioners, row, strict=True)))
                for row in zip(*columns, strict=True)
            ]
        )

    def delayed(self, codes: Tensor) -> Tensor:
        """int64 [B, 1 + 2 K, T] -> [.., T + 1] as the model steps through it: step t reads column
        t and learns column t + 1."""
        initial = self._initial(len(codes))
        return torch.cat([initial, _delay_sequence(self.lm.delays, codes, initial)], 2)

    def _initial(self, rows: int) -> Tensor:
        return self.lm._get_initial_token().expand(rows, -1, -1)

    def losses(self, batch: Batch, weights: LossWeights) -> Losses:
        """The loss of a batch, each part a weighted mean over its targets.

        The text's and the audio's means are the published ones (Kyutai's moshi-finetune,
        finetune/loss.py): sums over weights of what counts, text padding and first codebook
        weighted; only the agent's own streams are learnt.
        """
        # On a CPU the library's torch.compile costs half a minute at first use and gains nothing.
        with no_compile() if batch.codes.device.type == "cpu" else nullcontext():
            return self._losses(batch, weights)

    def _losses(self, batch: Batch, weights: LossWeights) -> Losses:
        lm, own = self.lm, self.lm.dep_q
        delayed = self.delayed(batch.codes)
        target = delayed[:, :, 1:]  # [B, 1 + 2 K, T]
        known = (target != BEYOND) & (target != self._initial(len(target)))
        conditions = self.conditions(batch.voices, batch.emotions)
        fused = None if conditions is None or lm.fuser is None else lm.fuser.get_sum(conditions)
        given = delayed[:, :, :-1]
        if batch.hidden is not None:
            given = given.masked_fill(batch.hidden, BEYOND)
        state, text_logits = lm.forward_text(given, fused)  # [B, T, dim]
        counts = batch.emphasis
        if counts is None:
            counts = torch.ones(target.shape[0], target.shape[2], device=target.device)
        text = _text_loss(
            text_logits[:, 0], target[:, 0], known[:, 0], weights.text_padding, counts
        )
        total = weights.text * text
        first = acoustic = hearing = user = letters = taught = intent = torch.zeros_like(text)
        at = batch.frames
        if len(at):
            logits = lm.forward_depformer_training(target[:, :, at], state[:, at])
            agent, valid = target[:, 1 : 1 + own, at], known[:, 1 : 1 + own, at]
            every = counts[:, None, at].expand_as(valid)  # of each codebook
            first = _mean(logits[:, 0], agent[:, 0], valid[:, 0], every[:, 0])  # [B, K, M, card]
            acoustic = _mean(logits[:, 1:], agent[:, 1:], valid[:, 1:], every[:, 1:])
            heavy = weights.first_codebook * valid[:, 0].sum()
            light = valid[:, 1:].sum()
            codes = (heavy * first + light * acoustic) / (heavy + light).clamp(min=1)
            total = total + codes
        if weights.letters:
            spread = self.letter_head(state).unflatten(2, (A_FRAME, LETTER_COUNT))
            spread = spread.float().log_softmax(-1)
            letters = word_loss(spread.flatten(1, 2), batch.letters, batch.spans)
            total = total + weights.letters * letters
            if weights.taught and self.teacher:
                taught = distance(spread, *self.teacher.spell(batch.codes[:, 1 + own]))
                total = total + weights.taught * taught
        if weights.hearing:
            hearing = _text_loss(
                self.hearing_head(state), batch.heard, batch.heard != BEYOND, weights.text_padding
            )
            total = total + weights.hearing * hearing
        if weights.user:
            user = _mean(self.user_head(state), target[:, 1 + own], known[:, 1 + own])
            total = total + weights.user * user
        if weights.intent and len(batch.wanted):
            rows, steps, intents = batch.wanted.unbind(1)
            logits = self.intent_head(state[rows, steps]).float()
            intent = F.cross_entropy(logits, intents)
            total = total + weights.intent * intent
        return Losses(total, text, first, acoustic, hearing, user, letters, taught, intent)


def _text_loss(
    logits: Tensor, targets: Tensor, mask: Tensor, padding: float, counts: Tensor | None = None
) -> Tensor:
    """[B, T, card], [B, T], [B, T] -> the mean in which padding counts less; `counts` [B, T]."""
    targets = targets[mask]
    silent = (targets == PADDING) | (targets == END_OF_PADDING)
    weights = torch.where(silent, padding, 1.0)
    if counts is not None:
        weights = weights * counts[mask]
    losses = F.cross_entropy(logits[mask].float(), targets, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


def _mean(logits: Tensor, targets: Tensor, mask: Tensor, counts: Tensor | None = None) -> Tensor:
    """[..., card], [...], [...] -> mean cross-entropy where the mask is set, 0 where nothing is;
    each counts as often as `counts` [...] says."""
    losses = F.cross_entropy(logits[mask].float(), targets[mask], reduction="none")
    weights = torch.ones_like(losses) if counts is None else counts[mask]
    return (losses * weights).sum() / weights.sum().clamp(min=1)
