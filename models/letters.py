"""A recogniser's letter head: what the encoder heard, frame by frame, spelled without a decoder.

Lies beside a Whisper's own weights as `ctc.safetensors` (a linear layer, and in its metadata the
letters it tells apart) and `letters.npz` (a letter model of the text). Checkpoints without these
are written out by their decoder as usual. Knows nothing of windows or guards.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from models.ctc import Search, Speller
from models.letter_lm import LetterLM

HEAD, LM = "ctc.safetensors", "letters.npz"


@dataclass(frozen=True)
class Heard:
    """A text and how sure the sound alone makes it."""

    text: str
    avg_logprob: float  # nats a letter, 0 is certain; 0 for no text


class LetterHead:
    """weight [letters, width], bias [letters] and the alphabet of letters 1, 2, ..."""

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray, alphabet: str, lm: LetterLM, search: Search
    ) -> None:
        """Use `load`."""
        self._weight, self._bias = weight.astype(np.float32), bias.astype(np.float32)
        self._alphabet = alphabet
        self._speller = Speller(lm, search)

    @classmethod
    def load(cls, folder: Path, search: Search | None = None) -> "LetterHead | None":
        """The head in a checkpoint's directory; None where it has none."""
        if not (folder / HEAD).is_file():
            return None
        with safe_open(folder / HEAD, framework="numpy") as stored:
            alphabet = stored.metadata()["letters"]
            weight, bias = stored.get_tensor("weight"), stored.get_tensor("bias")
        return cls(weight, bias, alphabet, LetterLM.load(folder / LM), search or Search())

    def hear(self, encoded: np.ndarray) -> Heard:
        """The text of encoder states float32 [S, width], padding cut off."""
        scores = encoded @ self._weight.T + self._bias  # [S, letters]
        scores -= scores.max(axis=1, keepdims=True)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        best = self._speller.best(log_probs)
        text = "".join(self._alphabet[letter - 1] for letter in best.letters).strip()
        return Heard(text, best.log_prob / len(best.letters) if text else 0.0)


def save_head(
    folder: Path, weight: np.ndarray, bias: np.ndarray, alphabet: str, lm: LetterLM
) -> None:
    """Writes a head in fp16 and its letter model into a checkpoint's directory."""
    tensors = {"weight": weight.astype(np.float16), "bias": bias.astype(np.float16)}
    save_file(tensors, folder / HEAD, metadata={"letters": alphabet})
    lm.save(folder / LM)
