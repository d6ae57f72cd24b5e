"""What one training step hears: batch number n is a function of the seed and n alone.

A row is a crop of a recording. What the codec hears of a caller is damaged as rooms, microphones
and telephones do; what it is to say is the speech alone, so that codes tell of words and not of
noise. The agent's speech stays as the synthesizer made it. Knows nothing of the network.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.audio import resample
from models.codec import SAMPLE_RATE
from models.mel import SAMPLE_RATE as HEARD_RATE
from training.asr_tokenizer import letter_ids
from training.codec_preset import FRAME, Preset
from training.codec_speech import Recordings
from training.codec_teacher import STEP, States
from training.noise import add_noise, non_speech, reverberate, telephone_band

LETTER_STEP = FRAME // 4  # samples; letters are looked for every 20 ms
LAG = 4  # letter steps a causal encoder may take to be sure of a word's end
MARGIN = SAMPLE_RATE * 3 // 10  # samples of silence before and after a recording, at most


@dataclass(frozen=True)
class Batch:
    """B crops of S frames, and the N whole words in them."""

    heard: Tensor  # float32 [B, 1, T]
    said: Tensor  # the same without noise and room, [B, 1, T]
    states: Tensor  # of the teacher, [B, S, width]
    known: Tensor  # bool [B, S]: where there are states
    letters: Tensor  # of each word, int64 [N, L], 0 after its end
    spans: Tensor  # row, first letter step, one past the last one, letters; int64 [N, 4]

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class Speech:
    """The recordings of a set: callers' and the agent's, each with its teacher's states."""

    callers: tuple[Recordings, States]
    replies: tuple[Recordings, States]


@dataclass(frozen=True)
class _Row:
    heard: np.ndarray
    said: np.ndarray
    states: np.ndarray
    known: np.ndarray
    words: list[tuple[list[int], int, int]]  # letters, first step, one past the last


class Batches(Dataset):
    """The batches of a set, by their number in the whole run."""

    def __init__(self, speech: Speech, preset: Preset, first: int, count: int) -> None:
        self._speech, self._preset, self._first, self._count = speech, preset, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Batch:
        if index >= self._count:
            raise IndexError(index)
        rng = np.random.default_rng((self._preset.seed, self._first + index))
        spoken = self._preset.spoken_rows
        return collate([self._row(rng, spoken=n < spoken) for n in range(self._preset.rows)])

    def _row(self, rng: np.random.Generator, *, spoken: bool) -> _Row:
        samples = self._preset.crop_frames * FRAME
        if rng.random() < self._preset.silence_share:
            return _silence(samples, self._speech.callers[1], rng)
        if spoken and rng.random() < self._preset.agent_share:
            recordings, states = self._speech.replies
            index = int(rng.integers(len(recordings)))
            return _crop(recordings, states, index, samples, rng, damaged=False)
        recordings, states = self._speech.callers
        index = int(rng.integers(len(recordings)))
        return _crop(recordings, states, index, samples, rng, damaged=True)


def _crop(
    recordings: Recordings,
    states: States,
    index: int,
    samples: int,
    rng: np.random.Generator,
    *,
    damaged: bool,
) -> _Row:
    """`samples` of a recording from a multiple of 40 ms on, silence around it included."""
    room = recordings.length(index) - samples
    step = int(rng.integers(min(-MARGIN, room) // STEP, max(room + MARGIN, 0) // STEP + 1))
    start = step * STEP
    shift = int(rng.integers(-STEP // 4, STEP // 4 + 1))  # the grid of 40 ms must not be learnt
    said = recordings.pcm(index, start + shift, start + shift + samples)
    heard, said = damage(said, rng) if damaged else (said, said)
    rows, known = states.at(index, step, samples // FRAME)
    last = samples // LETTER_STEP
    words = []
    for word, begin, end in recordings.words(index):
        begin, end = begin - start - shift, end - start - shift
        letters = letter_ids(word)
        if begin >= 0 and end <= samples and letters:
            steps = begin // LETTER_STEP, min(last, -(-end // LETTER_STEP) + LAG)
            words.append((letters, *steps))
    return _Row(heard, said, rows, known, words)


def damage(said: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How clean speech [T] at 24 kHz arrives, and what of it is speech: both float32 [T].

    Callers send 16 kHz, so nothing they say reaches above 8 kHz.
    """
    gain = 10.0 ** (rng.uniform(-26.0, -1.0) / 20.0) / (float(np.abs(said).max()) + 1e-6)
    clean = resample(said * min(gain, 4.0), SAMPLE_RATE, HEARD_RATE)
    pcm = clean
    if rng.random() < 0.3:
        pcm = reverberate(pcm, rng)
    if rng.random() < 0.5:
        pcm = add_noise(pcm, rng.uniform(5.0, 40.0), rng)
    if rng.random() < 0.15:
        pcm = telephone_band(pcm)
    heard = np.clip(resample(pcm.astype(np.float32), HEARD_RATE, SAMPLE_RATE), -1.0, 1.0)
    return heard, resample(clean, HEARD_RATE, SAMPLE_RATE)


def _silence(samples: int, states: States, rng: np.random.Generator) -> _Row:
    """No speech: digital silence or a noise, and nothing to say."""
    said = np.zeros(samples, np.float32)
    heard = said
    if rng.random() < 0.6:
        heard = resample(non_speech(rng, samples / SAMPLE_RATE), HEARD_RATE, SAMPLE_RATE)
        heard = np.resize(heard, samples).astype(np.float32)
    rows, known = states.at(0, -samples, samples // FRAME)
    return _Row(heard, said, rows, known, [])


def collate(rows: list[_Row]) -> Batch:
    """Rows of one length -> a batch."""
    words = [(row, *word) for row, of_row in enumerate(rows) for word in of_row.words]
    longest = max((len(letters) for _, letters, _, _ in words), default=1)
    letters = torch.zeros(len(words), longest, dtype=torch.int64)
    for place, (_, spelled, _, _) in enumerate(words):
        letters[place, : len(spelled)] = torch.tensor(spelled)
    spans = [(row, first, end, len(spelled)) for row, spelled, first, end in words]
    return Batch(
        heard=torch.from_numpy(np.stack([row.heard for row in rows])[:, None]),
        said=torch.from_numpy(np.stack([row.said for row in rows])[:, None]),
        states=torch.from_numpy(np.stack([row.states for row in rows])),
        known=torch.from_numpy(np.stack([row.known for row in rows])),
        letters=letters,
        spans=torch.tensor(spans, dtype=torch.int64).reshape(-1, 4),
    )
