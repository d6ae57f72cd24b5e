"""The state of one call while it runs: what was said, what is heard, and whose turn it is.

Believes its own clock and its own ear: what the server says about time is recorded, never used.
Knows the wire and the recording; nothing about how a call is dialled or ends.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, takewhile

import numpy as np
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.dialect import Dialect, PipecatDialect
from benchmarks.caller.ear import Ear
from benchmarks.caller.floor import CUT, Floor
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import PACKET, Clock, Microphone
from benchmarks.caller.playback import Playback
from benchmarks.caller.wire import OUT_RATE, Audio, Incoming, Interruption, Message, WireError
from benchmarks.ruler.accounting import Packet
from benchmarks.ruler.recording import Recording, Span, Utterance, to_out

POLL_S = 0.01
ENDLESS = "endless-answer"  # the event of an answer that outlasted the caller's patience
NOISY = {"bot-audio-level", "user-audio-level", "metrics"}  # many a second: not worth a line each


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
    floor: Floor = field(default_factory=Floor)

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
            self.floor = Floor()
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
        """Whether the bot, silent since `end` at the latest, has finished."""
        silence = self.position() - max(self.ear.until, end)
        told = self.manners.told_over_ms
        if told is not None and self.floor.given and silence >= self._samples(told):
            return True
        return silence >= self._samples(self.manners.answer_over_ms)

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
        self.floor.hear(CUT)

    def _read(self, now: int, message: Message) -> None:
        self.recording.messages.append((now, message))
        self.floor.hear(message.type)
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
