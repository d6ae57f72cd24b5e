"""What a caller says and hears in bytes: the wire of a server, as one call speaks it.

A dialect turns packets of the microphone into messages and messages into what the caller knows
(sound, an interruption, an RTVI message). It may have state, so every call has its own. Knows
nothing about sockets, time or turns.
"""

from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from benchmarks.caller.line import Refused
from benchmarks.caller.wire import Incoming, client_ready, decode, encode_audio

MOSHI_PATH = "/api/chat"  # of Kyutai's servers, and of this project's for their clients


class Dialect(Protocol):
    """One call's way of speaking."""

    own_ms: dict[str, float]  # what of every turn's latency is the wire's, by name of a stage

    def hello(self) -> bytes | None:
        """What the caller says first; None: nothing."""
        ...

    def encode(self, packet: np.ndarray) -> bytes | None:
        """The message for the next packet, int16 `[PACKET]`; None: nothing to send yet."""
        ...

    def decode(self, data: bytes | str) -> Incoming:
        """What a message says; `bot-ready` where the wire has another word for it.

        Raises:
            WireError: it is no message of this wire.
        """
        ...


class PipecatDialect:
    """Protobuf frames with PCM, and RTVI messages in them."""

    def __init__(self) -> None:
        self.own_ms: dict[str, float] = {}

    def hello(self) -> bytes | None:
        return client_ready()

    def encode(self, packet: np.ndarray) -> bytes | None:
        return encode_audio(packet)

    def decode(self, data: bytes | str) -> Incoming:
        return decode(data)


def is_moshi(url: str) -> bool:
    """Whether an address is spoken to in Moshi's own protocol."""
    return urlsplit(url).path.rstrip("/") == MOSHI_PATH


def dialect_of(url: str) -> Dialect:
    """A new call's dialect, which the path of the address tells.

    Raises:
        Refused: Moshi's, and its Opus codec is not installed.
    """
    if not is_moshi(url):
        return PipecatDialect()
    try:
        from benchmarks.caller.moshi_line import MoshiDialect
    except ImportError as e:
        raise Refused(f"{MOSHI_PATH} speaks Opus: install the s2s extra ({e})") from e
    return MoshiDialect()
