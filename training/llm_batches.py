"""What one training step reads: batch number n is a function of the seed and n alone.

Conversations are composed while training, never twice the same. Knows nothing of the network.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from training.dialogues import Composer, Conversation, Split, intent_numbers, template_words
from training.llm_preset import Preset
from training.llm_tokenizer import BOS, EOS, PAD, ROLES, SPECIAL

IGNORED = -100  # the label cross_entropy skips
PAD_ID = SPECIAL.index(PAD)
_POOL = 8  # batches drawn together and cut by length, so that little is padded


@dataclass(frozen=True)
class Row:
    """One conversation as the network reads it, T tokens."""

    ids: list[int]
    labels: list[int]  # IGNORED, or the token that is learned here
    intents: list[int]  # IGNORED, or where an answer begins, the number of what is answered


@dataclass(frozen=True)
class Batch:
    """B conversations of similar length, padded on the right."""

    ids: torch.Tensor  # int64 [B, T]
    labels: torch.Tensor  # int64 [B, T]
    intents: torch.Tensor  # int64 [B, T]

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        return Batch(self.ids.to(device), self.labels.to(device), self.intents.to(device))


class Encoder:
    """Conversations as rows, the caller's words split at random."""

    def __init__(self, tokenizer: Tokenizer, piece_dropout: float, context: int) -> None:
        self._exact = tokenizer
        # Names and numbers keep their pieces: the answer copies them piece by piece.
        self._splittable = template_words() if piece_dropout else frozenset[str]()
        self._loose = Tokenizer.from_str(tokenizer.to_str())
        if piece_dropout:
            self._loose.model.dropout = piece_dropout  # pyright: ignore[reportAttributeAccessIssue]
        self._context = context
        self._id = {token: SPECIAL.index(token) for token in (BOS, EOS, *ROLES.values())}
        self._intents = intent_numbers()

    def encode(self, talk: Conversation) -> Row:
        """The ids the chat template gives (when no piece is dropped), and what is learned."""
        row = Row([self._id[BOS]], [IGNORED], [IGNORED])
        if talk.system:
            self._say(row, "system", talk.system)
        if talk.opening:
            self._say(row, "assistant", talk.opening)
        for turn in talk.turns:
            asked = self._say(row, "user", turn.user)
            if not (asked and self._say(row, "assistant", turn.reply, turn.intent.id)):
                break
        return row

    def _say(self, row: Row, role: str, text: str, intent: str = "") -> bool:
        """Appends a message if the context holds it."""
        words = self._split(text, loose=role == "user")
        turn = [self._id[ROLES[role]], *words, self._id[EOS]]
        if len(row.ids) + len(turn) > self._context:
            return False
        row.ids.extend(turn)
        learned = turn[1:] if role == "assistant" else [IGNORED] * len(turn[1:])
        row.labels.extend([IGNORED, *learned])
        row.intents.extend([self._intents.get(intent, IGNORED), *[IGNORED] * len(turn[1:])])
        return True

    def _split(self, text: str, loose: bool) -> list[int]:
        if not (loose and self._splittable):
            return self._exact.encode(text, add_special_tokens=False).ids
        ids: list[int] = []
        for word in text.split():  # pieces never cross a space
            tokenizer = self._loose if word in self._splittable else self._exact
            ids += tokenizer.encode(word, add_special_tokens=False).ids
        return ids


def batches(preset: Preset, encoder: Encoder, split: Split, first: int = 0) -> Iterator[Batch]:
    """Ids and labels `[B, T]`, endless; batch `first` onwards of the seed's own sequence."""
    pool = first // _POOL
    skip = first % _POOL
    while True:
        seed = preset.seed * 1_000_003 + pool
        short = split == "train" and pool * _POOL < preset.short_share * preset.steps
        turns = min(2, preset.turns) if short else preset.turns
        composer = Composer(seed, split, prompted=0.35 if short else 0.95)
        rows_a_batch = preset.batch * (5 if short else 1)  # about as many tokens either way
        talks = [composer.conversation(turns) for _ in range(_POOL * rows_a_batch)]
        rows = sorted((encoder.encode(talk) for talk in talks), key=lambda row: len(row.ids))
        cuts = [rows[at : at + rows_a_batch] for at in range(0, len(rows), rows_a_batch)]
        random.Random(seed).shuffle(cuts)
        for cut in cuts[skip:]:
            yield collate(cut)
        pool, skip = pool + 1, 0


def collate(rows: list[Row]) -> Batch:
    """Rows -> a batch."""
    longest = max(len(row.ids) for row in rows)

    def padded(lists: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([line + [filler] * (longest - len(line)) for line in lists])

    return Batch(
        padded([row.ids for row in rows], PAD_ID),
        padded([row.labels for row in rows], IGNORED),
        padded([row.intents for row in rows], IGNORED),
    )
