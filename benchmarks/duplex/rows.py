"""The raw rows of the duplex suite: one line of `duplex.jsonl` a stimulus and engine.

Like `rows.py` for turns: written once, never edited, one row for everything that was scheduled. A
row holds the labelled user, everything the bot was heard to say, and what follows from both by
`behaviour.py`; so every outcome can be computed again from the row alone.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite.rows import STATUSES, read_lines
from benchmarks.suite.rows import append as append

DUPLEX = "duplex.jsonl"
# The tasks, in the order of the suite; the first four are Full-Duplex-Bench's.
PAUSE = "pause"  # a hold inside a turn: the bot must not take it
BACKCHANNEL = "backchannel"  # a long turn in pieces: the bot may say "mm", no more
SMOOTH = "smooth"  # the turn ends: the bot takes it
INTERRUPTION = "interruption"  # the caller cuts in: the bot stops, and answers the new turn
USER_BACKCHANNEL = "user-backchannel"  # the caller says "mm": the bot goes on
ECHO = "echo"  # the bot's voice comes back through the caller's microphone
SIDE_SPEECH = "side-speech"  # somebody else speaks in the caller's room
NOISE = "noise"  # steady noise all the time
TASKS = (PAUSE, BACKCHANNEL, SMOOTH, INTERRUPTION, USER_BACKCHANNEL, ECHO, SIDE_SPEECH, NOISE)

Span = tuple[float, float]  # [start, end), ms on the recording's clock


@dataclass(frozen=True)
class DuplexRow:
    """One stimulus and one engine; milliseconds on the recording's clock, None = not there."""

    engine: str
    suite: str  # name of the set, with its version
    task: str  # one of TASKS
    stimulus: str  # its id; the same for both engines: rows pair by it
    condition: str  # "hold 700 ms", "cut-in 500 ms", "echo -20 dB"
    order: int  # place of the call in the schedule
    call_id: str  # joins the stimuli of one call: the cluster of a bootstrap
    status: str  # one of rows.STATUSES
    reason: str | None = None  # a sentence, unless answered
    text: str = ""  # what the caller says, second utterance after " | "
    twin: str | None = None  # the stimulus with the same words and no disturbance
    sound_sha256: str = ""  # of what was said: two runs compare only where it is the same

    user: Span | None = None  # true first and last sample of the caller's turn
    holds: tuple[Span, ...] = ()  # labelled pauses inside it
    second: Span | None = None  # cut-in, backchannel or side speech, where there is one
    bot: tuple[Span, ...] = ()  # what the bot was heard to say, joined over 50 ms
    bot_sounds: tuple[Span, ...] = ()  # heard of the bot, and no speech
    cuts: tuple[float, ...] = ()  # when the server dropped what it had sent

    took_turn: bool | None = None  # at least 1 s of bot speech inside the task's window
    early_starts: int = 0  # pieces of bot speech that began inside the caller's turn
    latency_ms: float | None = None  # end of the caller's turn to the answer; signed
    answer_ms: float | None = None  # how long it speaks in answer, pauses left out
    extra_answers: int = 0  # it spoke again after 1 s of silence, though nobody had asked
    backchannels: int = 0  # pieces under 1 s inside the caller's turn
    backchannel_hz: float | None = None  # of them a second of the caller's turn
    backchannel_jsd: float | None = None  # 0 at the places written for them .. 1 elsewhere or none
    stop_ms: float | None = None  # cut-in to the last bot sample before 500 ms of silence
    stale_ms: float | None = None  # bot heard after the server's own flush mark
    overlap_ms: float | None = None  # bot speech over the caller's second utterance
    went_on: bool | None = None  # still speaking 1 s after the caller's "mm"

    underruns: int = 0
    caller_late_ms: float = 0.0  # worst packet of the caller behind its deadline, in the call
    audio: str | None = None  # stereo file below the run's directory: left caller, right bot
    audio_from_ms: float | None = None
    audio_to_ms: float | None = None

    @property
    def answered(self) -> bool:
        """Whether the bot was heard in answer."""
        return self.latency_ms is not None

    def line(self) -> str:
        """One line of JSON, keys in the order above."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read(path: Path) -> list[DuplexRow]:
    """All rows of `duplex.jsonl`.

    Raises:
        RowError: no file, no row, or a line that is no row.
    """
    return read_lines(path, DuplexRow, _row)


def _row(values: dict[str, Any]) -> DuplexRow:
    for name in ("user", "second"):
        values[name] = None if values.get(name) is None else _span(values[name])
    for name in ("holds", "bot", "bot_sounds"):
        values[name] = tuple(_span(span) for span in values.get(name, ()))
    values["cuts"] = tuple(values.get("cuts", ()))
    row = DuplexRow(**values)
    if row.status not in STATUSES or row.task not in TASKS:
        raise ValueError("unknown status or task")
    return row


def _span(pair: list[float]) -> Span:
    start, end = pair
    return float(start), float(end)
