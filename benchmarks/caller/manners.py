"""How a caller behaves: what it waits for, how long, and when it speaks.

Knows no wire and no clock.
"""

from dataclasses import dataclass

from benchmarks.caller.playback import DEFAULT_JITTER_MS


@dataclass(frozen=True)
class Manners:
    """How a caller behaves; times as an ear and a mouth have them."""

    jitter_ms: int = DEFAULT_JITTER_MS
    lead_in_ms: int = 500  # silence before the first turn: the server's VAD settles
    answer_over_ms: int = 1000  # the bot is silent so long: it has finished
    # Silence that is enough once the bot has also said that it has finished; None: its word does
    # not count. It moves nothing but the next turn: what is measured is on the recording.
    told_over_ms: int | None = None
    answer_timeout_s: float = 15.0  # from the user's end to the first sound of an answer
    longest_answer_s: float = 60.0
    connect_timeout_s: float = 10.0
    ready_timeout_s: float = 30.0
    barge_in_after_ms: int | None = None  # speak the next turn so long after the bot is heard
    rest_ms: int | None = None  # speak the next turn so long after the last, whatever the bot does
    # Of a server that knows no RTVI: speak after so long though nobody said it was ready, or as
    # soon as the bot is heard. None: the server must say that it is ready.
    without_ready_s: float | None = None
