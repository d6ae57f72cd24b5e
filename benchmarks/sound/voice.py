"""Whether a bot keeps its voice: each answer of a call against the call's first one.

Through the speaker encoder of `models.speaker`, which tells voices apart and identifies nobody.
Knows nothing of rows, engines or files.
"""

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.sound.dnsmos import RATE
from models.audio import resample

if TYPE_CHECKING:
    from models.speaker import SpeakerEncoder

LEAST_S = 0.8  # of speech: half of what the encoder hears at a time; less says little of a voice


class VoiceMissing(Exception):
    """The encoder's weights are not installed; the sentence names the remedy."""


class Voices:
    """The encoder, loaded. `of` may be called from several threads at once."""

    def __init__(self, encoder: "SpeakerEncoder") -> None:
        """Use `load`."""
        self._encoder, self._lock = encoder, Lock()

    @classmethod
    def load(cls) -> "Voices":
        """The published encoder. Raises VoiceMissing."""
        from models.speaker import EncoderMissing, SpeakerEncoder  # torch: seconds to import

        try:
            return cls(SpeakerEncoder.load())
        except EncoderMissing as e:
            raise VoiceMissing(str(e)) from e

    def of(self, pcm: np.ndarray, rate: int) -> np.ndarray | None:
        """The voice in float32 `[T]` as a unit vector `[256]`; None of too little speech."""
        from models.speaker import prepared

        heard = resample(pcm, rate, RATE)
        if len(prepared(heard)) < LEAST_S * RATE:
            return None
        with self._lock:  # torch brings threads of its own
            return self._encoder.embed(heard)


def likeness(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """Cosine of two voices, 0..1; None where one of them is not known."""
    return None if one is None or other is None else float(one @ other)
