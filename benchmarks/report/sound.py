"""The sound of one turn for a page: cut from a call's stereo file, outlined, encoded small.

Knows nothing of engines or pages.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.sound.stereo import Form, encoded, read_stereo
from models.audio import resample

RATE = 16_000
BIN_MS = 20  # of an outline
LONGEST_MS = 20_000
MP3 = Form("audio/mpeg", "MP3", "MPEG_LAYER_III", 0.75)  # about 48 kbit/s in stereo at 16 kHz


@dataclass(frozen=True)
class Clip:
    """A piece of a call; the outlines are the greatest magnitude, 0..1, of every `BIN_MS`."""

    mp3: bytes
    from_ms: float  # in the call
    to_ms: float
    user: list[float]
    bot: list[float]


def clip(path: Path, from_ms: float, to_ms: float) -> Clip:
    """Both sides of a call between two times; left is the caller, right the bot.

    Raises:
        AudioError: no such file, not stereo, unreadable, or nothing between the two times.
    """
    from_ms = max(0.0, from_ms)
    frames, rate = read_stereo(path, from_ms, min(to_ms, from_ms + LONGEST_MS))
    sides = [resample(np.ascontiguousarray(frames[:, side]), rate, RATE) for side in (0, 1)]
    until = from_ms + 1000.0 * len(sides[0]) / RATE
    mp3 = encoded(np.stack(sides, axis=1), RATE, MP3)
    return Clip(mp3, from_ms, until, *(_outline(s) for s in sides))


def _outline(pcm: np.ndarray) -> list[float]:
    size = RATE * BIN_MS // 1000
    whole = np.pad(np.abs(pcm), (0, -len(pcm) % size)).reshape(-1, size)
    return [round(float(peak), 3) for peak in np.minimum(whole.max(axis=1), 1.0)]
