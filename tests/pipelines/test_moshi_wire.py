"""Moshi's wire: messages, streams cut anywhere, clocks, and bytes that are no Opus."""

import numpy as np
import pytest
import sphn

from models.audio import to_float32
from pipelines.moshi_wire import BadAudio, BadMessage, CallerAudio, Kind, parse
from tests.pipelines.moshi_caller import FRAME, RATE, opus


def test_messages_are_a_byte_and_a_payload() -> None:
    assert parse(b"\x01OggS") == (Kind.AUDIO, b"OggS")
    assert parse(b"\x06") == (Kind.PING, b"")
    for nothing in (b"", b"\x07", b"\xff\x01"):
        with pytest.raises(BadMessage):
            parse(nothing)


@pytest.mark.parametrize("cut", [1, 7, 511, 513, 1 << 20])
def test_a_caller_may_cut_his_stream_anywhere(cut: int) -> None:
    """Also one message of 20 seconds, of which the clock lets 10 seconds through."""
    pcm = np.random.default_rng(0).normal(0, 0.1, 20 * RATE).astype(np.float32)
    ogg = b"".join(opus(pcm))
    reader = sphn.OpusStreamReader(RATE)
    whole = np.concatenate([reader.append_bytes(ogg[i : i + 256]) for i in range(0, len(ogg), 256)])
    audio = CallerAudio(now=lambda: 0.0)
    pieces = [p for i in range(0, len(ogg), cut) for p in audio.decode(ogg[i : i + cut])]
    heard = to_float32(np.frombuffer(b"".join(pieces), dtype="<i2"))
    assert 9.9 * RATE < len(heard) <= 10 * RATE
    heard = heard[: 9 * RATE]  # at the end a short piece still fits where a longer one did not
    assert np.abs(heard - whole[: len(heard)]).max() <= 0.5 / 32768 + 1e-7


def test_the_clock_lets_a_minute_through_in_a_minute() -> None:
    now = [0.0]
    audio = CallerAudio(now=lambda: now[0])
    heard = 0
    for ogg in opus(np.random.default_rng(0).normal(0, 0.1, 60 * RATE).astype(np.float32)):
        heard += sum(len(piece) // 2 for piece in audio.decode(ogg))
        now[0] += FRAME / RATE
    assert heard == 60 * RATE


def test_noise_in_the_stream_is_refused_and_never_crashes() -> None:
    rng = np.random.default_rng(0)
    good = b"".join(opus(rng.normal(0, 0.1, 10 * FRAME).astype(np.float32)))
    refused = 0
    for _ in range(2000):
        bad = bytearray(good[: int(rng.integers(100, len(good)))])
        for _ in range(int(rng.integers(1, 20))):
            at = int(rng.integers(len(bad)))
            match int(rng.integers(3)):
                case 0:
                    bad[at] = int(rng.integers(256))
                case 1:
                    del bad[at : at + int(rng.integers(1, 40))]
                case _:
                    bad[at:at] = rng.bytes(int(rng.integers(1, 40)))
            bad = bad or bytearray(b"O")
        audio = CallerAudio()
        try:
            for piece in audio.decode(bytes(bad)):
                assert len(piece) % 2 == 0
        except BadAudio:
            refused += 1
    assert 100 < refused < 2000
