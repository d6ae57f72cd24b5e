"""What one step of the acoustic model sees: batch number n is a function of the seed and n alone.

Rows of a batch are of about the same length, and short clauses come first: attention finds its way
along three words before it does along six. Knows nothing of the network.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.speecht5_mel import BANDS
from models.speecht5_text import Characters
from models.voices import EMOTIONS, VOICES
from training.speecht5_guide import character_times
from training.speecht5_preset import Acoustic
from training.speecht5_speech import FLOOR, Recordings

PAD = 1  # id of the padding, as in every SpeechT5's config
STOPPED = 4  # frames at the end, all silence, that say it is over
QUIET = float(np.log10(FLOOR))
_NEVER = -1e6  # time of what is padding
_NEAR = 6  # a batch is drawn from as many times its rows of neighbours in length
_SHORTEST = 0.15  # of the recordings, by length, are there from the beginning


@dataclass(frozen=True)
class Batch:
    """B clauses of up to S characters and F frames (an even number)."""

    ids: Tensor  # int64 [B, S]
    known: Tensor  # int64 [B, S], 1 where there is a character
    times: Tensor  # float32 [B, S, 2], frames
    mel: Tensor  # float32 [B, F, BANDS]
    frames: Tensor  # int64 [B]
    voices: Tensor  # int64 [B]
    emotions: Tensor  # int64 [B]

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


class Batches(Dataset):
    """Batches `first`..`first + count - 1` of a run."""

    def __init__(
        self,
        recordings: Recordings,
        characters: Characters,
        chosen: Acoustic,
        seed: int,
        first: int,
        count: int,
    ) -> None:
        self._recordings, self._characters, self._chosen = recordings, characters, chosen
        self._seed, self._first, self._count = seed, first, count
        self._by_length = np.argsort(recordings.frames, kind="stable")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Batch:
        if index >= self._count:
            raise IndexError(index)
        number = self._first + index
        rng = np.random.default_rng((self._seed, number))
        return collate(self._recordings, self._characters, self._draw(number, rng))

    def _draw(self, number: int, rng: np.random.Generator) -> list[int]:
        """Numbers of recordings."""
        total, chosen = len(self._by_length), self._chosen
        share = min(1.0, _SHORTEST + (1.0 - _SHORTEST) * number / max(1, chosen.short_first))
        anchor = int(rng.integers(max(1, round(share * total))))
        longest = int(self._recordings.frames[self._by_length[anchor]])
        rows = max(1, min(chosen.rows, chosen.frames // longest, total))
        near = self._by_length[max(0, anchor + 1 - _NEAR * rows) : anchor + 1]
        picked = rng.choice(near, size=min(rows, len(near)), replace=False)
        return [int(number) for number in picked]


def collate(recordings: Recordings, characters: Characters, numbers: list[int]) -> Batch:
    """Recordings -> a batch."""
    voices, emotions = [voice.id for voice in VOICES], list(EMOTIONS)
    jobs = [recordings.jobs[number] for number in numbers]
    ids = [torch.tensor(characters.encode(job.text)) for job in jobs]
    mels = [torch.from_numpy(recordings.mel(number)) for number in numbers]
    longest, frames = max(map(len, ids)), max(map(len, mels))
    frames += frames % 2
    times = torch.full((len(numbers), longest, 2), _NEVER)
    mel = torch.full((len(numbers), frames, BANDS), QUIET)
    padded = torch.full((len(numbers), longest), PAD)
    for row, number in enumerate(numbers):
        found = character_times(jobs[row].text, recordings.words(number), len(mels[row]))
        if len(found) != len(ids[row]):
            raise ValueError(f"{jobs[row].text!r} is not written as it is encoded")
        times[row, : len(found)] = torch.from_numpy(found)
        padded[row, : len(ids[row])] = ids[row]
        mel[row, : len(mels[row])] = mels[row]
    return Batch(
        ids=padded,
        known=(padded != PAD).long(),
        times=times,
        mel=mel,
        frames=torch.tensor([len(m) for m in mels]),
        voices=torch.tensor([voices.index(job.voice) for job in jobs]),
        emotions=torch.tensor([emotions.index(job.emotion) for job in jobs]),
    )
