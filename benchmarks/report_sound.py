"""The sound of one turn for a page: cut from a call's stereo file, outlined, encoded small.

MP3, because every browser plays it and its bytes are a function of the samples alone (an Ogg stream
carries a random serial number). Knows nothing of engines or pages.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from models.audio import RATES, AudioError, resample

RATE = 16_000
BIN_MS = 20  # of an outline
LONGEST_MS = 20_000
_QUALITY = 0.75  # libsndfile's compression level: about 48 kbit/s in stereo at 16 kHz


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
    if not path.is_file():
        raise AudioError(f"{path.name}: no such file")
    from_ms = max(0.0, from_ms)
    to_ms = min(to_ms, from_ms + LONGEST_MS)
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            if file.channels != 2:
                raise AudioError(f"{path.name}: {file.channels} channel(s), not caller and bot")
            if rate not in RATES:
                raise AudioError(f"{path.name}: sample rate {rate} Hz is outside 4-384 kHz")
            first, last = (round(ms * rate / 1000) for ms in (from_ms, to_ms))
            if last <= first or first >= file.frames:
                raise AudioError(f"{path.name}: ends before the turn begins")
            file.seek(first)
            frames = file.read(last - first, dtype="float32", always_2d=True)  # [T, 2]
    except (soundfile.LibsndfileError, RuntimeError) as e:
        raise AudioError(f"{path.name}: not a readable audio file ({e})") from e
    if not len(frames) or not np.isfinite(frames).all():
        raise AudioError(f"{path.name}: no samples, or samples that are not numbers")
    sides = [resample(np.ascontiguousarray(frames[:, side]), rate, RATE) for side in (0, 1)]
    until = from_ms + 1000.0 * len(sides[0]) / RATE
    return Clip(_mp3(np.stack(sides, axis=1)), from_ms, until, *(_outline(s) for s in sides))


def _mp3(frames: np.ndarray) -> bytes:
    to = io.BytesIO()
    samples = np.clip(np.rint(frames * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(
        to,
        samples,
        RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=_QUALITY,
        bitrate_mode="CONSTANT",
    )
    return to.getvalue()


def _outline(pcm: np.ndarray) -> list[float]:
    size = RATE * BIN_MS // 1000
    whole = np.pad(np.abs(pcm), (0, -len(pcm) % size)).reshape(-1, size)
    return [round(float(peak), 3) for peak in np.minimum(whole.max(axis=1), 1.0)]
