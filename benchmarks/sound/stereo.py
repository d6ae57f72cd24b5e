"""A call's stereo file: left the caller, right the bot; read in part or whole, and clips written.

The bench's one door to libsndfile, and so to compressed sound. Knows nothing of rows, engines or
pages. PCM is float32 in -1..1 at the rate it was recorded with.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from models.audio import RATES, AudioError

BOT = 1  # the channel


def read_stereo(
    path: Path, from_ms: float = 0.0, to_ms: float | None = None
) -> tuple[np.ndarray, int]:
    """Both sides between two times, `[T, 2]`, and their sample rate; `to_ms` None: to the end.

    Raises:
        AudioError: no such file, not stereo, unreadable, or nothing between the two times.
    """
    if not path.is_file():
        raise AudioError(f"{path.name}: no such file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            if file.channels != 2:
                raise AudioError(f"{path.name}: {file.channels} channel(s), not caller and bot")
            if rate not in RATES:
                raise AudioError(f"{path.name}: sample rate {rate} Hz is outside 4-384 kHz")
            if not file.frames:
                raise AudioError(f"{path.name}: holds no samples")
            first = max(0, round(from_ms * rate / 1000))
            last = file.frames if to_ms is None else round(to_ms * rate / 1000)
            if last <= first or first >= file.frames:
                raise AudioError(f"{path.name}: ends before {from_ms / 1000:.1f} s")
            file.seek(first)
            frames = file.read(last - first, dtype="float32", always_2d=True)  # [T, 2]
    except (soundfile.LibsndfileError, RuntimeError) as e:
        reason = str(e).replace(str(path), path.name)  # a directory is another one elsewhere
        raise AudioError(f"{path.name}: not a readable audio file ({reason})") from e
    if not len(frames) or not np.isfinite(frames).all():
        raise AudioError(f"{path.name}: no samples, or samples that are not numbers")
    return frames, rate


def read_bot(
    path: Path, from_ms: float = 0.0, to_ms: float | None = None
) -> tuple[np.ndarray, int]:
    """The bot's side alone, `[T]`; otherwise as `read_stereo`."""
    frames, rate = read_stereo(path, from_ms, to_ms)
    return np.ascontiguousarray(frames[:, BOT]), rate


def shape(data: bytes) -> tuple[int, int] | None:
    """Channels and sample rate of an encoded file; None of one that cannot be read."""
    try:
        about = soundfile.info(io.BytesIO(data))
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    return about.channels, about.samplerate


@dataclass(frozen=True)
class Form:
    """How a clip is written; every current browser plays both containers."""

    mime: str
    container: str  # FLAC or MP3; an Ogg stream would carry a random serial number
    subtype: str  # libsndfile's name of the codec
    level: float  # libsndfile's compression level: of MP3 it chooses the bit rate


def encoded(pcm: np.ndarray, rate: int, form: Form) -> bytes:
    """A clip, float32 `[T]` or `[T, 2]`, as a file that is a function of its samples alone."""
    to = io.BytesIO()
    soundfile.write(
        to,
        np.clip(np.rint(pcm * 32768.0), -32768, 32767).astype(np.int16),
        rate,
        format=form.container,
        subtype=form.subtype,
        compression_level=form.level,
        bitrate_mode="CONSTANT" if form.container == "MP3" else None,
    )
    return to.getvalue()
