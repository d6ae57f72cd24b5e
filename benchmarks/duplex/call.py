"""One call of the duplex suite: several stimuli on one line, whatever the bot does meanwhile.

The caller of `caller.py` with other manners: it may speak into an answer, has noise in its room, or
hears the bot through its own microphone. Keeps where on the recording everything was said. Knows
nothing of outcomes or files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from websockets.exceptions import ConnectionClosed

from benchmarks.caller.caller import run_session
from benchmarks.caller.dialect import dialect_of
from benchmarks.caller.line import Refused, dial, hung_up
from benchmarks.caller.manners import Manners
from benchmarks.caller.pacing import PACKET, Clock, WallClock
from benchmarks.caller.session import Session
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from benchmarks.duplex.rows import INTERRUPTION
from benchmarks.duplex.stimulus import Echo, Stimulus
from benchmarks.ruler.recording import Recording, to_out
from models.audio import Stretch, resample

REST_MS = 1000  # of silence before the next stimulus, and after an answer: it is over
WATCH_MS = 3000  # the same after a disturbance: does it speak again, unasked?
DUPLEX_MANNERS = Manners(
    lead_in_ms=1000, answer_over_ms=REST_MS, answer_timeout_s=8.0, longest_answer_s=25.0
)
_MARGIN = 48  # samples at OUT_RATE round a packet, so that resampling it has no edges


@dataclass
class Placed:
    """A stimulus on the recording, in samples at `OUT_RATE`."""

    stimulus: Stimulus
    begin: int  # of its first packet
    second: int | None = None  # of the cut-in's first packet
    until: int | None = None  # where it was over; None: the call ended first
    endless: bool = False  # the bot did not fall silent within the caller's patience


@dataclass
class DuplexCall:
    """A call that took place, perhaps not to its end."""

    recording: Recording
    user: np.ndarray  # int16 [T] at IN_RATE: all that the microphone sent
    placed: list[Placed]
    late_ms: float  # the worst packet behind its deadline
    ended: str | None  # why it ended early
    refused: bool


@dataclass
class _DuplexSession(Session):
    """The state of one call while it runs."""

    stimuli: list[Stimulus] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    sent: list[np.ndarray] = field(default_factory=list)  # int16 [PACKET] each

    async def converse(self, utterances: object = None, until: object = None) -> None:
        """All stimuli, one after the other; stops at one that leaves the bot speaking for ever."""
        await self._until(lambda: self.position() >= self._samples(self.manners.lead_in_ms))
        await self._settled(0)  # a greeting is heard out
        for n, stimulus in enumerate(self.stimuli, 1):
            self.progress(f"{stimulus.id} ({n}/{len(self.stimuli)} of the call)")
            placed = Placed(stimulus, to_out(self.mic.speak(stimulus.pcm)))
            self.placed.append(placed)
            self.recording.playback.answer_over()
            await self.mic.finished()
            placed.endless = not await self._hear_out(placed)
            placed.until = self.position()
            if placed.endless:
                return

    async def _hear_out(self, placed: Placed) -> bool:
        """Until the answer is over, with what is said into it; False if it does not end."""
        stimulus = placed.stimulus
        end = placed.begin + to_out(stimulus.user.end)
        deadline = self.position() + self._samples(self.manners.answer_timeout_s * 1000)
        cut_in = stimulus.cut_in
        if cut_in is not None:
            if not await self._until(lambda: self._heard(end, cut_in.after_ms), deadline):
                return await self._settled(end)
            placed.second = to_out(self.mic.speak(cut_in.pcm))
            await self.mic.finished()
            end = placed.second + to_out(len(cut_in.pcm))
            deadline = self.position() + self._samples(self.manners.answer_timeout_s * 1000)
        if stimulus.task == INTERRUPTION:
            over = self._samples(REST_MS)  # the old answer must not pass for the new one
            await self._until(lambda: self.position() >= end + over, deadline)
        elif cut_in is None:
            await self._until(lambda: self._heard(end), deadline)
        return await self._settled(end)

    async def _settled(self, end: int) -> bool:
        """Until the bot has been silent for long enough; False if it goes on and on."""
        longest = self.position() + self._samples(self.manners.longest_answer_s * 1000)
        stimulus = self.placed[-1].stimulus if self.placed else None
        watched = stimulus is not None and (stimulus.twin or stimulus.cut_in) is not None
        over = self._samples(WATCH_MS if watched else REST_MS)
        return await self._until(
            lambda: self.position() >= max(self.ear.until, end) + over, longest
        )

    async def _send(self, packet: np.ndarray) -> None:
        stimulus = self.placed[-1].stimulus if self.placed else self.stimuli[0]
        mixed = packet.astype(np.int32)
        if stimulus.noise is not None:
            start = len(self.sent) * PACKET % len(stimulus.noise)
            mixed += stimulus.noise[start : start + PACKET]
        if stimulus.echo is not None:
            mixed += self._echo(stimulus.echo)
        packet = np.clip(mixed, -32768, 32767).astype(np.int16)
        self.sent.append(packet)
        await super()._send(packet)

    def _echo(self, echo: Echo) -> np.ndarray:
        """What of the bot reaches the microphone in the packet being sent: int32 `[PACKET]`."""
        start = to_out(len(self.sent) * PACKET) - OUT_RATE * echo.delay_ms // 1000 - _MARGIN
        length = to_out(PACKET) + 2 * _MARGIN
        heard = np.zeros(length, np.int16)
        if start + length > 0:
            track = self.recording.playback.track(max(0, start), start + length)
            first = max(0, -start)
            heard[first : first + len(track)] = track
        margin = _MARGIN * IN_RATE // OUT_RATE
        near = resample(heard, OUT_RATE, IN_RATE)[margin : margin + PACKET]
        return (near * 10 ** (echo.db / 20)).astype(np.int32)


async def place_duplex(
    url: str,
    stimuli: list[Stimulus],
    *,
    manners: Manners = DUPLEX_MANNERS,
    clock: Clock | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> DuplexCall:
    """Calls `url`, says the stimuli one after the other, and hangs up.

    A call that breaks off is returned with what was recorded until then and the reason.

    Raises:
        Refused: the call never began: nobody there, turned away, or never ready.
    """
    async with await dial(url, manners.connect_timeout_s) as socket:
        session = _DuplexSession(
            socket, clock or WallClock(), manners, progress, dialect_of(url), stimuli=stimuli
        )
        try:
            await session.greet()
        except ConnectionClosed as e:
            raise Refused(hung_up(socket)[0]) from e
        except TimeoutError as e:
            raise Refused(f"the server did not get ready in {manners.ready_timeout_s:g} s") from e
        ended, refused = await run_session(session, [], asyncio.Event(), None)
        user = np.concatenate(session.sent) if session.sent else np.zeros(0, np.int16)
        late = 1000 * max(session.mic.late, default=0.0)
        return DuplexCall(session.recording, user, session.placed, late, ended, refused)


def shifted(stretch: Stretch, begin: int) -> Stretch:
    """A stretch of a stimulus (samples at `IN_RATE`) on the recording."""
    return Stretch(begin + to_out(stretch.start), begin + to_out(stretch.end))
