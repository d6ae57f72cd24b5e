"""A caller on Moshi's own wire: Opus in Ogg both ways, text pieces, one byte that says which.

So Kyutai's server is measured with the same microphone, ear and recording as every other. Sources:
`rust/protocol.md` of kyutai-labs/moshi, and its Python server and client (`moshi` 0.2.13), which
send no version numbers in the handshake. Knows nothing about sockets, turns or models.

**What the codec adds.** A sound spoken at t can be known to the server only when the Opus frame of
40 ms that holds it (as stock clients send them) is complete, and the encoder's look-ahead shifts it
first; on the way back the look-ahead alone does (a server of 80 ms frames fills whole Opus frames).
That is inside every latency measured here, as it is for a stock client, and not in those of a wire
of PCM: `codec_delay` measures it and every turn states it as `opus_ms`. What remains is the codec's
echo ahead of a sudden onset, which may be heard up to 4 ms early.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import sphn

from benchmarks.caller.pacing import PACKET, PACKET_MS
from benchmarks.caller.wire import IN_RATE, OUT_RATE, Audio, Incoming, Message, Other, WireError
from models.audio import to_float32, to_int16

HANDSHAKE, AUDIO, TEXT, ERROR = 0, 1, 2, 5  # first byte of a message; the others carry nothing here
UP, DOWN = 3, 2  # 16 kHz to 24 kHz
HISTORY = 32  # samples at IN_RATE that the resampler looks back: a delay of half of it, 1 ms


def _lowpass() -> np.ndarray:
    """Windowed sinc at 48 kHz through 7.5 kHz, `[HISTORY * UP + 1]`, gain `UP` at 0 Hz."""
    n = np.arange(HISTORY * UP + 1) - HISTORY * UP / 2
    taps = np.sinc(n * 2 * 7_500 / (IN_RATE * UP)) * np.kaiser(len(n), 8.0)
    return (UP * taps / taps.sum()).astype(np.float32)


class Upsampler:
    """A stream at IN_RATE, packet by packet, at OUT_RATE; 1 ms late (`HISTORY` / 2 samples)."""

    _taps = _lowpass()

    def __init__(self) -> None:
        self._past = np.zeros(HISTORY, dtype=np.float32)

    def push(self, pcm: np.ndarray) -> np.ndarray:
        """float32 `[T * 3 / 2]` of int16 `[T]`, T even."""
        known = np.concatenate((self._past, to_float32(pcm)))
        self._past = known[-HISTORY:]
        stuffed = np.zeros(len(known) * UP, dtype=np.float32)
        stuffed[::UP] = known
        first = HISTORY * UP
        return np.convolve(stuffed, self._taps)[first : first + len(pcm) * UP : DOWN]


class MoshiDialect:
    """One call in Moshi's protocol.

    The handshake counts as `bot-ready`, text pieces as what the model says, an error as a refusal.
    """

    def __init__(self) -> None:
        self._upsampler = Upsampler()
        self._writer = sphn.OpusStreamWriter(OUT_RATE)
        self._reader = sphn.OpusStreamReader(OUT_RATE)
        delay = codec_delay()
        self.own_ms = {"opus_ms": round(delay.up_ms + delay.down_ms, 1)}

    def hello(self) -> bytes | None:
        return None  # the server speaks first

    def encode(self, packet: np.ndarray) -> bytes | None:
        """Ogg pages, once two packets fill an Opus frame; the first are the stream's headers."""
        ogg = self._writer.append_pcm(self._upsampler.push(packet))
        return bytes([AUDIO]) + ogg if ogg else None

    def decode(self, data: bytes | str) -> Incoming:
        if isinstance(data, str) or not data:
            raise WireError("a text or empty message; this wire is binary")
        kind, payload = data[0], data[1:]
        if kind == AUDIO:
            return self._audio(payload)
        if kind == HANDSHAKE:
            return Message("bot-ready")
        if kind == TEXT:
            return Message("bot-llm-text", {"text": payload.decode(errors="replace")})
        if kind == ERROR:
            return Message("error", {"error": payload.decode(errors="replace"), "fatal": True})
        return Other(f"kind {kind}")

    def _audio(self, ogg: bytes) -> Incoming:
        try:
            samples = self._reader.append_bytes(ogg)  # float32 [T]
        except ValueError as e:
            raise WireError(f"audio that is not Opus in Ogg: {e}") from None
        return Audio(to_int16(samples)) if len(samples) else Other("Ogg headers")


@dataclass(frozen=True)
class CodecDelay:
    """What Opus adds to a turn, in milliseconds, beyond a wire of PCM with the same packets."""

    up_ms: float  # resampler, look-ahead and waiting for a whole Opus frame; mean over positions
    down_ms: float  # look-ahead, from a server that writes whole Opus frames


@cache
def codec_delay() -> CodecDelay:
    """The delay of the codec that is installed, measured on itself in some milliseconds of CPU."""
    packets, at_packet = 16, 8
    waits = []
    for offset in range(0, 2 * PACKET, PACKET // 8):
        onset = at_packet * PACKET + offset
        known = _decodable(_tone(onset, packets * PACKET, IN_RATE))
        sent = onset // PACKET + 1  # packets, when a wire of PCM has sent the onset
        waits.append((known - sent) * PACKET_MS)
    onset, frame = OUT_RATE // 10, OUT_RATE * 80 // 1000
    pcm = to_float32(_tone(onset, 5 * frame, OUT_RATE))
    writer, reader = sphn.OpusStreamWriter(OUT_RATE), sphn.OpusStreamReader(OUT_RATE)
    heard = [
        reader.append_bytes(ogg)
        for at in range(0, len(pcm), frame)
        if (ogg := writer.append_pcm(pcm[at : at + frame]))
    ]
    shift = _onset(np.concatenate(heard)) - onset
    return CodecDelay(float(np.mean(waits)), shift * 1000 / OUT_RATE)


def _decodable(pcm: np.ndarray) -> int:
    """The packets that were sent when the other side could first hear the tone in `pcm`."""
    upsampler = Upsampler()
    writer, reader = sphn.OpusStreamWriter(OUT_RATE), sphn.OpusStreamReader(OUT_RATE)
    for number, at in enumerate(range(0, len(pcm), PACKET), start=1):
        ogg = writer.append_pcm(upsampler.push(pcm[at : at + PACKET]))
        if ogg and _loud(reader.append_bytes(ogg)).any():
            return number
    raise AssertionError("the codec lost a tone")


def _tone(onset: int, length: int, rate: int) -> np.ndarray:
    """int16 `[length]`: silence, then 400 Hz at -10 dBFS from sample `onset` on."""
    n = np.arange(length)
    return to_int16(np.where(n < onset, 0, 0.3 * np.sign(np.sin(2 * np.pi * 400 * n / rate + 0.1))))


def _loud(pcm: np.ndarray) -> np.ndarray:
    return np.abs(pcm) > 0.03


def _onset(pcm: np.ndarray) -> int:
    return int(np.argmax(_loud(pcm)))
