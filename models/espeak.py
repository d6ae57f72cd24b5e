"""The espeak-ng Telugu voices: spoken Telugu text in, int16 audio out as it is synthesized.

Four named voices and nine emotions are settings of one formant synthesizer (`models/voices.py` has
the names). Text must already be speakable (`models.telugu.spoken`): this file does not know what a
number or an English word sounds like, nor anything of turns or transports.
"""

import math
import queue
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from models.espeak_library import (
    EspeakFailed,
    EspeakMissing,
    Settings,
    WordEvent,
    open_library,
)

__all__ = [
    "Espeak",
    "EspeakFailed",
    "EspeakMissing",
    "Word",
    "synthesize",
    "synthesize_with_words",
    "variants",
    "voice_settings",
]

Word = tuple[str, int, int]  # word, first sample, one past the last sample

# Median F0 (autocorrelation) of the four is about 82, 125, 167 and 220 Hz, and their variants have
# formant sets of their own; tests/models/test_espeak.py holds the distances.
_VOICES = {
    "arjun": Settings("m3", words_per_minute=172, pitch=74, pitch_range=58),
    "ravi": Settings("max", words_per_minute=150, pitch=32, pitch_range=42),
    "priya": Settings("f3", words_per_minute=174, pitch=62, pitch_range=62),
    "lakshmi": Settings("f1", words_per_minute=158, pitch=48, pitch_range=44),
}


@dataclass(frozen=True)
class _Emotion:
    """Modest changes against the voice's own settings; a formant voice overdone is a caricature."""

    rate: float = 1.0
    pitch: int = 0
    pitch_range: int = 0
    gain_db: float = 0.0


_EMOTIONS = {
    "neutral": _Emotion(),
    "happy": _Emotion(1.06, +6, +20, +1.0),
    "sad": _Emotion(0.87, -6, -22, -2.0),
    "angry": _Emotion(1.06, +3, +14, +2.5),
    "excited": _Emotion(1.13, +9, +28, +2.0),
    "calm": _Emotion(0.92, -3, -14, -1.5),
    "concerned": _Emotion(0.95, +2, -8, -0.5),
    "surprised": _Emotion(1.03, +12, +35, +1.0),
    "professional": _Emotion(0.98, -1, -10, 0.0),
}

_TARGET_RMS = 0.1  # of full scale, while speaking: -20 dBFS, as telephone speech levels go (G.107)
_KNEE, _CEILING = 0.7, 0.98  # the limiter is linear below the knee and never passes the ceiling
_LEVEL_TEXT = "నమస్కారం, మీరు ఎలా ఉన్నారు? నేను మీకు సహాయం చేస్తాను."
_SENTENCE_GAP = re.compile(r"(?<=[.?!।॥…])\s+")
_PAUSE_MARK = re.compile(r"[.,;:?!।॥…]\W*$")


class Espeak:
    """The named voices. Raises EspeakMissing when the espeak extra is not installed."""

    def __init__(self) -> None:
        self._library = open_library()
        self.sample_rate = self._library.sample_rate  # Hz

    def stream(
        self,
        text: str,
        voice: str,
        emotion: str = "neutral",
        *,
        rate: float = 1.0,
        pitch: float = 1.0,
        stop: threading.Event | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields int16 chunks [n <= 60 ms] as they are synthesized; the first within about 2 ms.

        `rate` multiplies the speed, `pitch` the fundamental frequency (both 0.5..2). Setting
        `stop`, or closing the generator, ends synthesis within one chunk. Sentences end with a
        pause (300 ms; 150 ms after a comma), text without a final mark does not: it may go on.
        Several streams may run at once, each on its caller's thread. Raises ValueError for an
        unknown voice or emotion and for a rate or pitch out of range, EspeakFailed when espeak
        cannot speak.
        """
        settings, emphasis_db = voice_settings(voice, emotion, rate, pitch)
        gain = _voice_gain(voice) * 10 ** (emphasis_db / 20)
        return self._chunks(text, settings, gain, stop or threading.Event())

    def _chunks(
        self, text: str, settings: Settings, gain: float, stop: threading.Event
    ) -> Iterator[np.ndarray]:
        chunks: queue.SimpleQueue[np.ndarray | BaseException | None] = queue.SimpleQueue()
        closed = threading.Event()

        def synthesize_all() -> None:
            def sink(pcm: np.ndarray, _: list[WordEvent]) -> bool:
                chunks.put(pcm)
                return not (stop.is_set() or closed.is_set())

            try:
                # One sentence at a time, so that another call's clause waits for one, not for all.
                for sentence in _SENTENCE_GAP.split(text.strip()):
                    if stop.is_set() or closed.is_set():
                        break
                    pause = bool(_PAUSE_MARK.search(sentence))
                    self._library.speak(sentence, replace(settings, end_pause=pause), sink)
                chunks.put(None)
            except BaseException as error:
                chunks.put(error)

        threading.Thread(target=synthesize_all, name="espeak", daemon=True).start()
        try:
            while (chunk := chunks.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                if stop.is_set():
                    return
                yield _level(chunk, gain)
        finally:
            closed.set()


def variants() -> list[str]:
    """Names of espeak-ng's voice variants (about 100). Raises EspeakMissing."""
    return open_library().variants()


def synthesize(text: str, settings: Settings) -> np.ndarray:
    """The whole text at once: int16 [T] at 22,050 Hz, espeak's own level, no silence around it.

    Blocking; meant for making training speech, one process per core. Raises EspeakMissing,
    EspeakFailed.
    """
    return _collect(settings, text)[0]


def synthesize_with_words(text: str, settings: Settings) -> tuple[np.ndarray, list[Word]]:
    """As `synthesize`, with (word, start, end) in samples for every word espeak pronounces.

    Words are the text's white-space pieces, punctuation included; the end leaves out the pause
    that follows a word. A piece with nothing to say (a lone dash) is missing.
    """
    pcm, events = _collect(settings, text)
    starts: dict[int, int] = {}
    pieces = [(m.group(), m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    for event in events:
        piece = next((i for i, (_, a, b) in enumerate(pieces) if a <= event.char < b), None)
        if piece is not None:
            starts.setdefault(piece, event.sample)
    if not starts:
        return pcm, []
    order = sorted(starts.items(), key=lambda item: item[1])
    ends = [start for _, start in order[1:]] + [len(pcm)]
    return pcm, [
        (pieces[piece][0], start, _trim(pcm, start, end))
        for (piece, start), end in zip(order, ends, strict=True)
    ]


def _collect(settings: Settings, text: str) -> tuple[np.ndarray, list[WordEvent]]:
    chunks: list[np.ndarray] = []
    words: list[WordEvent] = []

    def sink(pcm: np.ndarray, events: list[WordEvent]) -> bool:
        chunks.append(pcm)
        words.extend(events)
        return True

    open_library().speak(text, settings, sink)
    return (np.concatenate(chunks) if chunks else np.zeros(0, np.int16)), words


def _trim(pcm: np.ndarray, start: int, end: int) -> int:
    loud = np.nonzero(np.abs(pcm[start:end].astype(np.int32)) > 100)[0]  # -50 dBFS
    return start + int(loud[-1]) + 1 if len(loud) else end


def voice_settings(
    voice: str, emotion: str = "neutral", rate: float = 1.0, pitch: float = 1.0
) -> tuple[Settings, float]:
    """A named voice in espeak's units, and how many dB louder it is for the emotion.

    Raises ValueError as `Espeak.stream` does.
    """
    if voice not in _VOICES:
        raise ValueError(f"Unknown voice '{voice}'; one of {', '.join(_VOICES)}.")
    if emotion not in _EMOTIONS:
        raise ValueError(f"Unknown emotion '{emotion}'; one of {', '.join(_EMOTIONS)}.")
    for name, value in (("rate", rate), ("pitch", pitch)):
        if not 0.5 <= value <= 2.0:
            raise ValueError(f"The {name} must lie between 0.5 and 2, not {value}.")
    base, change = _VOICES[voice], _EMOTIONS[emotion]
    settings = replace(
        base,
        words_per_minute=round(base.words_per_minute * change.rate * rate),
        # espeak-ng's pitch table doubles F0 every 50 steps (wavegen.c, pitch_adjust_tab).
        pitch=round(base.pitch + change.pitch + 50 * math.log2(pitch)),
        pitch_range=base.pitch_range + change.pitch_range,
    )
    return settings, change.gain_db


@lru_cache(maxsize=len(_VOICES))
def _voice_gain(voice: str) -> float:
    """Brings a voice to the target level, from a sentence it speaks once (5 ms)."""
    pcm, _ = _collect(_VOICES[voice], _LEVEL_TEXT)
    frames = pcm[: len(pcm) // 256 * 256].astype(np.float32).reshape(-1, 256)
    power = np.square(frames).mean(axis=1)  # [frames]
    active = power[power > power.max() * 0.02]  # pauses and stop closures are not loudness
    return float(_TARGET_RMS / np.sqrt(active.mean()))


def _level(pcm: np.ndarray, gain: float) -> np.ndarray:
    """int16 [n] -> int16 [n], at the target level; peaks above the knee are bent, never cut."""
    x = pcm.astype(np.float32) * gain
    size = np.abs(x)
    room = _CEILING - _KNEE
    bent = np.sign(x) * (_KNEE + room * np.tanh((size - _KNEE) / room))
    return (np.where(size > _KNEE, bent, x) * 32767).astype(np.int16)
