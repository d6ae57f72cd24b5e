"""One thing that the caller of the duplex suite says, with the places in it that are labels.

Knows nothing of the set it is from, of calls or of engines.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from models.audio import Stretch


@dataclass(frozen=True)
class CutIn:
    """What the caller says into the answer, `after_ms` of it were heard."""

    text: str
    pcm: np.ndarray  # int16 [T] at IN_RATE, audible from its first to its last sample
    after_ms: int


@dataclass(frozen=True)
class Echo:
    """How the bot's voice comes back into the caller's microphone."""

    db: float
    delay_ms: int


@dataclass(frozen=True)
class Stimulus:
    """One thing to say, in samples at `IN_RATE`."""

    id: str
    task: str
    condition: str
    text: str
    pcm: np.ndarray  # int16 [T]
    user: Stretch  # the caller's turn in it
    holds: tuple[Stretch, ...] = ()
    side: Stretch | None = None  # somebody else's speech in it
    cut_in: CutIn | None = None
    echo: Echo | None = None
    noise: np.ndarray | None = None  # int16 [T], in the caller's room all the time
    twin: str | None = None

    @property
    def sha256(self) -> str:
        """Of everything that is said."""
        digest = hashlib.sha256(self.pcm.tobytes())
        if self.cut_in is not None:
            digest.update(self.cut_in.pcm.tobytes())
        return digest.hexdigest()[:16]
