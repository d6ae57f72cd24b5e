"""What a host process and its clients say to each other, as msgpack; any engine, no engine's words.

A stream is one open conversation with an engine: options at the start, chunks both ways, an end.
ZeroMQ keeps message borders and msgspec checks every field, so a message is whole and typed or is
refused at the edge. Loopback and ipc only: the door has no authentication.
"""

from urllib.parse import urlparse

import msgspec

Option = str | float | dict[str, float]
LONGEST = 1 << 20  # bytes of one message; 80 ms of 24 kHz int16 are 3,840
WAITING = 1000  # messages that may queue per connection before the other side counts as stuck


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """A piece of a stream: int16 little-endian mono PCM at the engine's rate, text, token ids."""

    pcm: bytes = b""
    text: str = ""
    tokens: tuple[int, ...] = ()


class Message(msgspec.Struct, tag_field="is", frozen=True):
    """Base of all messages; the field `is` carries the kind."""


# From a client. `stream` is a number the client chooses, unique among its own.


class Open(Message, tag="open", frozen=True):
    stream: int
    options: dict[str, Option]


class Push(Message, tag="push", frozen=True):
    stream: int
    chunk: Chunk


class Finish(Message, tag="finish", frozen=True):
    """No more input follows; the engine answers what it has and ends the stream."""

    stream: int


class Close(Message, tag="close", frozen=True):
    """The client wants nothing more of this stream."""

    stream: int


class Ping(Message, tag="ping", frozen=True):
    """Sent every second by each client; a client that falls silent loses its streams."""


# From the host.


class Opened(Message, tag="opened", frozen=True):
    stream: int


class Refused(Message, tag="refused", frozen=True):
    stream: int
    reason: str
    retry_after: float | None = None  # seconds


class Output(Message, tag="output", frozen=True):
    stream: int
    chunk: Chunk


class Ended(Message, tag="ended", frozen=True):
    """The last message of a stream. `fault` tells a broken stream from one that was done."""

    stream: int
    reason: str
    fault: bool
    counters: dict[str, float] = {}


class Pong(Message, tag="pong", frozen=True):
    """The host is serving. `instance` changes when the process does."""

    instance: str
    health: dict[str, float]


class Failed(Message, tag="failed", frozen=True):
    """The engine could not be loaded; the host process ends."""

    reason: str


FromClient = Open | Push | Finish | Close | Ping
FromHost = Opened | Refused | Output | Ended | Pong | Failed

encode = msgspec.msgpack.Encoder().encode
decode_client = msgspec.msgpack.Decoder(FromClient).decode
decode_host = msgspec.msgpack.Decoder(FromHost).decode


def require_local(address: str) -> str:
    """The address, if only this machine can reach it; ValueError otherwise."""
    url = urlparse(address)
    if url.scheme == "ipc" and address.removeprefix("ipc://").startswith("/"):
        return address
    if url.scheme == "tcp" and url.hostname in {"127.0.0.1", "::1"} and url.port:
        return address
    raise ValueError(
        f"a host's address must be ipc:///path or tcp://127.0.0.1:PORT, not {address!r}"
    )
