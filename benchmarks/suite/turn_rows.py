"""From a call that took place to the rows of its turns.

Everything is read off the recording: the server's messages give texts and stages, never times.
Knows what a row is; nothing about sockets or the other calls.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from benchmarks.caller.caller import Call
from benchmarks.caller.pacing import PACKET_MS
from benchmarks.caller.session import ENDLESS as ENDLESS_EVENT
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.keys.keys import Key, fits
from benchmarks.ruler.accounting import account
from benchmarks.ruler.recording import Recording, Turn, Utterance
from benchmarks.suite.rows import ANSWERED, ENDLESS, LOST, REFUSED, SILENT, TurnRow
from benchmarks.suite.schedule import Planned

AUDIO = "audio"  # below the run's directory
SUFFIX = ".flac"


@dataclass(frozen=True)
class Said:
    """One turn of the caller."""

    text: str
    utterance: Utterance
    key: Key | None = None  # what a fitting answer holds
    group: str = ""  # of turns that are not independent: a speaker, a sentence


def rows_without_call(
    planned: Planned, said: Sequence[Said], suite: str, status: str, reason: str
) -> list[TurnRow]:
    """The rows of a call that was not placed."""
    return [row_of(planned, suite, n, s, status, reason) for n, s in enumerate(said, 1)]


def rows_of(
    call: Call,
    planned: Planned,
    said: Sequence[Said],
    suite: str,
    out: Path,
    ended: datetime | None = None,
) -> list[TurnRow]:
    """The rows of a call that took place, perhaps not to its end; writes its files.

    Args:
        call: what came of it.
        planned: its place in the schedule.
        said: what its turns were to say.
        suite: name of the set.
        out: the run's directory, for the files.
        ended: the server's local time at the end of the call, for answers that tell the time.
    """
    recording = call.recording
    turns = recording.turns()
    recording.events.extend({"event": "measured", **vars(turn)} for turn in turns)
    sound = f"{AUDIO}/{file_name(planned)}{SUFFIX}"
    stereo = out / sound
    recording.save_as(stereo, stereo.with_suffix(".events.jsonl"), call.user)
    end = max(recording.playback.end, round(len(call.user) * OUT_RATE / IN_RATE))
    bounds = list(pairwise([*(span.begin for span in recording.spans), end]))
    rows = []
    for n, s in enumerate(said):
        row = row_of(planned, suite, n + 1, s, LOST, call.ended, sound)
        if n < len(turns):
            last = n + 1 == len(turns)
            # A warm-up's answer is left as soon as it is heard, by the caller's manners.
            endless = _outlasted(recording, n + 1) and not planned.warmup
            row = _measured(row, turns[n], bounds[n], call, endless)
            if last and call.ended:  # what was heard of its answer is not all of it
                row = replace(row, status=REFUSED if call.refused else LOST, reason=call.ended)
                row = replace(row, v2v_ms=None, stages={})
            elif row.answered:
                ago = timedelta(milliseconds=_ms(end) - (row.bot_start_ms or 0.0))
                now = ended and ended - ago
                row = replace(
                    row,
                    fits=fits(s.key, row.bot_text, now),
                    answered_at=now and now.isoformat(timespec="seconds"),
                )
        elif call.refused:
            row = replace(row, status=REFUSED)
        rows.append(row)
    return rows


def file_name(planned: Planned) -> str:
    """Unique among a run's calls, and sorted as they came."""
    kind = "-warmup" if planned.warmup else ""
    name = f"{planned.order:04d}-{planned.engine}-{planned.conversation}{kind}"
    return re.sub(r"[^\w.-]", "-", name)


def row_of(
    planned: Planned,
    suite: str,
    turn: int,
    said: Said,
    status: str,
    reason: str | None = None,
    audio: str | None = None,
) -> TurnRow:
    """A turn's row with nothing measured; `turn` counts from 1."""
    return TurnRow(
        engine=planned.engine,
        suite=suite,
        conversation=planned.conversation,
        turn=turn,
        repeat=planned.repeat,
        order=planned.order,
        status=status,
        reason=reason,
        warmup=planned.warmup,
        call_id=file_name(planned) if audio else "",
        reference=said.text,
        audio=audio,
        group=said.group,
    )


def _measured(
    row: TurnRow, turn: Turn, bounds: tuple[int, int], call: Call, endless: bool
) -> TurnRow:
    """What the recording says of one turn; `bounds` are its samples, up to the next one."""
    begin, end = bounds
    gaps = [u for u in call.recording.playback.underruns if begin <= u.at < end]
    late = call.late_ms[_packet(begin) : _packet(end) + 1]
    row = replace(
        row,
        user_text=turn.user_text,
        bot_text=turn.bot_text,
        user_end_ms=turn.user_end_ms,
        bot_start_ms=turn.bot_start_ms,
        bot_end_ms=turn.bot_end_ms,
        false_starts=turn.false_starts,
        underruns=len(gaps),
        underrun_ms=round(sum(u.length for u in gaps) * 1000 / OUT_RATE, 1),
        caller_late_ms=round(max(late, default=0.0), 1),
        audio_from_ms=_ms(begin),
        audio_to_ms=_ms(end),
    )
    if turn.v2v_ms is None or turn.bot_start_ms is None:
        reason = (
            "the bot went on speaking from before this turn, so no answer to it began"
            if endless
            else "the bot said nothing within the caller's patience"
        )
        return replace(row, status=ENDLESS if endless else SILENT, reason=reason)
    return replace(
        row,
        status=ENDLESS if endless else ANSWERED,
        reason="the bot did not stop within the caller's patience" if endless else None,
        bot_end_ms=None if endless else row.bot_end_ms,
        v2v_ms=turn.v2v_ms,
        stages=account(
            turn.v2v_ms,
            turn.stages | call.wire_ms,
            arrived_ms=turn.arrived_ms,
            heard_from_ms=turn.heard_from_ms,
            bot_start_ms=turn.bot_start_ms,
        ),
    )


def _outlasted(recording: Recording, turn: int) -> bool:
    """Whether the caller gave up waiting for the bot to stop; `turn` counts the call's from 1."""
    return any(e["event"] == ENDLESS_EVENT and e["turn"] == turn for e in recording.events)


def _packet(sample: int) -> int:
    """The caller's packet that was being spoken at a sample of the recording."""
    return round(sample * 1000 / OUT_RATE) // PACKET_MS


def _ms(samples: int) -> float:
    return round(samples * 1000 / OUT_RATE, 1)
