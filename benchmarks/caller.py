"""One call from outside: dials `/ws`, speaks utterances in real time, listens, hangs up.

Believes its own clock and its own ear: what the server says about time is recorded, never used.
Knows the wire and the recording; nothing about engines, files or the command line.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, takewhile
from typing import Any, TypeVar

import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.accounting import Packet
from benchmarks.dialect import Dialect, PipecatDialect, dialect_of
from benchmarks.ear import Ear
from benchmarks.line import Refused, dial, hung_up
from benchmarks.pacing import PACKET, Clock, Microphone, WallClock
from benchmarks.playback import DEFAULT_JITTER_MS, Playback
from benchmarks.recording import Recording, Span, Utterance, to_out
from benchmarks.wire import (
    OUT_RATE,
    Audio,
    Incoming,
    Interruption,
    Message,
    WireError,
)

T = TypeVar("T")
POLL_S = 0.01
ENDLESS = "endless-answer"  # the event of an answer that outlasted the caller's patience
NOISY = {"bot-audio-level", "user-audio-level", "metrics"}  # many a second: not worth a line each


@dataclass(frozen=True)
class Manners:
    """How a caller behaves; times as an ear and a mouth have them."""

    jitter_ms: int = DEFAULT_JITTER_MS
    lead_in_ms: int = 500  # silence before the first turn: the server's VAD settles
    answer_over_ms: int = 1000  # the bot is silent so long: it has finished
    answer_timeout_s: float = 15.0  # from the user's end to the first sound of an answer
    longest_answer_s: float = 60.0
    connect_timeout_s: float = 10.0
    ready_timeout_s: float = 30.0
    barge_in_after_ms: int | None = None  # speak the next turn so long after the bot is heard
    rest_ms: int | None = None  # speak the next turn so long after the last, whatever the bot does
    # Of a server that knows no RTVI: speak after so long though nobody said it was ready, or as
    # soon as the bot is heard. None: the server must say that it is ready.
    without_ready_s: float | None = None


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


@dataclass
class Session:
    """The state of one call while it runs."""

    socket: ClientConnection
    clock: Clock
    manners: Manners
    progress: Callable[[str], None]
    dialect: Dialect = field(default_factory=PipecatDialect)
    recording: Recording = field(init=False)
    mic: Microphone = field(init=False)
    ear: Ear = field(default_factory=Ear)
    origin: float = 0.0
    malformed: int = 0
    answer_id: object = None

    def __post_init__(self) -> None:
        self.recording = Recording(Playback(OUT_RATE, self.manners.jitter_ms))

    def position(self) -> int:
        """Now, in samples of the recording."""
        return max(0, round((self.clock.now() - self.origin) * OUT_RATE))

    async def greet(self) -> None:
        """Says hello and waits until the bot is ready; the call's clock starts there."""
        self.origin = self.clock.now()
        hello, without = self.dialect.hello(), self.manners.without_ready_s
        patience = self.manners.ready_timeout_s if without is None else without
        with suppress(ConnectionClosed):  # turned away already: the reason is yet to be read
            if hello is not None:
                await self.socket.send(hello)
        with suppress(*([] if without is None else [TimeoutError])):
            async with asyncio.timeout(patience):
                while not self._ready(self.take(await self.socket.recv(), 0)):
                    pass
        self.origin = self.clock.now()
        self.mic = Microphone(self._send, self.clock, self.origin)

    def _ready(self, incoming: Incoming | None) -> bool:
        if isinstance(incoming, Message):
            return incoming.type == "bot-ready"
        return isinstance(incoming, Audio) and self.manners.without_ready_s is not None

    async def listen(self) -> None:
        """Takes what the server sends until the connection closes."""
        async for data in self.socket:
            self.take(data, self.position())

    def take(self, data: bytes | str, now: int) -> Incoming | None:
        """Handles one message that arrived at sample `now`; returns it unless it is malformed."""
        try:
            incoming = self.dialect.decode(data)
        except WireError as e:
            self.malformed += 1
            self.recording.note(now, "malformed", reason=str(e))
            return None
        if isinstance(incoming, Audio):
            self._play(now, incoming.pcm)
        elif isinstance(incoming, Interruption):
            self._cut(now)
        elif isinstance(incoming, Message):
            self._read(now, incoming)
        return incoming

    async def converse(self, utterances: list[Utterance], until: float | None = None) -> None:
        """All turns, one after the other; the same again until time `until`, if there is one."""
        await self._until(lambda: self.position() >= self._samples(self.manners.lead_in_ms))
        if self.manners.rest_ms is None:  # a greeting is heard out
            longest = self.position() + self._samples(self.manners.longest_answer_s * 1000)
            await self._until(lambda: not self.ear.until or self._quiet(0), longest)
        turns: Iterable[Utterance] = utterances
        if until is not None:
            turns = takewhile(lambda _: self.clock.now() < until, cycle(utterances))
        for i, utterance in enumerate(turns):
            barge_in = i > 0 and self.manners.barge_in_after_ms is not None
            span = Span.of(utterance, self.mic.speak(utterance.pcm), barge_in)
            self.recording.playback.answer_over()
            self.recording.spans.append(span)
            self.recording.note(span.begin, "turn", n=i + 1, wav=utterance.name)
            of = f"/{len(utterances)}" if until is None else ""
            self.progress(f"turn {i + 1}{of}: {utterance.name}")
            await self.mic.finished()
            await self._answer(span, last=until is None and i + 1 == len(utterances))

    async def _answer(self, span: Span, last: bool) -> None:
        """Waits until the bot has answered and fallen silent, or it is time to barge in."""
        end = span.end or to_out(self.mic.packets * PACKET)
        if self.manners.rest_ms is not None:
            rested = end + self._samples(self.manners.rest_ms)
            await self._until(lambda: self.position() >= rested)
            return
        deadline = end + self._samples(self.manners.answer_timeout_s * 1000)
        if not await self._until(lambda: self._heard(end), deadline):
            self.recording.note(self.position(), "no-answer", wav=span.utterance.name)
            return
        barge_in = self.manners.barge_in_after_ms
        if barge_in is not None and not last:
            await self._until(lambda: self._heard(end, barge_in) or self._quiet(end))
            return
        longest = self.position() + self._samples(self.manners.longest_answer_s * 1000)
        if not await self._until(lambda: self._heard(end) and self._quiet(end), longest):
            turn = len(self.recording.spans)  # from 1
            self.recording.note(self.position(), ENDLESS, wav=span.utterance.name, turn=turn)

    async def _until(self, condition: Callable[[], bool], deadline: int | None = None) -> bool:
        """Polls on the call's clock; False when sample `deadline` passes first."""
        while not condition():
            if deadline is not None and self.position() >= deadline:
                return False
            await self.clock.sleep_until(self.clock.now() + POLL_S)
        return True

    def _heard(self, end: int, ms: float = 0) -> bool:
        """Whether an answer to what ended at `end` has been heard for `ms`."""
        # What was cut off after the user's end began too early; the answer is still to come.
        start = self.ear.first_after(max([end, *self.recording.cuts[-1:]]))
        return start is not None and self.position() >= start + self._samples(ms)

    def _quiet(self, end: int) -> bool:
        over = self._samples(self.manners.answer_over_ms)
        return self.position() >= max(self.ear.until, end) + over

    def _play(self, now: int, pcm: np.ndarray) -> None:
        playback = self.recording.playback
        underruns = len(playback.underruns)
        at = playback.receive(now, pcm)
        self.recording.packets.append(Packet(now, at, len(pcm)))
        for underrun in playback.underruns[underruns:]:
            ms = underrun.length * 1000 / OUT_RATE
            self.recording.note(underrun.at, "underrun", length_ms=round(ms, 1))
        self.ear.hear(at, pcm)

    def _cut(self, now: int) -> None:
        dropped = self.recording.playback.interrupt(now)
        self.recording.cuts.append(now)
        self.recording.note(now, "interrupted", dropped_ms=round(dropped * 1000 / OUT_RATE, 1))
        self.ear.cut(now)

    def _read(self, now: int, message: Message) -> None:
        self.recording.messages.append((now, message))
        if message.type not in NOISY:
            self.recording.note(now, message.type, data=message.data)
        if message.type == "error" and message.data.get("fatal"):
            reason = message.data.get("error") or message.data.get("message") or "no reason given"
            raise Refused(f"the server refused: {reason}")
        if message.type == "server-message":
            kind = message.data.get("type")
            if kind == "interrupted" and message.data.get("id") == self.answer_id:
                self._cut(now)  # of an older answer it comes too late to silence the new one
            elif kind == "answer":
                self.answer_id = message.data.get("id")
                self.recording.playback.answer_over()

    async def _send(self, packet: np.ndarray) -> None:
        if (data := self.dialect.encode(packet)) is not None:
            await self.socket.send(data)

    @staticmethod
    def _samples(ms: float) -> int:
        return round(ms * OUT_RATE / 1000)


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
