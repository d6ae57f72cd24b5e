"""What is sent parses in Pipecat's own serializer; what comes back parses here or fails by name."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import (
    InputAudioRawFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    TextFrame,
)
from pipecat.serializers.protobuf import ProtobufFrameSerializer

from benchmarks.caller.wire import (
    OUT_RATE,
    Audio,
    Interruption,
    Message,
    Other,
    WireError,
    client_ready,
    decode,
    encode_audio,
    encode_message,
    frames_pb2,
)

PCM = np.arange(-160, 160, dtype=np.int16)


async def test_pipecat_understands_what_is_sent():
    frame = await ProtobufFrameSerializer().deserialize(encode_audio(PCM))
    assert isinstance(frame, InputAudioRawFrame)
    assert (frame.sample_rate, frame.num_channels) == (16_000, 1)
    assert frame.audio == PCM.tobytes()
    message = getattr(await ProtobufFrameSerializer().deserialize(client_ready()), "message", {})
    assert (message["label"], message["type"]) == ("rtvi-ai", "client-ready")
    assert message["data"]["version"].startswith("2.")


async def test_what_pipecat_sends_is_understood():
    async def sent(frame) -> bytes:
        data = await ProtobufFrameSerializer().serialize(frame)
        assert isinstance(data, bytes)
        return data

    audio = decode(await sent(OutputAudioRawFrame(PCM.tobytes(), OUT_RATE, 1)))
    assert isinstance(audio, Audio)
    assert (audio.pcm == PCM).all()
    assert decode(await sent(InterruptionFrame())) == Interruption()
    assert decode(await sent(TextFrame("అవును"))) == Other("text")
    body = {"label": "rtvi-ai", "type": "user-transcription", "data": {"text": "అవును"}}
    assert decode(await sent(OutputTransportMessageFrame(body))) == Message(
        "user-transcription", {"text": "అవును"}
    )


def _message(text: str) -> bytes:
    frame = frames_pb2.Frame()  # type: ignore[attr-defined]
    frame.message.data = text
    return frame.SerializeToString()


def _audio(audio: bytes, rate: int, channels: int) -> bytes:
    frame = frames_pb2.Frame()  # type: ignore[attr-defined]
    frame.audio.audio, frame.audio.sample_rate, frame.audio.num_channels = audio, rate, channels
    return frame.SerializeToString()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("text", "text message"),
        (b"\xff\xff\xff", "no protobuf frame"),
        (b"", "empty frame"),
        (_audio(b"\0\0", 16_000, 1), "16000 Hz"),
        (_audio(b"\0\0\0\0", OUT_RATE, 2), "2 channels"),
        (_audio(b"\0\0\0", OUT_RATE, 1), "half a 16-bit sample"),
        (_message("{"), "not JSON"),
        (_message("[]"), "not a JSON object"),
        (_message('{"label":"rtvi-ai"}'), "without type"),
        (_message('{"label":"rtvi-ai","type":"x","data":[]}'), "no object"),
    ],
)
def test_nonsense_is_named(data, words):
    with pytest.raises(WireError, match=words):
        decode(data)


def test_a_message_that_is_not_rtvi_is_left_alone():
    assert decode(_message('{"hello": 1}')) == Other("message")
    assert decode(encode_message("bot-ready", {}, "1")) == Message("bot-ready")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_the_named_error(data):
    with suppress(WireError):
        assert isinstance(decode(data), Audio | Interruption | Message | Other)
