"""The voices of the duplex suite's callers: text to speech with exact ends, kept on disk.

espeak-ng's samples depend a little on what it said before, so a piece is spoken once and read back
from then on: both engines, and a run that goes on, hear the same samples. Knows nothing of tasks.
"""

import hashlib
import json
import os
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.caller.wire import IN_RATE
from models.audio import audible, read_wav, resample, to_int16, write_wav
from models.espeak import Settings, synthesize, voice_settings

VOICES = ("priya", "arjun", "lakshmi", "ravi")  # women and men in turn
PIECE_DBFS = -20.0  # RMS while speaking, as telephone speech levels go (ITU-T G.107)
_ESPEAK_RATE = 22_050  # Hz
_PEAK = 0.9
_VERSION = 2  # of what is done to the samples; part of the names on disk


@dataclass(frozen=True)
class Speaker:
    """One caller: a voice and how fast and high it speaks."""

    voice: str
    rate: float
    pitch: float

    @property
    def settings(self) -> Settings:
        """In espeak's units."""
        return voice_settings(self.voice, "neutral", self.rate, self.pitch)[0]

    def another(self) -> "Speaker":
        """Somebody of the other sex."""
        return replace(self, voice=VOICES[(VOICES.index(self.voice) + 1) % len(VOICES)])


def speaker(seed: int, name: str, place: int) -> Speaker:
    """The caller of the stimulus `name`, the `place`-th of its task."""
    rng = random.Random(f"{seed}-{name}")
    rate, pitch = rng.uniform(0.92, 1.08), rng.uniform(0.94, 1.06)
    return Speaker(VOICES[place % len(VOICES)], round(rate, 3), round(pitch, 3))


def spoken(text: str, who: Speaker, store: Path) -> np.ndarray:
    """The text in that voice: int16 `[T]` at `IN_RATE`, audible from its first to its last sample.

    Raises:
        EspeakMissing: the synthesizer is not installed.
    """
    what = json.dumps([_VERSION, IN_RATE, PIECE_DBFS, asdict(who.settings), text])
    path = store / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.wav"
    if not path.exists():
        store.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # it has its name only when it is whole
        write_wav(part, _speak(text, who.settings), IN_RATE)
        part.rename(path)
    return to_int16(read_wav(path, IN_RATE))


def _speak(text: str, settings: Settings) -> np.ndarray:
    pcm = resample(synthesize(text, settings).astype(np.float32) / 32768, _ESPEAK_RATE, IN_RATE)
    frames = pcm[: len(pcm) // 160 * 160].reshape(-1, 160)  # 10 ms
    power = np.square(frames).mean(axis=1)
    active = power[power > power.max() * 0.02]  # closures are not loudness
    gain = 10 ** (PIECE_DBFS / 20) / float(np.sqrt(active.mean()))
    pcm = to_int16(pcm * min(gain, _PEAK / float(np.abs(pcm).max())))
    sounds = audible(pcm, IN_RATE)
    return pcm[sounds[0].start : sounds[-1].end]
