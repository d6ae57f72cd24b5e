"""What a run of a voice measures: who reads which sentences, alone and together.

The same plan names the same readings, so that a run that was cut off goes on. Knows nothing of how
anybody reads or listens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.voice.figures import OURS, STAND_IN
from benchmarks.voice.readers import Task
from maata.profile import Profile
from models.voices import EMOTIONS, VOICES
from models.weights import WeightsMissing, resolve

TEXTS = Path(__file__).with_name("te-v1.txt")
SET = "te-v1"
TOGETHER = 2  # calls that speak at once
VOICE_IDS = tuple(voice.id for voice in VOICES)


class VoiceError(Exception):
    """A run that cannot be done as asked; the sentence names the remedy."""


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    model: str  # address of the SpeechT5
    options: dict[str, Any]  # of its host
    out: Path
    systems: tuple[str, ...] = (OURS, STAND_IN)
    voices: tuple[str, ...] = VOICE_IDS
    emotion: str = "neutral"
    limit: int | None = None  # texts
    watch: int = 0  # readings

    def texts(self) -> list[str]:
        """Those that are read."""
        return list(islice(TEXTS.read_text(encoding="utf-8").splitlines(), self.limit))

    def batches(self, at_once: int) -> Iterator[list[Task]]:
        """Every text in every voice; at once different texts in different voices, each once."""
        voices = self.voices
        tasks = [
            Task(f"{number:03d}.{voice}.{at_once}", text, voice, self.emotion, number)
            for number, text in enumerate(self.texts())
            # Whoever speaks together says different things.
            for voice in (voices if at_once == 1 else [voices[number % len(voices)]])
        ]
        for start in range(0, len(tasks) - at_once + 1, at_once):
            yield tasks[start : start + at_once]

    def watched(self) -> list[dict[str, Any]]:
        """To be watched: the texts in all voices and emotions, again with other seeds."""
        texts = self.texts()
        return [
            {
                "text": texts[n % len(texts)],
                "voice": self.voices[n // len(texts) % len(self.voices)],
                "emotion": EMOTIONS[n // 7 % len(EMOTIONS)],
                "seed": n,
            }
            for n in range(self.watch)
        ]


def plan_of(
    profile: Profile,
    out: Path,
    *,
    model: str = "",
    host: str = "",
    systems: Sequence[str] = (OURS, STAND_IN),
    voices: Sequence[str] = VOICE_IDS,
    emotion: str = "neutral",
    limit: int | None = None,
    watch: int = 0,
) -> Plan:
    """The plan for a profile's voice, or for another `model`; see Plan for the rest.

    Args:
        profile: what SpeechT5 runs on, whether or not the profile speaks with it.
        out: the run's directory.
        model: weights address instead of the profile's.
        host: address of a host that serves the model already.

    Raises:
        VoiceError: an unknown name, too few texts, or weights that are not here.
    """
    tts = profile.cascade.tts
    model = model or tts.model
    for given, names in ((systems, (OURS, STAND_IN)), (voices, VOICE_IDS), ([emotion], EMOTIONS)):
        if wrong := [name for name in given if name not in names]:
            raise VoiceError(f"no {wrong[0]!r}: choose {', '.join(names)}")
    if limit is not None and limit < TOGETHER:
        raise VoiceError(f"--limit {limit}: at least {TOGETHER} texts are needed")
    folder = ""
    if OURS in systems or watch:
        try:
            folder = str(resolve(model).resolve())  # the process that reads starts elsewhere
        except WeightsMissing as gone:
            raise VoiceError(f"{gone}; --systems espeak measures the stand-in alone") from gone
    keys = ("vocoder", "device", "threads", "rows", "words")
    options = {key: getattr(tts, key) for key in keys} | {"model": folder}
    if host:
        options["address"] = host
    who = tuple(systems), tuple(voices)
    return Plan(model, options, out.resolve(), *who, emotion, limit, watch)
