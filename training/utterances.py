"""Synthetic Telugu speech for recognisers: sentences spoken by many espeak-ng voices.

Which voice speaks which sentence is drawn from a seed, so the same set of renditions is made by any
number of processes (to the ear: espeak's samples depend a little on what it said before). A handful
of voice variants is never used for training, so that a score can say something about voices the
recogniser has not met. Knows nothing of noise (`noise.py`) or models.
"""

import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.audio import resample
from models.espeak import Settings, synthesize
from models.mel import SAMPLE_RATE

ESPEAK_RATE = 22_050  # Hz

# Variants kept out of training: both sexes, formant and Klatt voices, none a sibling (same name,
# other number) of one that trains.
HELD_OUT_VARIANTS = (
    "f4",
    "m2",
    "Andrea",
    "Denis",
    "aunty",
    "belinda",
    "caleb",
    "david",
    "linda",
    "pablo",
)

# Left out altogether: effects (robots, croaks, whispers, echoes) that no caller sounds like.
_EFFECTS = ("Demonic", "robosoft", "UniRobot", "anikaRobot", "Tweaky", "croak", "kaukovalta")
_EFFECTS += ("whisper", "whisperf", "Storm", "fast", "klatt5", "klatt6", "Jacky", "announcer")


def training_variants(every: Sequence[str]) -> list[str]:
    """Those of espeak's variants that speak in training, sorted."""
    return sorted(
        name
        for name in every
        if name not in HELD_OUT_VARIANTS and name.rstrip("0123456789") not in _EFFECTS
        if name not in _EFFECTS
    )


def draw_voice(rng: random.Random, variants: Sequence[str]) -> Settings:
    """A voice at a natural speed: 120 to 230 of espeak's words a minute."""
    return Settings(
        variant=rng.choice(variants),
        words_per_minute=round(rng.triangular(120, 230, 168)),
        pitch=rng.randint(20, 80),
        pitch_range=rng.randint(20, 80),
        word_gap=rng.choice((0, 0, 0, 0, 1, 2, 4)),
    )


def render(text: str, voice: Settings) -> np.ndarray:
    """int16 [T] at 16 kHz, peak at half scale, without silence around it."""
    pcm = resample(synthesize(text, voice).astype(np.float32), ESPEAK_RATE, SAMPLE_RATE)
    loud = np.nonzero(np.abs(pcm) > 60)[0]
    if len(loud) == 0:
        return np.zeros(0, np.int16)
    pcm = pcm[loud[0] : loud[-1] + 1]
    return (pcm * (16_384 / np.abs(pcm).max())).astype(np.int16)


def voice_for(text: str, seed: str, variants: Sequence[str]) -> Settings:
    """The voice that speaks `text` in the rendition named by `seed`."""
    digest = hashlib.sha256(f"{seed} {text}".encode()).digest()
    return draw_voice(random.Random(digest), variants)


class Renditions:
    """Spoken sentences on disk: int16 files mapped into memory, and where each sentence starts."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.texts: list[str] = []
        self._where: list[tuple[np.memmap, int, int]] = []
        for path in paths:
            index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if not index["texts"]:
                continue
            samples = np.memmap(path.with_suffix(".pcm"), np.int16, "r")
            spans = zip(index["offsets"], index["offsets"][1:], strict=False)
            self._where += [(samples, start, end) for start, end in spans]
            self.texts += index["texts"]

    def __len__(self) -> int:
        return len(self.texts)

    def pcm(self, index: int) -> np.ndarray:
        """float32 [T] in -1..1 at 16 kHz."""
        samples, start, end = self._where[index]
        return samples[start:end].astype(np.float32) / 32768.0

    @property
    def lengths(self) -> np.ndarray:
        """Samples of every rendition, int64 [N]."""
        return np.array([end - start for _, start, end in self._where], np.int64)


Progress = Callable[[int, int], None]  # done, of


def speak_all(
    texts: Sequence[str],
    seed: str,
    variants: Sequence[str],
    cache: Path,
    *,
    processes: int = 2,
    max_seconds: float = 8.0,
    progress: Progress | None = None,
) -> Path:
    """Speaks every text once, or finds that it was done before; returns what Renditions reads.

    Those longer than `max_seconds` are left out. The file's name says what is in it (texts, seed,
    variants), so a stale one is never read; it appears under that name only when it is whole.
    """
    names = json.dumps([list(texts), seed, list(variants), max_seconds], ensure_ascii=False)
    path = cache / f"speech-{hashlib.sha256(names.encode()).hexdigest()[:16]}"
    if not path.with_suffix(".json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        _write(path, texts, seed, variants, processes, max_seconds, progress)
    return path


def _write(
    path: Path,
    texts: Sequence[str],
    seed: str,
    variants: Sequence[str],
    processes: int,
    max_seconds: float,
    progress: Progress | None,
) -> None:
    jobs = [(text, voice_for(text, seed, variants)) for text in texts]
    scratch = path.with_suffix(f".{os.getpid()}.part")
    kept: list[str] = []
    offsets = [0]
    with scratch.open("wb") as file:
        for done, pcm in enumerate(_rendered(jobs, processes), 1):
            if 0.2 * SAMPLE_RATE < len(pcm) <= max_seconds * SAMPLE_RATE:
                file.write(pcm.tobytes())
                kept.append(jobs[done - 1][0])
                offsets.append(offsets[-1] + len(pcm))
            if progress and (done % 500 == 0 or done == len(jobs)):
                progress(done, len(jobs))
    scratch.rename(path.with_suffix(".pcm"))
    index = path.with_suffix(f".{os.getpid()}.json.part")
    index.write_text(json.dumps({"texts": kept, "offsets": offsets}, ensure_ascii=False))
    index.rename(path.with_suffix(".json"))


def _rendered(jobs: list[tuple[str, Settings]], processes: int):
    """Every job's int16 samples, in order. espeak-ng is one per process, hence processes."""
    if processes < 2:
        yield from (render(text, voice) for text, voice in jobs)
        return
    # Children start fresh: a forked one would inherit the threads' locks of the trainer.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_render_job, jobs, chunksize=64)


def _render_job(job: tuple[str, Settings]) -> np.ndarray:
    return render(*job)


def progress_line(label: str) -> Progress:
    """Prints `label 500/9000, 40 s left` on one line that is written over."""
    started = time.monotonic()

    def show(done: int, of: int) -> None:
        left = (time.monotonic() - started) / done * (of - done)
        end = "\n" if done == of else ""
        print(f"\r{label} {done}/{of}, {left:.0f} s left ", end=end, flush=True)

    return show
