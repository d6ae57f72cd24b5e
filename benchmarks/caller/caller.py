"""One call from outside: dials `/ws`, speaks utterances in real time, listens, hangs up.

What goes on during the call is `session.py`'s. Knows how a call begins and ends; nothing about
engines, files or the command line.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.dialect import dialect_of
from benchmarks.caller.line import Refused, dial, hung_up
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import Clock, WallClock
from benchmarks.caller.session import Session
from benchmarks.ruler.recording import Recording, Utterance

T = TypeVar("T")


@dataclass
class Call:
    """A call that took place, perhaps not to its end."""

    recording: Recording
    user: np.ndarray  # int16 [T] at 16 kHz, what was sent
    late_ms: list[float]  # of each packet behind its deadline
    ended: str | None = None  # why it ended early; None if it ran to its end
    refused: bool = False
    malformed: int = 0
    wire_ms: dict[str, float] = field(default_factory=dict)  # of every turn's latency, the wire's


async def place_call(
    url: str,
    utterances: list[Utterance],
    manners: Manners | None = None,
    *,
    clock: Clock | None = None,
    progress: Callable[[str], None] = lambda line: None,
    hang_up: asyncio.Event | None = None,
    until: float | None = None,
) -> Call:
    """Calls `url` (`ws://…/ws?…`), says each utterance as one turn, and hangs up.

    With `until` (a time of the clock) the utterances are said again and again, and no turn begins
    later. A path of `/api/chat` is spoken to in Moshi's own protocol.
    A call that breaks off, or is ended by setting `hang_up`, is returned with what was recorded
    until then and the reason.

    Raises:
        Refused: the call never began: nobody there, turned away, or never ready.
    """
    manners, hang_up = manners or Manners(), hang_up or asyncio.Event()
    dialect = dialect_of(url)
    async with await _unless(hang_up, dial(url, manners.connect_timeout_s)) as socket:
        session = Session(socket, clock or WallClock(), manners, progress, dialect)
        try:
            await _unless(hang_up, session.greet())
        except ConnectionClosed as e:
            raise Refused(hung_up(socket)[0]) from e
        except TimeoutError as e:
            raise Refused(
                f"the server took the call but did not get ready in {manners.ready_timeout_s:g} s"
            ) from e
        ended, refused = await run_session(session, utterances, hang_up, until)
        if ended:
            session.recording.note(session.position(), "ended-early", reason=ended)
        return Call(
            session.recording,
            session.mic.track(),
            [1000 * late for late in session.mic.late],
            ended,
            refused,
            session.malformed,
            dialect.own_ms,
        )


async def _unless(hang_up: asyncio.Event, opening: Coroutine[Any, Any, T]) -> T:
    """The result of `opening`, which setting `hang_up` gives up."""
    task, leaving = asyncio.create_task(opening), asyncio.create_task(hang_up.wait())
    await asyncio.wait((task, leaving), return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if task.done():
        return task.result()
    task.cancel()
    raise Refused("hung up before the call began")


async def run_session(
    session: Session, utterances: list[Utterance], hang_up: asyncio.Event, until: float | None
) -> tuple[str | None, bool]:
    """Listens, sends and converses at once; returns why it ended early and if it was refused."""
    conversation = asyncio.create_task(session.converse(utterances, until))
    listening = asyncio.create_task(session.listen())
    sending = asyncio.create_task(session.mic.run())
    leaving = asyncio.create_task(hang_up.wait())
    tasks = (conversation, listening, sending, leaving)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if conversation.done() and conversation.exception() is None:
            return None, False
        if leaving.done():
            return "the caller hung up", False
        if sending.done():  # the reason for a closed line is still to be read from it
            await asyncio.wait([listening], timeout=1)
        for task in (listening, conversation, sending):
            if task.done():
                task.result()
        return hung_up(session.socket)
    except ConnectionClosed:
        return hung_up(session.socket)
    except Refused as e:
        return str(e), True
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
