"""Answers as text alone: what a Moshi writes once it knows what the caller wants.

An answer's dozen words cost two hundred frames of sound to learn, and a model that named the intent
rightly still mixed up answers and sums. Without sound the depformer, which costs a step the most,
has nothing to do. The words are as far apart as spoken ones. Two answers of three are sums: there
are some 350 of them, each a fact of its own, and in talk any one of them seldom comes up. Knows
nothing of codecs or networks.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from models.moshi_text import END_OF_PADDING, PADDING, MoshiText
from training.dialogues import Composer, Intent, load
from training.dialogues.compose import Turn
from training.dialogues.intents import slot_names
from training.dialogues.slots import draw, moment
from training.moshi_batches import collate, round_up
from training.moshi_network import BEYOND, Batch
from training.moshi_streams import TimedTokens, interleave

LETTERS_A_FRAME = 0.83  # code points of espeak's Telugu at the dialogues' speed
_SPREAD = 0.15  # of it, between answers
# Frames before an answer. Never none: the first frame of a call is the same with and without sound.
_BEFORE = (3, 6)
_BEHIND = 4
_SUMS = 2 / 3  # of the answers
_RESULT = 4.0  # that a sum's result counts, against 1 for what was asked


class WrittenBatches(Sequence[Batch]):
    """Batches of answers, by number; no two epochs have the same."""

    def __init__(
        self, text: MoshiText, streams: int, frames: int, count: int, place: tuple[int, int]
    ) -> None:
        """`count` batches of `frames`, with 2 K `streams` of codes that nobody hears; the same ones
        for the same `place`: a seed and an epoch."""
        self._text, self._streams, self._frames = text, streams, frames
        self._count, self._place = count, place

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Batch:  # pyright: ignore
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        rng = random.Random(repr((*self._place, number)))
        answers = self._answers(rng)
        rows: list[np.ndarray] = []
        results: list[int] = []
        width = 0
        while True:
            row, result = next(answers)
            width = max(width, round_up(row.shape[1]))
            if rows and width * (len(rows) + 1) > self._frames:
                break
            rows.append(row)
            results.append(result)
        nobody: list[str | None] = [None] * len(rows)
        # No code is learnt, so none is chosen.
        batch = collate(rows, nobody, nobody, rng=np.random.default_rng(0), share=0.0)
        return replace(batch, emphasis=_emphasis(results, batch.codes.shape[2]))

    def _answers(self, rng: random.Random) -> Iterator[tuple[np.ndarray, int]]:
        """Without end, rows int64 [2 + 2 K, S] for `collate`, of which only the text is there, and
        the frame of the result's first token, or the row's end."""
        for turn in _turns(rng):
            tokens = written(turn.intent.id, turn.reply, self._text, rng)
            row = np.full((2 + self._streams, len(tokens)), BEYOND, np.int64)
            row[0] = tokens
            yield row, self._result(turn, tokens)

    def _result(self, turn: Turn, tokens: np.ndarray) -> int:
        if not _is_sum(turn.intent):
            return len(tokens)
        last = slot_names(turn.intent.reply[0])[-1]  # every sum is answered in one way
        words = turn.reply.split()[-len(turn.slots[last].split()) :]
        count = sum(len(self._text.encode(word)) for word in words)
        said = np.flatnonzero((tokens != PADDING) & (tokens != END_OF_PADDING))
        return int(said[-count])


def _emphasis(results: Sequence[int], width: int) -> Tensor:
    """float32 [B, width], for every step of the rows: a sum's result counts several times."""
    steps = torch.arange(width)[None]
    return torch.where(steps >= torch.tensor(results)[:, None], _RESULT, 1.0)


def _is_sum(intent: Intent) -> bool:
    return intent.id.startswith("sum.") and intent.filled


def _turns(rng: random.Random) -> Iterator[Turn]:
    """Without end, what is asked for and what is answered."""
    composer = Composer(rng.randrange(2**32), noise=0.0, prompted=0.0)
    sums = [intent for intent in load().values() if _is_sum(intent)]
    weights = [intent.weight for intent in sums]
    while True:
        for turn in composer.conversation().turns:
            while rng.random() < _SUMS:
                yield composer.turn(rng.choices(sums, weights)[0], draw(rng, moment(rng)))
            if turn.intent.spoken:  # the others are what a recogniser makes of noise
                yield turn


def written(intent: str, reply: str, text: MoshiText, rng: random.Random) -> np.ndarray:
    """The text stream of an answer, int64 [S]: padding, the intent's piece, words and gaps."""
    speed = LETTERS_A_FRAME * rng.uniform(1 - _SPREAD, 1 + _SPREAD)
    at = float(rng.randint(*_BEFORE))
    words: list[TimedTokens] = []
    for word in reply.split():
        words.append(TimedTokens(int(at), tuple(text.encode(word))))
        at += len(word) / speed
    words[0] = replace(words[0], announced=text.intents.get(intent, END_OF_PADDING))
    # Words of more tokens than frames are late: there is room for all of them.
    tokens = interleave(words, int(at) + sum(len(word.tokens) for word in words)).tokens
    last = int(np.flatnonzero(tokens != PADDING)[-1])
    return np.pad(tokens[: last + 1], (0, _BEHIND), constant_values=PADDING)
