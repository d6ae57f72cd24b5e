"""Where a turn's voice-to-voice time went: terms that sum to it, the unexplained rest among them.

    v2v_ms = the server's stages + playback_ms + leading_silence_ms + residual_ms

* **The server's stages** (`endpointing_ms`, `asr_ms` … of a cascade, `answer_ms` of a full-duplex
  model) are its own account, on its own clock, from where its VAD puts the end of the speech to its
  first sound of the answer. A server that sends no account has none.
* **opus_ms**, on Moshi's own wire only: what the codec of that wire adds (`moshi_line.py`).
* **playback_ms**: the answer's first packet reached the caller and waited in the jitter buffer.
* **leading_silence_ms**: that packet was being heard, but nothing in it was audible yet.
* **residual_ms**: what nobody accounts for, with its sign: the way through the network and both
  sockets, and the error of the server's idea of when the speech ended. Far from zero, it says that
  the server's account is not to be believed; of a server without one it is the whole wait.

Takes positions and milliseconds; knows nothing about sockets, tracks or files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLAYBACK, LEADING_SILENCE, RESIDUAL = "playback_ms", "leading_silence_ms", "residual_ms"
TOTAL = "total_ms"  # the server's own sum of its stages, which is no stage
RULE = (
    "v2v_ms = the server's own stages + playback_ms (jitter buffer) + leading_silence_ms (first "
    "packet heard to first audible sample) + residual_ms (network, and the server's error about "
    "the end of the speech; signed)"
)


@dataclass(frozen=True)
class Packet:
    """A packet of the bot, in samples on the recording's clock: arrival, first sample heard."""

    arrived: int
    heard: int
    length: int

    @property
    def end(self) -> int:
        """The sample after its last one."""
        return self.heard + self.length


def first_packet(packets: Sequence[Packet], start: int, user_end: int) -> Packet | None:
    """The packet that began the answer whose first audible sample is `start`.

    That is the first of the packets played back to back up to `start`: an answer's leading silence
    belongs to it. A full-duplex model's sound never pauses, so its back-to-back run reaches back
    before `user_end`; there the answer begins with the packet that is audible.

    Args:
        packets: in the order of their arrival.
        start: sample; None comes back if no packet holds it.
        user_end: the sample after the caller's last audible one.
    """
    at = next((n for n, p in enumerate(packets) if p.heard <= start < p.end), None)
    if at is None:
        return None
    first = at
    while (
        first > 0 and packets[first - 1].heard + packets[first - 1].length == packets[first].heard
    ):
        first -= 1
    return packets[first] if packets[first].arrived >= user_end else packets[at]


def account(
    v2v_ms: float,
    server: Mapping[str, float],
    *,
    arrived_ms: float | None,
    heard_from_ms: float | None,
    bot_start_ms: float,
) -> dict[str, float]:
    """The terms above, in their order; they sum to `v2v_ms` but for the rounding to 0.1 ms.

    Args:
        v2v_ms: measured on the recording; may be negative.
        server: the server's latency record, its `total_ms` included, and what the wire adds; {} if
            there is neither.
        arrived_ms: arrival of the answer's first packet, on the recording's clock; None: unknown.
        heard_from_ms: where that packet is heard.
        bot_start_ms: first audible sample of the answer.
    """
    terms = {name: round(ms, 1) for name, ms in server.items() if name != TOTAL}
    if arrived_ms is not None and heard_from_ms is not None:
        terms[PLAYBACK] = round(heard_from_ms - arrived_ms, 1)
        terms[LEADING_SILENCE] = round(bot_start_ms - heard_from_ms, 1)
    terms[RESIDUAL] = round(v2v_ms - sum(terms.values()), 1)
    return terms
