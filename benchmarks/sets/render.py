"""A caller's turns as sound: spoken by espeak-ng once, then read back from a cache.

The voice is the conversation's own, its speed and pitch are drawn from the conversation's seed.
Samples come out of the cache even on the first call, because espeak-ng's depend a little on what
it said before: both engines, and every rerun with the same cache, hear the same samples. Knows
nothing of engines, keys or files of users (`corpora/corpus.py`).
"""

import hashlib
import json
import os
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.caller.wire import IN_RATE
from benchmarks.ruler.recording import Utterance
from benchmarks.sets.turnset import CallerTurn, Conversation
from models.audio import read_wav, resample, to_int16, write_wav
from models.espeak import Settings, synthesize

_VERSION = 1  # of what is done to the samples; part of the cache's names
_ESPEAK_RATE = 22_050  # Hz
_PEAK = 0.5  # of full scale: -6 dBFS, a close microphone that does not clip


def voice(conversation: Conversation) -> Settings:
    """How the caller speaks: 130 to 200 of espeak's words a minute, the pitch within an octave."""
    rng = random.Random(hashlib.sha256(conversation.seed.encode()).digest())
    return Settings(
        variant=conversation.voice,
        words_per_minute=round(rng.triangular(130, 200, 165)),
        pitch=rng.randint(30, 70),
        pitch_range=rng.randint(30, 70),
    )


def render(conversation: Conversation, cache: Path) -> list[Utterance]:
    """Every turn as int16 `[T]` at 16 kHz, named `CONVERSATION-NN`; nothing is trimmed.

    Raises:
        EspeakMissing: the synthesizer is not installed.
        EspeakFailed: it does not know the conversation's voice.
    """
    settings = voice(conversation)
    return [
        _rendered(f"{conversation.id}-{number:02d}", turn, settings, cache)
        for number, turn in enumerate(conversation.turns, 1)
    ]


def _rendered(name: str, turn: CallerTurn, settings: Settings, cache: Path) -> Utterance:
    what = json.dumps([_VERSION, IN_RATE, asdict(settings), turn.text], ensure_ascii=False)
    path = cache / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.wav"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # it has its name only when it is whole
        write_wav(part, _spoken(turn.text, settings), IN_RATE)
        part.rename(path)
    return Utterance(name, to_int16(read_wav(path, IN_RATE)))


def _spoken(text: str, settings: Settings) -> np.ndarray:
    pcm = synthesize(text, settings).astype(np.float32)
    pcm = resample(pcm, _ESPEAK_RATE, IN_RATE)
    return to_int16(pcm * (_PEAK / max(float(np.abs(pcm).max()), 1.0)))
