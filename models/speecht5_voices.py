"""Who speaks and how: the speaker embeddings of the named voices, and what an emotion adds to them.

Two files beside the model's own, which other readers of the directory do not mind: `voices.json`
(names, and how the model was trained to be decoded) and `voices.safetensors` (two tables). Knows
nothing of text or sound.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

NAMES, TABLES = "voices.json", "voices.safetensors"


class VoicesMissing(ValueError):
    """The directory names no voices; the sentence says how to get some."""


class UnknownVoice(ValueError):
    """Nobody of that name, or no such emotion; the sentence lists those there are."""


@dataclass(frozen=True)
class Decoding:
    """How a model's attention was trained to move along the text, as decoding may rely on it.

    A model whose every head was led along the text is held to it: the characters that the next
    step may look at lie within `behind` and `ahead` of where it looked last. Zero for models that
    were not (the hub's), which look where they like and are only watched.
    """

    behind: int = 0  # characters
    ahead: int = 0


@dataclass(frozen=True)
class Voices:
    """The tables and their rows' names."""

    speakers: Tensor  # float32 [V, D], the hub's x-vectors have D = 512
    emotions: Tensor  # float32 [E, D]
    voice_names: tuple[str, ...]
    emotion_names: tuple[str, ...]
    decoding: Decoding = Decoding()

    def embedding(self, voice: str, emotion: str = "neutral") -> Tensor:
        """float32 [D], as SpeechT5 takes it.

        Raises:
            UnknownVoice: a name that is not in the tables.
        """
        return blend(
            self.speakers[_row(voice, self.voice_names, "voice")],
            self.emotions[_row(emotion, self.emotion_names, "emotion")],
        )

    def save(self, folder: Path) -> None:
        """Writes both files."""
        names = {
            "voices": self.voice_names,
            "emotions": self.emotion_names,
            "decoding": asdict(self.decoding),
        }
        (folder / NAMES).write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
        tables = {"speakers": self.speakers, "emotions": self.emotions}
        save_file(
            {name: t.detach().float().cpu().contiguous() for name, t in tables.items()},
            folder / TABLES,
        )
        (folder / TABLES).chmod(0o644)  # safetensors lets nobody else read what it writes

    @classmethod
    def load(cls, folder: Path) -> "Voices":
        """Reads what `save` wrote. Raises VoicesMissing."""
        if not (folder / NAMES).is_file() or not (folder / TABLES).is_file():
            raise VoicesMissing(
                f"{folder} has no {NAMES} and {TABLES}: a SpeechT5 from the hub speaks in nobody's "
                "voice until 'maata train speecht5 --preset hub' has given it some"
            )
        try:
            names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
            tables = load_file(folder / TABLES)
            voices = cls(
                tables["speakers"].float(),
                tables["emotions"].float(),
                tuple(names["voices"]),
                tuple(names["emotions"]),
                Decoding(**names["decoding"]),
            )
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise VoicesMissing(f"{folder}: {NAMES} or {TABLES} is damaged ({error})") from error
        rows = (len(voices.voice_names), len(voices.emotion_names))
        if (len(voices.speakers), len(voices.emotions)) != rows:
            raise VoicesMissing(f"{folder}: {NAMES} and {TABLES} belong to different models")
        return voices


def blend(speaker: Tensor, emotion: Tensor) -> Tensor:
    """[..., D] each -> [..., D]: the emotion moves a speaker of unit length a little."""
    return F.normalize(speaker, dim=-1) + emotion


def one_speaker(vector: Tensor, name: str) -> Voices:
    """A voice of a published x-vector [D], without emotions."""
    return Voices(vector[None].float(), torch.zeros(1, len(vector)), (name,), ("neutral",))


def _row(name: str, names: tuple[str, ...], kind: str) -> int:
    if name not in names:
        raise UnknownVoice(f"Unknown {kind} '{name}'; one of {', '.join(names)}.")
    return names.index(name)
