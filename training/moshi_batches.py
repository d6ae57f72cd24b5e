"""What one training step of a Moshi reads: batch number n is a function of the seed and n alone.

That makes a killed run resume with exactly the batches it would have had. An epoch is one set of
dialogues, shuffled, gathered into batches of similar length. Knows nothing of the network.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from models.moshi_text import MoshiText
from training.dialogues import load
from training.moshi_codes import UNHEARD, CodedDialogue
from training.moshi_intents import wanted
from training.moshi_letters import spelled
from training.moshi_network import BEYOND, Batch
from training.moshi_preset import Preset
from training.moshi_stops import emphasis
from training.moshi_streams import heard, interleave, said, whole

FRAME_STEP = 32  # rows are padded to a multiple: CPU kernels are compiled per shape


def row(dialogue: CodedDialogue, text: MoshiText, hearing_delay: int) -> np.ndarray:
    """int64 [2 + 2 K, S]: the agent's text, both sides' codes, and the user's words.

    Raises TextDoesNotFit for a dialogue that ends before the agent's text does; the user's last
    words may come too late to be named.
    """
    frames = dialogue.codes.shape[1]
    agent = whole(said(dialogue.agent_words, text, dialogue.asked), frames)
    user = interleave(heard(dialogue.user_words, text, hearing_delay), frames, announce=False)
    return np.concatenate([agent[None], dialogue.codes.astype(np.int64), user.tokens[None]])


def listening_row(
    dialogue: CodedDialogue, text: MoshiText, hearing_delay: int, frames: int
) -> np.ndarray:
    """The same of a question that is heard and of what is written then, `frames` in all.

    BEYOND stands where nobody encoded anything: the agent's codes, and the user's after the
    question. It is neither read nor learnt.
    """
    heard_frames = dialogue.codes.shape[1]
    found = np.full((len(dialogue.codes) + 2, frames), BEYOND, np.int64)
    found[0] = interleave(said(dialogue.agent_words, text, dialogue.asked), frames).tokens
    codes = dialogue.codes.astype(np.int64)
    found[1:-1, :heard_frames] = np.where(codes == UNHEARD, BEYOND, codes)
    words = heard(dialogue.user_words, text, hearing_delay)
    found[-1] = interleave(words, frames, announce=False).tokens
    return found


def learnt_frames(dialogue: CodedDialogue, answer: int) -> int:
    """How many frames of a heard question are read: until it is over, and `answer` of what is
    written; all of an answer that repeats or computes, for its words come from what was heard, and
    a sum's result comes last."""
    first = load().get(dialogue.asked[0].intent) if dialogue.asked else None
    if first is not None and first.filled:
        return dialogue.frames
    return min(dialogue.frames, dialogue.codes.shape[1] + answer)


class EpochBatches(Sequence[Batch]):
    """The batches of one epoch, by number."""

    def __init__(
        self,
        dialogues: Sequence[CodedDialogue],
        frames: np.ndarray,
        text: MoshiText,
        preset: Preset,
        epoch: int,
        *,
        listening: bool = False,
    ) -> None:
        """`frames` [N] are the dialogues' lengths; `listening`: they are heard questions."""
        self._dialogues, self._text, self._preset = dialogues, text, preset
        self._listening = listening
        if listening:
            answer = preset.listening.answer
            frames = np.array([learnt_frames(dialogue, answer) for dialogue in dialogues])
        self._seed = (preset.seed, epoch)
        part = preset.listening if listening else preset
        self._plan = plan(frames, part.frames_per_batch, np.random.default_rng(self._seed))

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> Batch:  # pyright: ignore
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of {len(self)}")
        rng = np.random.default_rng((*self._seed, number))
        chosen = [self._dialogues[index] for index in self._plan[number]]
        preset = self._preset
        rows = [self._row(dialogue) for dialogue in chosen]
        batch = collate(
            rows,
            [_perhaps(dialogue.voice, preset.no_voice, rng) for dialogue in chosen],
            [_perhaps(dialogue.emotion, preset.no_emotion, rng) for dialogue in chosen],
            rng=rng,
            share=0.0 if self._listening else preset.depth_share,
        )
        hidden, share = None, preset.listening.hidden if self._listening else preset.hidden
        if share:
            hidden = torch.from_numpy(rng.random(batch.codes.shape) < share)
        letters, spans = spelled(chosen)
        intents = wanted(chosen, [row.shape[1] for row in rows])
        counts, stopping = None, preset.weights.stopping
        if stopping != 1.0 and not self._listening:  # where nobody is interrupted
            counts = emphasis(chosen, batch.codes.shape[2], stopping)
        return dataclasses.replace(
            batch, letters=letters, spans=spans, wanted=intents, hidden=hidden, emphasis=counts
        )

    def _row(self, dialogue: CodedDialogue) -> np.ndarray:
        delay = self._preset.hearing_delay
        if self._listening:
            frames = learnt_frames(dialogue, self._preset.listening.answer)
            return listening_row(dialogue, self._text, delay, frames)
        return row(dialogue, self._text, delay)


class Shuffled(Sequence[Batch]):
    """The batches of several parts of an epoch, by number."""

    def __init__(self, parts: Sequence[Sequence[Batch]], seed: int, epoch: int) -> None:
        self._places = [(part, number) for part in parts for number in range(len(part))]
        np.random.default_rng((seed, epoch, 1)).shuffle(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Batch:  # pyright: ignore
        part, place = self._places[number]
        return part[place]


def in_order(batches: Sequence[Batch], first: int, processes: int) -> Iterator[Batch]:
    """The batches of an epoch from number `first` on, made ahead by so many processes, or none.

    A GPU is done with a batch sooner than one core has written the next.
    """
    numbers = range(first, len(batches))
    if not processes:
        return (batches[number] for number in numbers)
    return iter(
        DataLoader(
            batches,  # pyright: ignore[reportArgumentType]
            batch_size=None,
            sampler=numbers,
            num_workers=processes,
            prefetch_factor=4,
            collate_fn=_as_it_is,  # pyright: ignore[reportArgumentType]
        )
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch


def plan(frames: np.ndarray, per_batch: int, rng: np.random.Generator) -> list[list[int]]:
    """Indices of each batch of an epoch: similar lengths together, batches in random order."""
    order = np.argsort(-frames * rng.uniform(0.9, 1.1, len(frames)), kind="stable")
    batches: list[list[int]] = []
    at = 0
    while at < len(order):
        # The longest of the next few is not always the first: the order is jittered.
        width = round_up(int(frames[order[at : at + 64]].max()))
        rows = max(1, per_batch // width)
        batches.append([int(index) for index in order[at : at + rows]])
        at += rows
    rng.shuffle(batches)
    return batches


def collate(
    rows: list[np.ndarray],
    voices: list[str | None],
    emotions: list[str | None],
    *,
    rng: np.random.Generator,
    share: float,
) -> Batch:
    """Rows [2 + 2 K, S] -> a batch, padded with BEYOND; codes are learnt at `share` of steps."""
    width = round_up(max(r.shape[1] for r in rows))
    stacked = np.full((len(rows), rows[0].shape[0], width), BEYOND, np.int64)
    for place, r in zip(stacked, rows, strict=True):
        place[:, : r.shape[1]] = r
    together = torch.from_numpy(stacked)
    count = max(1, round(share * width)) if share else 0
    frames = torch.from_numpy(np.sort(rng.choice(width, count, replace=False)))
    return Batch(together[:, :-1], together[:, -1], frames, tuple(voices), tuple(emotions))


def round_up(frames: int) -> int:
    """To the next width that rows are padded to."""
    return -(-frames // FRAME_STEP) * FRAME_STEP


def _perhaps(name: str, missing: float, rng: np.random.Generator) -> str | None:
    """The name; nothing when it is not known, and now and then, so that calls may leave it out."""
    return name if rng.random() >= missing and name else None
