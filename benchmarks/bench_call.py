"""One call of a run: placed, recorded, and turned into the rows of its turns.

A row for every turn that was to be said, whatever came of it: answered, silent, endless, refused,
lost, bad-input. Knows how a caller waits and what a row is; nothing about the other calls.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from benchmarks.accounting import account
from benchmarks.call import call_url
from benchmarks.caller import ENDLESS as ENDLESS_EVENT
from benchmarks.caller import Call, Manners, place_call
from benchmarks.endpoints import listening
from benchmarks.info import http_base
from benchmarks.keys import Key, fits
from benchmarks.line import Refused
from benchmarks.pacing import PACKET_MS
from benchmarks.recording import Recording, Turn, Utterance
from benchmarks.rows import (
    ANSWERED,
    BAD_INPUT,
    ENDLESS,
    LOST,
    REFUSED,
    SILENT,
    TurnRow,
)
from benchmarks.schedule import Planned
from benchmarks.wire import IN_RATE, OUT_RATE
from models.audio import speech_end

# A person would have hung up; 800 ms is longer than any voice's pause between two sentences.
PATIENCE = Manners(answer_over_ms=800, answer_timeout_s=8.0, longest_answer_s=20.0)
AUDIO = "audio"  # below the run's directory
SUFFIX = ".flac"


class HungUp(Exception):
    """Ctrl-C: the call was ended before its turns were, and none of them counts."""


@dataclass(frozen=True)
class Said:
    """One turn of the caller."""

    text: str
    utterance: Utterance
    key: Key | None = None  # what a fitting answer holds


@dataclass(frozen=True)
class Line:
    """Where and how a run's calls are placed."""

    suite: str  # name of the set, for the rows
    out: Path  # the run's directory
    manners: Manners = PATIENCE
    token: str | None = None
    server_clock: bool = True  # the server's local time is this machine's


def rows_without_call(
    planned: Planned, said: Sequence[Said], suite: str, status: str, reason: str
) -> list[TurnRow]:
    """The rows of a call that was not placed."""
    return [_row(planned, suite, n, s.text, status, reason) for n, s in enumerate(said, 1)]


async def place(
    address: str, planned: Planned, said: Sequence[Said], line: Line, hang_up: asyncio.Event
) -> list[TurnRow]:
    """Places one call and writes its sound and events below `line.out`; a row for every turn.

    Raises:
        HungUp: `hang_up` was set; nothing is to be kept of the call.
        OSError: the files cannot be written.
    """
    bad = {n: why for n, s in enumerate(said) if (why := unusable(s.utterance))}
    good = [n for n in range(len(said)) if n not in bad]
    rows = {
        n: _row(planned, line.suite, n + 1, said[n].text, BAD_INPUT, bad[n]) for n in sorted(bad)
    }
    if good:
        placed = await _placed(address, planned, [said[n] for n in good], line, hang_up)
        rows |= {
            n: replace(row, turn=n + 1, reference=said[n].text)
            for n, row in zip(good, placed, strict=True)
        }
    return [rows[n] for n in range(len(said))]


def unusable(utterance: Utterance) -> str | None:
    """Why nobody can be asked to answer this; None if it can be said."""
    if not len(utterance.pcm):
        return f"{utterance.name} holds no samples"
    if speech_end(utterance.pcm, IN_RATE) is None:
        return f"nothing is audible in {utterance.name}"
    return None


async def _placed(
    address: str, planned: Planned, said: Sequence[Said], line: Line, hang_up: asyncio.Event
) -> list[TurnRow]:
    try:
        call = await _dial(address, [s.utterance for s in said], line, hang_up)
    except Refused as e:
        if hang_up.is_set():
            raise HungUp from e
        there = await asyncio.to_thread(listening, http_base(address))
        return rows_without_call(planned, said, line.suite, REFUSED if there else LOST, str(e))
    ended = datetime.now()
    if hang_up.is_set() and call.ended:
        raise HungUp
    clock = ended if line.server_clock else None
    return await asyncio.to_thread(rows_of, call, planned, said, line, clock)


async def _dial(
    address: str, utterances: list[Utterance], line: Line, hang_up: asyncio.Event
) -> Call:
    url = call_url(address, token=line.token)
    return await place_call(url, utterances, line.manners, hang_up=hang_up)


def rows_of(
    call: Call,
    planned: Planned,
    said: Sequence[Said],
    line: Line,
    ended: datetime | None = None,
) -> list[TurnRow]:
    """The rows of a call that took place, perhaps not to its end; writes its files.

    Args:
        call: what came of it.
        planned: its place in the schedule.
        said: what its turns were to say.
        line: where the files go.
        ended: the server's local time at the end of the call, for answers that tell the time.
    """
    recording = call.recording
    turns = recording.turns()
    recording.events.extend({"event": "measured", **vars(turn)} for turn in turns)
    sound = f"{AUDIO}/{file_name(planned)}{SUFFIX}"
    stereo = line.out / sound
    recording.save_as(stereo, stereo.with_suffix(".events.jsonl"), call.user)
    end = max(recording.playback.end, round(len(call.user) * OUT_RATE / IN_RATE))
    bounds = list(pairwise([*(span.begin for span in recording.spans), end]))
    rows = []
    for n, s in enumerate(said):
        row = _row(planned, line.suite, n + 1, s.text, LOST, call.ended, sound)
        if n < len(turns):
            last = n + 1 == len(turns)
            endless = _outlasted(recording, n + 1)
            row = _measured(row, turns[n], bounds[n], call, endless)
            if last and call.ended:  # what was heard of its answer is not all of it
                row = replace(row, status=REFUSED if call.refused else LOST, reason=call.ended)
                row = replace(row, v2v_ms=None, stages={})
            elif row.answered:
                ago = timedelta(milliseconds=_ms(end) - (row.bot_start_ms or 0.0))
                row = replace(row, fits=fits(s.key, row.bot_text, ended and ended - ago))
        elif call.refused:
            row = replace(row, status=REFUSED)
        rows.append(row)
    return rows


def file_name(planned: Planned) -> str:
    """Unique among a run's calls, and sorted as they came."""
    kind = "-warmup" if planned.warmup else ""
    name = f"{planned.order:04d}-{planned.engine}-{planned.conversation}{kind}"
    return re.sub(r"[^\w.-]", "-", name)


def _row(
    planned: Planned,
    suite: str,
    turn: int,
    text: str,
    status: str,
    reason: str | None = None,
    audio: str | None = None,
) -> TurnRow:
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
        reference=text,
        audio=audio,
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
