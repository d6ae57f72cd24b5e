"""SpeechT5 in a host process: a stream is one text, its options say it, sound comes back.

    python -m models.host_server ADDRESS models.speecht5_host:load '{"model": "starter/tts"}'

Knows nothing of sockets (`host_server.py`) or of how speech is made (`speecht5.py`).
"""

from dataclasses import dataclass

import torch

from models.host_engine import End
from models.host_messages import Chunk, Option
from models.speecht5 import SpeechT5, Utterance
from models.speecht5_layout import load as load_parts
from models.weights import resolve

TEXT = frozenset(("text", "voice", "emotion"))
NUMBERS = frozenset(("rate", "pitch", "seed"))


@dataclass
class SpeechStream:
    """One text being spoken."""

    utterance: Utterance

    @property
    def end(self) -> End | None:
        """Said, or where the model lost its place."""
        if not self.utterance.over:
            return None
        broken = self.utterance.broken
        return End(f"lost its place: {broken.fault}", fault=True) if broken else End("said")

    @property
    def counters(self) -> dict[str, float]:
        """`words` heard before a break, attempts that nobody heard."""
        broken = self.utterance.broken
        words = broken.words if broken else self.utterance.words
        return {"words": float(words), "retries": float(self.utterance.retries)}

    def push(self, chunk: Chunk) -> None:
        """Nothing: the text came with the options."""
        raise ValueError("the text to speak is an option of the stream; nothing can be added")

    def finish(self) -> None:
        """Nothing was to come anyhow."""

    def take(self) -> list[Chunk]:
        """int16 sound at 16 kHz since the last time."""
        return [Chunk(pcm=pcm.astype("<i2").tobytes()) for pcm in self.utterance.take()]

    def close(self) -> None:
        """The caller has been interrupted, or is gone."""
        self.utterance.close()


class SpeechT5Host:
    """A voice that speaks as many texts at once as it has rows."""

    period: float | None = None  # a step as soon as the one before is done

    def __init__(self, model: SpeechT5) -> None:
        self._model = model
        self._texts = 0

    def open(self, options: dict[str, Option]) -> SpeechStream:
        """`text`, `voice`, `emotion`; `rate`, `pitch`, `seed`. Raises ValueError."""
        if extra := sorted(options.keys() - TEXT - NUMBERS):
            raise ValueError(f"unknown option {extra[0]}")
        text, voice, emotion = (options.get(k, d) for k, d in _SAID)
        rate, pitch, seed = (options.get(k, d) for k, d in _SET)
        if not (isinstance(text, str) and isinstance(voice, str) and isinstance(emotion, str)):
            raise ValueError("text, voice and emotion are words")
        if isinstance(rate, str | dict) or isinstance(pitch, str | dict):
            raise ValueError("rate and pitch are numbers")
        chosen = int(seed) if isinstance(seed, int | float) and seed >= 0 else None
        self._texts += 1
        return SpeechStream(
            self._model.open(text, voice, emotion, rate=rate, pitch=pitch, seed=chosen)
        )

    def tick(self, deadline: float | None) -> bool:
        """One step of the decoder for everybody who speaks."""
        return self._model.step()

    def warm_up(self, voice: str) -> None:
        """Speaks a word, so that the first caller does not pay for what is made on first use."""
        utterance = self._model.open("నమస్కారం", voice, seed=0)
        while self._model.step():
            pass
        utterance.close()

    def skipped(self, ticks: int) -> None:
        """Does not happen without a period."""

    def health(self) -> dict[str, float]:
        """Texts so far, those being spoken, steps, and each fault that was seen."""
        faults = {f"fault_{name}": float(count) for name, count in self._model.faults.items()}
        return {
            "texts": float(self._texts),
            "speaking": float(self._model.speaking),
            "steps": float(self._model.steps),
            **faults,
        }


_SAID = (("text", ""), ("voice", ""), ("emotion", "neutral"))
_SET = (("rate", 1.0), ("pitch", 1.0), ("seed", -1.0))


def load(
    model: str,
    vocoder: str = "",
    device: str = "cpu",
    threads: int = 1,
    rows: int = 8,
    words: int = 6,
) -> SpeechT5Host:
    """What a host process calls.

    Args:
        model: weights address of a directory as `speecht5_layout.save` writes it.
        vocoder: address of another vocoder than the model's own.
        device: `cpu` or `cuda`.
        threads: of the process, on a CPU.
        rows: clauses spoken at once.
        words: of a clause, at most.
    """
    torch.set_num_threads(threads)
    parts = load_parts(resolve(model), resolve(vocoder) if vocoder else None, device=device)
    host = SpeechT5Host(SpeechT5(parts, rows=rows, words=words))
    host.warm_up(parts.voices.voice_names[0])
    return host
