"""Clauses spoken by the agent's four voices: sound, spectrogram and every word's time, on disk.

The synthesizer says when each word begins, so nothing has to be aligned. Levels are those the
agent speaks at. Knows nothing of networks or batches.
"""

import hashlib
import json
import multiprocessing
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.audio import resample
from models.espeak import synthesize, synthesize_with_words, voice_settings
from models.espeak_library import open_library
from models.speecht5_clauses import split
from models.speecht5_mel import BANDS, HOP, SAMPLE_RATE, log_mel
from models.voices import EMOTIONS, VOICES
from training.utterances import ESPEAK_RATE, Progress

FORMAT = "3"  # raise it when the same job would be spoken otherwise
FLOOR = 1e-4  # of mel magnitudes: 75 dB under the loudest vowels; espeak's pauses are all zero
LEAD = 2 * HOP  # samples of silence before the first word
TAIL = 6 * HOP  # and behind the last: what the model learns to stop in
LONGEST = 8 * SAMPLE_RATE
_TARGET_RMS = 0.1  # of full scale while speaking, as models/espeak.py levels the voices
_LEVEL_TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు? నేను మీకు సహాయం చేస్తాను."
_PEAK = 0.95

Span = tuple[int, int, int, int]  # first character, one past the last; first sample, one past it


@dataclass(frozen=True)
class Job:
    """A clause, who says it and how."""

    text: str
    voice: str  # of models.voices
    emotion: str


@dataclass(frozen=True)
class Spoken:
    """One recording."""

    pcm: np.ndarray  # int16 [T] at 16 kHz
    mel: np.ndarray  # float16 [F, BANDS], F = T // HOP + 1
    words: list[Span]


def clauses(sentences: Iterable[str], longest: int) -> list[str]:
    """Different clauses of at most `longest` words, cut as the service cuts, in their order."""
    return list(dict.fromkeys(clause for text in sentences for clause in split(text, longest)))


def jobs(texts: Sequence[str], seed: str, emotional: float = 0.6) -> list[Job]:
    """Each text in a voice drawn for it; `emotional` of them in any emotion, the rest neutral."""
    rng = random.Random(seed)
    voices = [voice.id for voice in VOICES]
    return [
        Job(
            text,
            rng.choice(voices),
            rng.choice(EMOTIONS) if rng.random() < emotional else "neutral",
        )
        for text in texts
    ]


def speak(job: Job) -> Spoken | None:
    """A job's sound; None where espeak has nothing to say, or more than 8 s."""
    if not any(char.isalpha() for char in job.text):
        return None
    settings, emphasis_db = voice_settings(job.voice, job.emotion)
    gain = _gain(job.voice) * 10.0 ** (emphasis_db / 20.0)
    open_library().renew()  # the sound is the job's alone, not that of what was said before
    raw, said = synthesize_with_words(job.text, settings)
    sound = resample(raw.astype(np.float32) / 32768.0, ESPEAK_RATE, SAMPLE_RATE)
    loud = np.nonzero(np.abs(sound) > 2e-3)[0]
    if len(loud) == 0 or not said or loud[-1] - loud[0] > LONGEST:
        return None
    first, end = int(loud[0]), int(loud[-1]) + 1
    sound = sound[first:end] * gain
    sound *= min(1.0, _PEAK / float(np.abs(sound).max()))
    pcm = np.round(np.pad(sound, (LEAD, TAIL)) * 32767.0).astype(np.int16)
    mel = log_mel(pcm.astype(np.float32) / 32768.0, FLOOR).astype(np.float16)
    shift, ratio = LEAD - first, SAMPLE_RATE / ESPEAK_RATE
    words = [
        (a, b, max(0, round(start * ratio) + shift), min(len(pcm), round(stop * ratio) + shift))
        for (a, b), start, stop in _places(job.text, said)
    ]
    return Spoken(pcm, mel, words)


def _places(
    text: str, said: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Where in the text each spoken word stands: (first character, one past it), its samples."""
    at = 0
    for word, start, stop in said:
        at = text.index(word, at)
        yield (at, at + len(word)), start, stop
        at += len(word)


@lru_cache(maxsize=len(VOICES))
def _gain(voice: str) -> float:
    open_library().renew()
    pcm = synthesize(_LEVEL_TEXT, voice_settings(voice)[0]).astype(np.float32) / 32768.0
    power = np.square(pcm[: len(pcm) // 256 * 256].reshape(-1, 256)).mean(axis=1)
    return float(_TARGET_RMS / np.sqrt(power[power > power.max() * 0.02].mean()))


def record(
    listed: Sequence[Job], cache: Path, *, processes: int = 1, progress: Progress | None = None
) -> Path:
    """Speaks every job once, or finds that it was done before; returns what `Recordings` reads.

    The file's name says what is in it; it appears under that name only when it is whole.
    """
    digest = hashlib.sha256(f"{FORMAT} {list(listed)!r}".encode()).hexdigest()[:16]
    path = cache / f"speecht5-{digest}"
    if path.with_suffix(".json").exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    kinds = (".pcm", ".mel", ".json")
    parts = {kind: path.with_suffix(f".{os.getpid()}{kind}.part") for kind in kinds}
    index: dict[str, list] = {"samples": [0], "words": [], "jobs": []}
    with parts[".pcm"].open("wb") as sounds, parts[".mel"].open("wb") as mels:
        for number, spoken in enumerate(_all_spoken(listed, processes)):
            if spoken is not None:
                sounds.write(spoken.pcm.tobytes())
                mels.write(spoken.mel.tobytes())
                index["samples"].append(index["samples"][-1] + len(spoken.pcm))
                index["words"].append(spoken.words)
                index["jobs"].append(number)
            if progress and ((number + 1) % 500 == 0 or number + 1 == len(listed)):
                progress(number + 1, len(listed))
    parts[".json"].write_text(json.dumps(index))
    for kind in kinds:  # the index last: where it is, everything is
        parts[kind].rename(path.with_suffix(kind))
    return path


def _all_spoken(listed: Sequence[Job], processes: int) -> Iterable[Spoken | None]:
    if processes < 2 or len(listed) < 200:
        yield from map(speak, listed)
        return
    # Children start fresh: a forked one would inherit the threads' locks of the trainer.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(speak, listed, chunksize=64)


class Recordings:
    """Recordings on disk, mapped into memory, with the jobs they came of."""

    def __init__(self, path: Path, listed: Sequence[Job]) -> None:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self.jobs = [listed[number] for number in index["jobs"]]
        self._words: list[list[Span]] = [[tuple(w) for w in row] for row in index["words"]]
        self._samples = np.array(index["samples"], np.int64)
        self.frames = np.diff(self._samples) // HOP + 1  # int64 [N]
        self._frames = np.concatenate([[0], np.cumsum(self.frames)])
        # An empty file cannot be mapped.
        empty = not self.jobs
        self._pcm = np.zeros(0, np.int16) if empty else _mapped(path, ".pcm", np.int16)
        self._mel = np.zeros(0, np.float16) if empty else _mapped(path, ".mel", np.float16)
        self._mel = self._mel.reshape(-1, BANDS)

    def __len__(self) -> int:
        return len(self.jobs)

    def words(self, number: int) -> list[Span]:
        """Where each word stands in the text and in the sound."""
        return self._words[number]

    def pcm(self, number: int) -> np.ndarray:
        """float32 [T] in -1..1."""
        a, b = self._samples[number], self._samples[number + 1]
        return self._pcm[a:b].astype(np.float32) / 32768.0

    def mel(self, number: int) -> np.ndarray:
        """float32 [F, BANDS], log10 of magnitudes."""
        a, b = self._frames[number], self._frames[number + 1]
        return self._mel[a:b].astype(np.float32)


def _mapped(path: Path, kind: str, dtype: type) -> np.ndarray:
    return np.memmap(path.with_suffix(kind), dtype, "r")
