"""What a caller may send: audio in the announced format and RTVI client messages; nothing else.

Pipecat's protobuf serializer also takes transcriptions, text and interruptions from a client and
puts them into the graph as if the services had made them, and raises on a malformed message, which
ends its receive loop. This one filters and survives. Knows nothing about what the call does next.
"""

import json
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pipecat.frames.protobufs.frames_pb2 as frame_protos
from google.protobuf.message import DecodeError
from pipecat.frames.frames import Frame, InputAudioRawFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.protobuf import ProtobufFrameSerializer

RTVI_LABEL = "rtvi-ai"
ALLOWED_MESSAGES = frozenset({"client-ready", "client-message", "disconnect-bot"})
# A real microphone cannot run ahead of the clock; the slack covers a sender catching up after a
# stall. Faster input would only pile up in front of the recogniser.
AUDIO_SLACK_SECONDS = 10.0


class CallerSerializer(ProtobufFrameSerializer):
    """Pipecat's protobuf wire, with everything a caller should not send taken out."""

    def __init__(
        self,
        *,
        sample_rate: int,
        on_rejected: Callable[[str, str], Awaitable[None]],
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Set what is accepted.

        Args:
            sample_rate: the one rate accepted for audio; mono 16-bit is implied.
            on_rejected: called with (kind, sentence) for every message that is dropped.
            now: seconds on a monotonic clock.
        """
        super().__init__()
        self._rate = sample_rate
        self._on_rejected = on_rejected
        self._now = now
        self._started: float | None = None
        self._samples = 0
        self._muted = False

    def begin_answer(self) -> None:
        """A new answer's audio may pass."""
        self._muted = False

    async def serialize(self, frame: Frame) -> str | bytes | None:
        """Bytes for the caller, or None for what has no form here or must not be heard.

        Pipecat's output transport finishes the chunk it was writing when an interruption came, so
        up to 40 ms of the old answer would follow the message that told the caller to drop it.
        Between an interruption and the next answer no audio passes.
        """
        if isinstance(frame, InterruptionFrame):
            self._muted = True
        if not self._has_form(frame) or (self._muted and isinstance(frame, OutputAudioRawFrame)):
            return None
        return await super().serialize(frame)

    def _has_form(self, frame: Frame) -> bool:
        return type(frame) in self.SERIALIZABLE_TYPES or hasattr(frame, "message")

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """A frame the graph may see, or None for anything else. Never raises on bad input."""
        if isinstance(data, str):
            return await self._reject("text", "this socket speaks binary protobuf frames, not text")
        try:
            proto: Any = frame_protos.Frame.FromString(data)  # type: ignore[attr-defined]
        except (DecodeError, TypeError, ValueError):
            return await self._reject("malformed", "a message was no protobuf frame")
        match proto.WhichOneof("frame"):
            case "audio":
                return await self._audio(proto.audio, data)
            case "message":
                return await self._message(proto.message, data)
            case kind:
                return await self._reject(
                    "forbidden", f"callers send audio and messages, not {kind or 'empty'} frames"
                )

    async def _audio(self, audio: Any, data: bytes) -> Frame | None:
        if audio.sample_rate != self._rate or audio.num_channels != 1:
            return await self._reject(
                "format",
                f"audio must be {self._rate} Hz mono 16-bit; got {audio.sample_rate} Hz, "
                f"{audio.num_channels} channel(s)",
            )
        if not audio.audio or len(audio.audio) % 2:
            return await self._reject("format", "audio must hold whole 16-bit samples")
        now = self._now()
        if self._started is None:
            self._started = now
        allowed = (now - self._started + AUDIO_SLACK_SECONDS) * self._rate
        if self._samples + len(audio.audio) // 2 > allowed:
            return await self._reject("fast", "audio came faster than real time and was dropped")
        self._samples += len(audio.audio) // 2
        return InputAudioRawFrame(audio=audio.audio, sample_rate=self._rate, num_channels=1)

    async def _message(self, message: Any, data: bytes) -> Frame | None:
        try:
            content = json.loads(message.data)
        except (ValueError, RecursionError):
            return await self._reject("message", "a message was no JSON")
        if not isinstance(content, dict) or content.get("label") != RTVI_LABEL:
            return await self._reject("message", "a message was not RTVI")
        kind = content.get("type")
        if kind not in ALLOWED_MESSAGES:
            return await self._reject("message", f"RTVI message {str(kind)[:40]!r} is not accepted")
        return await super().deserialize(data)

    async def _reject(self, kind: str, sentence: str) -> None:
        await self._on_rejected(kind, sentence)


def error_message(sentence: str, *, fatal: bool) -> bytes:
    """An RTVI error as it goes over the wire, for sockets that never get a pipeline."""
    data = {"error": sentence, "fatal": fatal}
    return server_bytes({"label": RTVI_LABEL, "type": "error", "id": "0", "data": data})


def server_bytes(message: dict[str, Any]) -> bytes:
    """A JSON message in its protobuf frame."""
    proto: Any = frame_protos.Frame()  # type: ignore[attr-defined]
    proto.message.data = json.dumps(message, ensure_ascii=False)
    return proto.SerializeToString()
