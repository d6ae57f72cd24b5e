"""Moshi's own wire: one byte that says what a message is, Opus in Ogg for sound, UTF-8 for words.

Source: `rust/protocol.md` of kyutai-labs/moshi, and the code of its Python server and of its
clients where they differ. Knows nothing of sockets or models. What a caller sends is bounded here:
in sound against the clock, in bytes against the sound they hold.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from time import monotonic

import numpy as np
import sphn

from models.audio import to_float32, to_int16
from pipelines.wire import AUDIO_SLACK_SECONDS

RATE = 24_000  # Hz, both ways, mono
# The decoder holds 5 s for one call of it and gives up on more. 512 bytes of a real microphone
# are at most a second, so whoever sends a whole recording in one message is understood too.
SLICE = 512
UNHEARD_SECONDS = 30.0  # dropped because they came too fast, before the call is not worth having
SOUNDLESS = 128 * 1024  # bytes: two of the longest Ogg pages, and none of them whole


class BadMessage(ValueError):
    """A message that means nothing here; the call can go on without it."""


class BadAudio(ValueError):
    """The caller's audio cannot be followed any further; the sentence says why."""


class Kind(IntEnum):
    """The first byte of a message. Callers send audio; the rest of theirs may be ignored."""

    HANDSHAKE = 0
    AUDIO = 1
    TEXT = 2
    CONTROL = 3
    METADATA = 4
    ERROR = 5
    PING = 6


# The Python server's: the protocol's two version numbers are left out, and no client reads them.
HANDSHAKE = bytes([Kind.HANDSHAKE])


def parse(data: bytes) -> tuple[Kind, bytes]:
    """What a message is, and its payload.

    Raises:
        BadMessage: it is empty, or of a kind that the protocol does not have.
    """
    if not data:
        raise BadMessage("an empty message")
    try:
        return Kind(data[0]), data[1:]
    except ValueError:
        raise BadMessage(f"a message of unknown kind {data[0]}") from None


def audio_message(ogg: bytes) -> bytes:
    """Whole Ogg pages, as `AnswerAudio` makes them."""
    return bytes([Kind.AUDIO]) + ogg


def text_message(text: str) -> bytes:
    """Words to append to what the client shows."""
    return bytes([Kind.TEXT]) + text.encode()


def error_message(sentence: str) -> bytes:
    """Why the call ends or cannot be."""
    return bytes([Kind.ERROR]) + sentence.encode()


class CallerAudio:
    """One caller's Ogg Opus stream, cut anywhere, as int16 PCM.

    A real microphone cannot run ahead of the clock: what is more than AUDIO_SLACK_SECONDS ahead is
    dropped. The decoder holds the interpreter lock, so a worker thread would not free the event
    loop; 80 ms of speech take it 0.06 ms, and the longest slice 5 s may be cut into some 4 ms.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` is seconds on a monotonic clock."""
        self._reader = sphn.OpusStreamReader(RATE)
        self._now = now
        self._started: float | None = None
        self._taken = 0  # samples
        self._dropped = 0  # samples
        self._soundless = 0  # bytes since the last sample

    def decode(self, ogg: bytes) -> Iterator[bytes]:
        """int16 mono PCM at RATE, piece by piece, of the next bytes of the stream.

        Raises:
            BadAudio: they are no Ogg Opus, hold no sound, or come much faster than real time.
        """
        for start in range(0, len(ogg), SLICE):
            piece = ogg[start : start + SLICE]
            try:
                samples: np.ndarray = self._reader.append_bytes(piece)  # float32 [n]
            except ValueError as e:
                raise BadAudio(f"the audio is not Opus in Ogg: {e}") from None
            self._soundless = 0 if len(samples) else self._soundless + len(piece)
            if self._soundless > SOUNDLESS:
                raise BadAudio(f"{SOUNDLESS} bytes of audio messages held no sound")
            if len(samples) and self._in_time(len(samples)):
                yield to_int16(samples).tobytes()

    def _in_time(self, samples: int) -> bool:
        """Counts samples that have come; False when they are to be dropped."""
        now = self._now()
        if self._started is None:
            self._started = now
        if self._taken + samples <= (now - self._started + AUDIO_SLACK_SECONDS) * RATE:
            self._taken += samples
            return True
        self._dropped += samples
        if self._dropped > UNHEARD_SECONDS * RATE:
            raise BadAudio("audio came faster than real time; send it as a microphone would")
        return False


class AnswerAudio:
    """What the engine says, as one Ogg Opus stream.

    Encoding holds the interpreter lock as well: about 0.3 ms for 80 ms of sound.
    """

    def __init__(self) -> None:
        self._writer = sphn.OpusStreamWriter(RATE)

    def encode(self, pcm: bytes) -> bytes:
        """The Ogg pages that int16 mono PCM at RATE completes; may be empty.

        The first ones are the stream's two header pages. A page holds 40 ms.
        """
        return self._writer.append_pcm(to_float32(np.frombuffer(pcm, dtype="<i2")))
