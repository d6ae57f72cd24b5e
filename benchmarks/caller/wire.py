"""The client's side of the wire: Pipecat's protobuf frames and the RTVI messages inside them.

Bytes in, small dataclasses out; knows nothing about sockets, time or calls. Pipecat itself is not
used: only its generated schema is imported (`frames.proto`: one `Frame` with text, audio,
transcription, message or interruption), which costs the protobuf runtime and nothing of the graph.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from loguru import logger

logger.disable("pipecat")  # its package greets on import
from pipecat.frames.protobufs import frames_pb2  # noqa: E402

logger.enable("pipecat")

IN_RATE = 16_000  # Hz, what a caller sends
OUT_RATE = 24_000  # Hz, what a caller hears
RTVI_LABEL = "rtvi-ai"
RTVI_VERSION = "2.0.0"  # the first with sentence-wise `bot-output`

_Frame = frames_pb2.Frame  # type: ignore[attr-defined]


class WireError(ValueError):
    """The peer sent something that is no frame of this wire."""


@dataclass(frozen=True)
class Audio:
    """Sound from the bot: `pcm` int16 `[T]` mono at `OUT_RATE`."""

    pcm: np.ndarray


@dataclass(frozen=True)
class Interruption:
    """The bot was interrupted: what is buffered must not be heard."""


@dataclass(frozen=True)
class Message:
    """One RTVI message: its type and data (`{}` where there is none)."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Other:
    """A frame a caller has no use for (`text`, `transcription`, a message that is not RTVI)."""

    kind: str


Incoming = Audio | Interruption | Message | Other


def encode_audio(pcm: np.ndarray, rate: int = IN_RATE) -> bytes:
    """One audio frame; `pcm` int16 `[T]` mono."""
    frame = _Frame()
    frame.audio.audio = pcm.astype("<i2", copy=False).tobytes()
    frame.audio.sample_rate = rate
    frame.audio.num_channels = 1
    return frame.SerializeToString()


def encode_message(type_: str, data: dict[str, Any], id_: str) -> bytes:
    """One RTVI message."""
    frame = _Frame()
    frame.message.data = json.dumps({"label": RTVI_LABEL, "type": type_, "id": id_, "data": data})
    return frame.SerializeToString()


def client_ready() -> bytes:
    """What a client says first; the server answers `bot-ready`."""
    about = {"library": "maata-call", "library_version": "0.1.0"}
    return encode_message("client-ready", {"version": RTVI_VERSION, "about": about}, "ready")


def decode(data: bytes | str) -> Incoming:
    """What one WebSocket message from the server says.

    Raises:
        WireError: text where bytes belong, bytes that are no frame, audio of another shape than
            `OUT_RATE` mono PCM16, or a message that is not a JSON object.
    """
    if isinstance(data, str):
        raise WireError("a text message; this wire is binary")
    try:
        frame = _Frame.FromString(data)
    except DecodeError as e:
        raise WireError(f"{len(data)} bytes that are no protobuf frame") from e
    kind = frame.WhichOneof("frame")
    if kind is None:
        raise WireError("an empty frame")
    if kind == "audio":
        return _audio(frame.audio)
    if kind == "interruption":
        return Interruption()
    if kind == "message":
        return _message(frame.message.data)
    return Other(kind)


def _audio(raw: Any) -> Audio:
    if raw.sample_rate != OUT_RATE or raw.num_channels != 1:
        raise WireError(
            f"audio of {raw.sample_rate} Hz and {raw.num_channels} channels instead of "
            f"{OUT_RATE} Hz mono"
        )
    if len(raw.audio) % 2:
        raise WireError(f"audio of {len(raw.audio)} bytes: half a 16-bit sample")
    return Audio(np.frombuffer(raw.audio, dtype="<i2"))


def _message(text: str) -> Incoming:
    try:
        message = json.loads(text)
    except ValueError as e:
        raise WireError("a message that is not JSON") from e
    if not isinstance(message, dict):
        raise WireError("a message that is not a JSON object")
    if message.get("label") != RTVI_LABEL:
        return Other("message")
    type_, data = message.get("type"), message.get("data")
    if not isinstance(type_, str) or not isinstance(data, dict | None):
        raise WireError("an RTVI message without type or with data that is no object")
    return Message(type_, data or {})
