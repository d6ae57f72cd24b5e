"""What one training step hears: batch number n is a function of the seed and n alone.

That makes a killed run resume with exactly the batches it would have had. An epoch is one set of
renditions (every sentence once, each in a voice drawn for that set), shuffled, then gathered into
batches of similar length, so that little is padding. Knows nothing of the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.mel import BANDS, HOP, SAMPLE_RATE, log_mel, pad_frames
from training.asr_network import IGNORE, Batch
from training.asr_tokenizer import letter_ids
from training.noise import augment, non_speech
from training.utterances import Renditions

FRAME_STEP = 20  # served windows are padded to a multiple of 200 ms
BATCH_STEP = 40  # and those of a batch to a multiple of 400 ms
TOKEN_STEP = 8


@dataclass(frozen=True)
class Vocabulary:
    """The ids the decoder's prompt and targets are made of."""

    end: int
    start: int
    no_timestamps: int
    no_speech: int


def plan_epoch(
    lengths: np.ndarray, frames_per_batch: int, rng: np.random.Generator, *, short_first: bool
) -> list[list[int]]:
    """Indices of each batch of an epoch: similar lengths together, batches in random order.

    Windows of one length always come in the same number of rows: CPU kernels are compiled per
    shape, and a shape met for the first time costs more than the step itself. `short_first` keeps
    the batches in order of length, from which CTC finds its alignment soonest (SortaGrad, Amodei
    et al. 2016).
    """
    order = np.argsort(-lengths * rng.uniform(0.9, 1.1, len(lengths)))
    batches: list[list[int]] = []
    at = 0
    while at < len(order):
        window = round_up(int(lengths[order[at]]) // HOP + 60, BATCH_STEP)  # 0.6 s of silence
        rows = max(1, frames_per_batch // window)
        batches.append([int(index) for index in order[at : at + rows]])
        at += rows
    if short_first:
        return batches[::-1]
    rng.shuffle(batches)
    return batches


def round_up(number: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-number // step) * step


def mask_bands(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SpecAugment (Park et al. 2019): hides two groups of bands and a few short moments."""
    mel = mel.copy()
    mean = float(mel.mean())
    for _ in range(2):
        width = int(rng.integers(0, 16))
        first = int(rng.integers(0, BANDS - width))
        mel[first : first + width] = mean
    for _ in range(max(1, mel.shape[1] // 150)):
        width = int(rng.integers(0, 12))
        first = int(rng.integers(0, max(1, mel.shape[1] - width)))
        mel[:, first : first + width] = mean
    return mel


@dataclass(frozen=True)
class Spoken:
    """What the network is to write for one sound; None: nothing was said."""

    text: str | None
    pieces: list[int]
    ends: list[int]  # of each piece, in letters of the text

    def sequence(self, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
        """Decoder input and target, of equal length."""
        v = vocabulary
        first = v.no_speech if self.text is None else v.no_timestamps
        return [v.start, v.no_timestamps, *self.pieces], [first, *self.pieces, v.end]

    def spans(self, width: int) -> list[tuple[int, int]]:
        """Letters of the piece each of `width` decoder positions writes; (0, 0) for none."""
        pieces = list(zip([0, *self.ends], self.ends, strict=False))
        return [(0, 0), *pieces, *[(0, 0)] * (width - 1 - len(pieces))]


NOTHING = Spoken(None, [], [])


def collate(items: list[tuple[np.ndarray, Spoken]], vocabulary: Vocabulary) -> Batch:
    """Mels [bands, F] and what they say -> a batch."""
    frames = [mel.shape[1] for mel, _ in items]
    longest = round_up(max(frames), BATCH_STEP)
    pairs = [spoken.sequence(vocabulary) for _, spoken in items]
    letters = [letter_ids(spoken.text or "") for _, spoken in items]
    width = round_up(max(len(tokens) for tokens, _ in pairs), TOKEN_STEP)
    mel = np.stack([pad_frames(mel, longest) for mel, _ in items])
    return Batch(
        mel=torch.from_numpy(mel),
        frames=torch.tensor(frames),
        tokens=_rows([tokens for tokens, _ in pairs], width, vocabulary.end),
        targets=_rows([targets for _, targets in pairs], width, IGNORE),
        letters=_rows(letters, max(map(len, letters)), 0),
        letter_counts=torch.tensor([len(row) for row in letters]),
        spans=torch.tensor([spoken.spans(width) for _, spoken in items]),
    )


def _rows(rows: list[list[int]], width: int, filler: int) -> Tensor:
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


class EpochBatches:
    """The batches of one epoch, by number."""

    def __init__(
        self,
        renditions: Renditions,
        spoken: dict[str, Spoken],
        vocabulary: Vocabulary,
        frames_per_batch: int,
        seed: tuple[int, int],
    ) -> None:
        """`seed` is (run, epoch); `spoken` knows every sentence of the renditions."""
        self._renditions = renditions
        self._spoken = spoken
        self._vocabulary = vocabulary
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._plan = plan_epoch(renditions.lengths, frames_per_batch, rng, short_first=seed[1] == 0)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> Batch:
        rng = np.random.default_rng((*self._seed, number))
        items: list[tuple[np.ndarray, Spoken]] = []
        for index in self._plan[number]:
            pcm = augment(self._renditions.pcm(index), rng)
            spoken = self._spoken[self._renditions.texts[index]]
            items.append((mask_bands(log_mel(pcm), rng), spoken))
        # A few percent of what a microphone hears is not speech; the decoder must say so.
        seconds = max(mel.shape[1] for mel, _ in items) * HOP / SAMPLE_RATE
        for _ in range(max(1, round(0.03 * len(items)))):
            pcm = non_speech(rng, rng.uniform(0.3, max(0.4, seconds)))
            items.append((log_mel(pcm), NOTHING))
        return collate(items, self._vocabulary)


def test_batches(
    items: list[tuple[np.ndarray, str]], rows: int
) -> Iterator[tuple[Tensor, list[int], list[str]]]:
    """Mels [b, bands, T] of like length, the frames of each and its reference.

    Items are (pcm float32 [samples] at 16 kHz, reference).
    """
    ordered = sorted(items, key=lambda item: len(item[0]))
    for first in range(0, len(ordered), rows):
        chunk = ordered[first : first + rows]
        mels = [log_mel(pcm) for pcm, _ in chunk]
        longest = round_up(max(m.shape[1] for m in mels), FRAME_STEP)
        stacked = np.stack([pad_frames(m, longest) for m in mels])
        frames = [mel.shape[1] for mel in mels]
        yield torch.from_numpy(stacked), frames, [reference for _, reference in chunk]
