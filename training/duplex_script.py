"""Who says what when: a composed conversation laid out on two tracks, sample by sample.

Gaps, overlaps, backchannels, interruptions, pauses and silences are drawn here and labelled as
events. Sound on the caller's side that is no speech is only given its place. Knows nothing of
levels, rooms and noises (`duplex_sound.py`); how long things last stands in `duplex_timing.py`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from training.dialogues import Conversation
from training.dialogues.compose import Turn
from training.duplex_mix import Mix
from training.duplex_speech import BEGUN, Speakers, Utterance
from training.duplex_timeline import FRAME, RATE, Event, EventKind, Exchange, Word
from training.duplex_timing import (
    ACKNOWLEDGED,
    ANSWER,
    LATE,
    LATE_STOPPING,
    LEAD,
    MS,
    OVERLAP,
    PAUSE,
    SILENCE,
    STOPPING,
    TAIL,
    TAKE_UP,
    uniform,
)

BACKCHANNELS = ("అవును", "హా", "సరే")
_HESITATIONS = ("అంటే", "అదే", "మరి")


@dataclass(frozen=True, eq=False)
class Placed:
    """An utterance on a track."""

    start: int  # sample
    said: Utterance

    @property
    def end(self) -> int:
        """One past its last word."""
        return self.start + self.said.end

    @property
    def words(self) -> tuple[Word, ...]:
        """Its words, in samples of the track."""
        return tuple(
            Word(word.text, word.start + self.start, word.end + self.start)
            for word in self.said.words
        )


@dataclass
class Script:
    """A dialogue laid out: what the sound is made from."""

    agent: list[Placed] = field(default_factory=list)
    user: list[Placed] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    samples: int = 0  # whole frames

    def mark(self, kind: EventKind, start: int, end: int) -> None:
        """Labels `[start, end)`."""
        self.events.append(Event(kind, start, end))


class _Writer:
    """Lays out one conversation, question by question, until the time is used up.

    The answer last given stays pending until the next question is known to fit: only then is it
    known whether it was interrupted.
    """

    def __init__(self, speakers: Speakers, mix: Mix, longest: int, rng: random.Random) -> None:
        self._speakers, self._mix, self._longest, self._rng = speakers, mix, longest, rng
        self.script = Script()
        self._pending: Placed | None = None

    def open(self, text: str) -> None:
        """The agent speaks first."""
        self._pending = Placed(self._ms(*LEAD), self._speakers.agent(text))

    def exchange(self, turn: Turn) -> bool:
        """A question and its answer; False, and nothing written, when there is no room left."""
        before, start, marks = self._entry()
        free = before.end if before else 0
        question = self._question(turn.user, start, marks, pauses=start > free)
        end = question[-1].end
        reply = Placed(max(end, free) + self._gap(), self._speakers.agent(turn.reply))
        if not question[0].said.words or not reply.said.words:
            return False
        if reply.end + TAIL * MS > self._longest:
            return False
        if before and before is not self._pending:
            self._mark_interrupted(before.end)
        if before:
            self._close(before, until=start, whole=before is self._pending)
        self.script.user += question
        if len(question) == 1:
            self._agent_acknowledges(question[0], free)
        self.script.events += marks
        self.script.exchanges.append(_exchange(turn, start, end, reply))
        self._pending = reply
        return True

    def finish(self) -> Script:
        """The whole, some silence behind it, in whole frames."""
        script, tail = self.script, self._ms(TAIL, 1_500)
        if self._pending:
            self._close(self._pending, until=self._longest, whole=True)
        end = max((placed.end for placed in (*script.agent, *script.user)), default=0) + tail
        script.samples = min(-(-end // FRAME) * FRAME, self._longest)
        for track in (script.agent, script.user):
            track.sort(key=lambda placed: placed.start)
        script.events.sort(key=lambda event: event.start)
        return script

    def _entry(self) -> tuple[Placed | None, int, list[Event]]:
        """How the caller comes in: the agent's turn before (cut, if interrupted) and the start."""
        rng, mix, before = self._rng, self._mix, self._pending
        if before is None:
            silent = rng.random() < mix.silence
            start = self._ms(*(SILENCE if silent else LEAD))
            return None, start, [Event("silence", 0, start)] if silent else []
        stopping = self._stopping()
        if rng.random() < mix.interruption and (stops := _stops(before, stopping, rng)):
            stop = rng.choice(stops)
            start = before.start + stop - stopping
            cut = Placed(before.start, before.said.until(stop))
            return cut, start, [Event("interruption", start, before.start + stop)]
        if rng.random() < mix.overlap and before.said.end > 1_200 * MS:
            start = before.end - self._ms(*OVERLAP)
            return before, start, [Event("overlap", start, before.end)]
        if rng.random() < mix.silence:
            start = before.end + self._ms(*SILENCE)
            return before, start, [Event("silence", before.end, start)]
        return before, before.end + TAKE_UP.draw(rng), []

    def _question(self, text: str, start: int, marks: list[Event], *, pauses: bool) -> list[Placed]:
        """The caller's question in one piece, or in two with a pause between them."""
        words = text.split()
        if not pauses or len(words) < 3 or self._rng.random() >= self._mix.pause:
            return [Placed(start, self._speakers.user(text))]
        # Two words are still to come at least: behind the last but one a caller may have ended.
        at = self._rng.randint(1, len(words) - 2)
        first = words[:at] + ([self._rng.choice(_HESITATIONS)] if self._rng.random() < 0.2 else [])
        # A comma keeps the pitch up, as a speaker does who has not ended; not all of them do.
        comma = "," if self._rng.random() < 0.75 else ""
        opening = Placed(start, _unmarked(self._speakers.user(" ".join(first) + comma)))
        resumed = opening.end + self._ms(*PAUSE)
        marks.append(Event("pause", opening.end, resumed))
        return [opening, Placed(resumed, self._speakers.user(" ".join(words[at:])))]

    def _close(self, turn: Placed, until: int, whole: bool) -> None:
        self.script.agent.append(turn)
        if not self.script.exchanges:
            self.script.mark("greeting", turn.start, turn.end)
        if whole and self._rng.random() < self._mix.user_backchannel:
            said = Placed(self._inside(turn), self._speakers.user(self._rng.choice(BACKCHANNELS)))
            if turn.start < said.start and said.end < min(until, turn.end) - 300 * MS:
                self.script.user.append(said)
                self.script.mark("user backchannel", said.start, said.end)

    def _agent_acknowledges(self, turn: Placed, free: int) -> None:
        if self._rng.random() < self._mix.agent_backchannel:
            said = Placed(self._inside(turn), self._speakers.agent(self._rng.choice(BACKCHANNELS)))
            if free + 400 * MS < said.start and said.end < turn.end - 200 * MS:
                self.script.agent.append(said)
                self.script.mark("agent backchannel", said.start, said.end)

    def _inside(self, turn: Placed) -> int:
        """Where an acknowledgement of `turn` may begin, about a word's end; 0: nowhere."""
        margin = ACKNOWLEDGED * MS
        ends = [w.end for w in turn.words if turn.start + margin <= w.end <= turn.end - margin]
        return self._rng.choice(ends) + self._ms(-80, 120) if ends else 0

    def _mark_interrupted(self, stop: int) -> None:
        if self.script.exchanges:
            last = self.script.exchanges[-1]
            self.script.exchanges[-1] = replace(last, reply_end=stop, interrupted=True)

    def _gap(self) -> int:
        late = self._rng.random() < self._mix.late
        return self._ms(*LATE) if late else ANSWER.draw(self._rng)

    def _stopping(self) -> int:
        late = self._rng.random() < self._mix.late
        return self._ms(*(LATE_STOPPING if late else STOPPING))

    def _ms(self, low: int, high: int) -> int:
        return uniform((low, high), self._rng)


def lay_out(
    talk: Conversation, speakers: Speakers, mix: Mix, longest: int, rng: random.Random
) -> Script:
    """The conversation as far as it fits into `longest` samples; no exchange at all may fit."""
    writer = _Writer(speakers, mix, longest, rng)
    if talk.opening and rng.random() < mix.greeting:
        writer.open(talk.opening)
    for turn in talk.turns:
        # Garbled turns stand for what a recogniser makes of noise: nobody would say them.
        if not turn.intent.spoken or not writer.exchange(turn):
            break
    return writer.finish()


def nobody(longest: int, rng: random.Random) -> Script:
    """A call in which nothing is said: 5 to 15 seconds, or as much as there may be."""
    samples = min(rng.randint(5 * RATE, 15 * RATE) // FRAME * FRAME, longest)
    return Script(events=[Event("silence", 0, samples)], samples=samples)


def _stops(turn: Placed, stopping: int, rng: random.Random) -> list[int]:
    """Where an interrupted answer may fall silent: anywhere in a word.

    Not before the caller can have heard what they interrupt, and not where it ends anyway. Callers
    do not wait for a word's end: a model that had only heard of late stops in words would say half
    of a long one before it gave way.
    """
    ends = [
        round(rng.uniform(word.start + BEGUN, word.end))
        for word in turn.said.words[:-1]
        if word.end - word.start > BEGUN
    ]
    earliest = stopping + 400 * MS
    return [stop for stop in ends if earliest <= stop <= turn.said.end - 500 * MS]


def _unmarked(said: Utterance) -> Utterance:
    """The comma was for the synthesizer; callers are written without marks."""
    words: Sequence[Word] = said.words
    bare = tuple(Word(word.text.rstrip(","), word.start, word.end) for word in words)
    return replace(said, words=bare)


def _exchange(turn: Turn, start: int, end: int, reply: Placed) -> Exchange:
    key = " ".join(phrase for group in turn.intent.fits for phrase in group)
    slots = {name: value for name, value in turn.slots.items() if f"{{{name}}}" in key}
    times = (start, end, reply.start, reply.end)
    return Exchange(turn.intent.id, turn.user, turn.reply, slots, *times)
