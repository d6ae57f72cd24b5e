"""One call of a run: placed, and turned into the rows of its turns (`turn_rows.py`).

A row for every turn that was to be said, whatever came of it: answered, silent, endless, refused,
lost, bad-input. Knows how a caller waits; nothing about the other calls.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from benchmarks.caller.call import call_url
from benchmarks.caller.caller import Call, place_call
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE
from benchmarks.ruler.recording import Utterance
from benchmarks.server.endpoints import listening
from benchmarks.server.info import http_base
from benchmarks.suite.rows import BAD_INPUT, LOST, REFUSED, TurnRow
from benchmarks.suite.schedule import Planned
from benchmarks.suite.turn_rows import Said, row_of, rows_of, rows_without_call
from models.audio import speech_end

# A person would have hung up. 800 ms is longer than any voice's pause between two sentences, 250 ms
# a gap between two people, left to a bot that says of itself that it has finished.
PATIENCE = Manners(
    lead_in_ms=300,
    answer_over_ms=800,
    told_over_ms=250,
    answer_timeout_s=5.0,
    longest_answer_s=20.0,
)
WARMUP_ANSWER_S = 0.5  # of a warm-up's answer is heard: by then every model has worked


class HungUp(Exception):
    """Ctrl-C: the call was ended before its turns were, and none of them counts."""


@dataclass(frozen=True)
class Line:
    """Where and how a run's calls are placed."""

    suite: str  # name of the set, for the rows
    out: Path  # the run's directory
    manners: Manners = PATIENCE
    token: str | None = None
    server_clock: bool = True  # the server's local time is this machine's


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
    rows = {n: row_of(planned, line.suite, n + 1, said[n], BAD_INPUT, bad[n]) for n in sorted(bad)}
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
        call = await _dial(address, planned, [s.utterance for s in said], line, hang_up)
    except Refused as e:
        if hang_up.is_set():
            raise HungUp from e
        there = await asyncio.to_thread(listening, http_base(address))
        return rows_without_call(planned, said, line.suite, REFUSED if there else LOST, str(e))
    ended = datetime.now()
    if hang_up.is_set() and call.ended:
        raise HungUp
    clock = ended if line.server_clock else None
    return await asyncio.to_thread(rows_of, call, planned, said, line.suite, line.out, clock)


async def _dial(
    address: str,
    planned: Planned,
    utterances: list[Utterance],
    line: Line,
    hang_up: asyncio.Event,
) -> Call:
    url, manners = call_url(address, token=line.token), line.manners
    if planned.warmup:
        manners = replace(manners, longest_answer_s=WARMUP_ANSWER_S)
    return await place_call(url, utterances, manners, hang_up=hang_up)
