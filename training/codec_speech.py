"""What the codec listens to: recordings at 24 kHz on disk, with the words and when they are said.

Callers' sentences come from many espeak-ng variants with word times; the agent's come from its own
four voices in nine emotions, as the cascade speaks them. Beside the sound lie, once they are made,
a recogniser's states (`codec_teacher.py`). Knows nothing of noise, crops or networks.
"""

import hashlib
import json
import multiprocessing
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.audio import resample
from models.codec import SAMPLE_RATE
from models.espeak import Espeak, Settings, synthesize_with_words
from models.telugu.spoken import speakable
from models.voices import EMOTIONS, VOICES
from training.dialogues import Composer
from training.utterances import ESPEAK_RATE, Progress, voice_for

Word = tuple[str, int, int]  # word, first sample, one past the last sample

PEAK = 16_384  # of a caller's recording, int16
LONGEST = 8 * SAMPLE_RATE
FORMAT = "2"  # raise it when the same job would be spoken otherwise


@dataclass(frozen=True)
class Caller:
    """A sentence in one of espeak's many variants."""

    text: str
    voice: Settings


@dataclass(frozen=True)
class Reply:
    """A sentence as the agent says it."""

    text: str
    voice: str
    emotion: str


Job = Caller | Reply
Recording = tuple[np.ndarray, list[Word]]  # int16 [T] at 24 kHz; no words of a reply


def caller_jobs(texts: Sequence[str], seed: str, variants: Sequence[str]) -> list[Caller]:
    """Each sentence in the voice that the seed draws for it."""
    return [Caller(text, voice_for(text, seed, variants)) for text in texts]


def reply_jobs(texts: Sequence[str], seed: str) -> list[Reply]:
    """Each sentence in one of the agent's voices; four in ten are neutral, as most answers are."""
    rng = random.Random(seed)
    voices = [voice.id for voice in VOICES]
    return [
        Reply(text, rng.choice(voices), rng.choice(EMOTIONS) if rng.random() < 0.6 else "neutral")
        for text in texts
    ]


def agent_sentences(count: int, seed: int) -> list[str]:
    """`count` different things the agent says in our own dialogues."""
    composer = Composer(seed)
    said: dict[str, None] = {}
    while len(said) < count:
        for turn in composer.conversation().turns:
            said[speakable(turn.reply)] = None
    return list(said)[:count]


def speak(job: Job) -> Recording:
    """int16 [T] at 24 kHz without silence around it, and its words."""
    if isinstance(job, Reply):
        chunks = list(_agent().stream(job.text, job.voice, job.emotion))
        pcm, words = (np.concatenate(chunks) if chunks else np.zeros(0, np.int16)), []
    else:
        pcm, words = synthesize_with_words(job.text, job.voice)
    sound = resample(pcm.astype(np.float32), ESPEAK_RATE, SAMPLE_RATE)
    loud = np.nonzero(np.abs(sound) > 60)[0]
    if len(loud) == 0:
        return np.zeros(0, np.int16), []
    first, end = int(loud[0]), int(loud[-1]) + 1
    sound = sound[first:end]
    if isinstance(job, Caller):
        sound *= PEAK / np.abs(sound).max()
    ratio = SAMPLE_RATE / ESPEAK_RATE
    moved = [(w, round(a * ratio) - first, round(b * ratio) - first) for w, a, b in words]
    inside = [(w, max(0, a), min(len(sound), b)) for w, a, b in moved]
    return np.clip(sound, -32768, 32767).astype(np.int16), inside


@lru_cache(maxsize=1)
def _agent() -> Espeak:
    return Espeak()


def record(
    jobs: Sequence[Job], cache: Path, *, processes: int = 1, progress: Progress | None = None
) -> Path:
    """Speaks every job once, or finds that it was done before; returns what `Recordings` reads.

    The file's name says what is in it; it appears under that name only when it is whole. What is
    longer than 8 s is left out.
    """
    digest = hashlib.sha256(f"{FORMAT} {list(jobs)!r}".encode()).hexdigest()[:16]
    path = cache / f"codec-{digest}"
    if path.with_suffix(".json").exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.part")
    offsets, words, kept = [0], [], []
    with scratch.open("wb") as file:
        for done, (pcm, said) in enumerate(_spoken(jobs, processes), 1):
            if SAMPLE_RATE // 5 < len(pcm) <= LONGEST:
                file.write(pcm.tobytes())
                offsets.append(offsets[-1] + len(pcm))
                words.append(said)
                kept.append(done - 1)
            if progress and (done % 500 == 0 or done == len(jobs)):
                progress(done, len(jobs))
    scratch.rename(path.with_suffix(".pcm"))
    index = path.with_suffix(f".{os.getpid()}.json.part")
    index.write_text(
        json.dumps({"offsets": offsets, "words": words, "jobs": kept}, ensure_ascii=False)
    )
    index.rename(path.with_suffix(".json"))
    return path


def _spoken(jobs: Sequence[Job], processes: int):
    if processes < 2 or len(jobs) < 200:
        yield from map(speak, jobs)
        return
    # Children start fresh: a forked one would inherit the threads' locks of the trainer.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(speak, jobs, chunksize=64)


class Recordings:
    """Recordings on disk, mapped into memory."""

    def __init__(self, path: Path) -> None:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self.path = path
        # An empty file cannot be mapped.
        self._samples = (
            np.memmap(path.with_suffix(".pcm"), np.int16, "r")
            if index["jobs"]
            else np.zeros(0, np.int16)
        )
        self.jobs: list[int] = index["jobs"]  # the number of the job that each came of
        self._offsets: list[int] = index["offsets"]
        self._words: list[list[Word]] = [[tuple(w) for w in row] for row in index["words"]]

    def __len__(self) -> int:
        return len(self._words)

    def length(self, index: int) -> int:
        """Samples."""
        return self._offsets[index + 1] - self._offsets[index]

    def words(self, index: int) -> list[Word]:
        """The words and their samples, in order; none of a reply."""
        return self._words[index]

    def pcm(self, index: int, start: int = 0, end: int | None = None) -> np.ndarray:
        """float32 [end - start] in -1..1; what lies outside the recording is silence."""
        first, last = self._offsets[index], self._offsets[index + 1]
        end = last - first if end is None else end
        inside = self._samples[max(first, first + start) : max(first, min(last, first + end))]
        before = min(max(0, -start), end - start)
        padded = np.zeros(end - start, np.float32)
        padded[before : before + len(inside)] = inside.astype(np.float32) / 32768.0
        return padded
