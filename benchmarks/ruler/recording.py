"""One call on one clock: both tracks, everything that was said on the wire, and what it measures.

Written by the caller while the call runs; sample positions are at 24 kHz from the call's origin.
Knows nothing about sockets. `save` writes `call.wav` (left user, right bot) and `events.jsonl`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.caller.playback import Playback
from benchmarks.caller.wire import IN_RATE, OUT_RATE, Message
from benchmarks.ruler.accounting import Packet, first_packet
from benchmarks.ruler.measure import ANSWER_GAP_MS, find_answer, silence_after, stale_samples
from benchmarks.ruler.onsets import speech
from models.audio import Stretch, first_audible, resample, speech_end, write_stereo


@dataclass(frozen=True)
class Utterance:
    """What one turn says: a name for the report and int16 `[T]` at `IN_RATE`."""

    name: str
    pcm: np.ndarray


@dataclass
class Span:
    """A turn on the recording, in samples at `OUT_RATE`; start and end of what is audible in it."""

    utterance: Utterance
    begin: int  # its first packet
    onset: int | None  # None where the utterance is silent
    end: int | None
    barge_in: bool = False

    @staticmethod
    def of(utterance: Utterance, start: int, barge_in: bool = False) -> "Span":
        """The span of an utterance whose first sample is `start` at `IN_RATE`."""
        onset = first_audible(utterance.pcm, IN_RATE)
        end = speech_end(utterance.pcm, IN_RATE)
        return Span(
            utterance,
            to_out(start),
            None if onset is None else to_out(start + onset),
            None if end is None else to_out(start + end),
            barge_in,
        )


@dataclass(frozen=True)
class Turn:
    """What came of one turn; milliseconds on the recording's clock, None where nothing happened."""

    wav: str
    user_end_ms: float | None
    bot_start_ms: float | None
    v2v_ms: float | None  # true end of speech to first audible bot sample; signed
    user_text: str
    bot_text: str
    false_starts: int
    silence_ms: float | None  # barge-in: onset to silence at the ear
    stale_ms: float | None  # barge-in: bot heard after the interruption mark, before its new answer
    stages: dict[str, float]  # the server's own latency record, {} if it sent none
    bot_end_ms: float | None = None  # the last audible bot sample before the next turn
    arrived_ms: float | None = None  # the answer's first packet reached the caller
    heard_from_ms: float | None = None  # that packet left the jitter buffer

    @property
    def answered(self) -> bool:
        return self.v2v_ms is not None


@dataclass
class Recording:
    """Both sides of a call."""

    playback: Playback
    spans: list[Span] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)  # samples at which the bot was interrupted
    messages: list[tuple[int, Message]] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)  # of the bot, as they arrived

    def note(self, at: int, kind: str, **details: Any) -> None:
        """Adds an event at sample `at`; `details` must be JSON."""
        self.events.append({"t_ms": _ms(at), "event": kind, **details})

    def turns(self) -> list[Turn]:
        """The measured turns, in order."""
        bot = speech(self.playback.track(), OUT_RATE, merge_ms=ANSWER_GAP_MS)
        last = max(self.playback.end, *(s.begin for s in self.spans), 0) + 1
        bounds = [s.begin for s in self.spans[1:]] + [last]
        return [self._turn(s, until, bot) for s, until in zip(self.spans, bounds, strict=True)]

    def save(self, out: Path, user: np.ndarray) -> Path:
        """Writes both files into `out`; `user` is the microphone's track at `IN_RATE`.

        Returns the path of `call.wav`.
        """
        return self.save_as(out / "call.wav", out / "events.jsonl", user)

    def save_as(self, stereo: Path, events: Path, user: np.ndarray) -> Path:
        """`save` under names of one's own; their directories are made."""
        stereo.parent.mkdir(parents=True, exist_ok=True)
        events.parent.mkdir(parents=True, exist_ok=True)
        write_stereo(stereo, resample(user, IN_RATE, OUT_RATE), self.playback.track(), OUT_RATE)
        lines = [json.dumps(event, ensure_ascii=False) for event in self.events]
        events.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return stereo

    def _turn(self, span: Span, until: int, bot: list[Stretch]) -> Turn:
        said = [m for at, m in self.messages if span.begin <= at < until]
        onset = span.begin if span.onset is None else span.onset
        end = onset if span.end is None else span.end
        answer = find_answer(bot, (onset, end), until, self.cuts, OUT_RATE)
        v2v = None if answer.start is None or span.end is None else answer.start - span.end
        packet = None if answer.start is None else first_packet(self.packets, answer.start, end)
        silence = stale = None
        if span.barge_in:
            fresh = until if answer.start is None else answer.start
            silence = silence_after(bot, onset, fresh, OUT_RATE)
            cut = next((c for c in self.cuts if onset <= c < fresh), None)
            stale = None if cut is None else stale_samples(bot, cut, fresh)
        return Turn(
            span.utterance.name,
            _ms(span.end),
            _ms(answer.start),
            _ms(v2v),
            user_text(said),
            bot_text(said),
            answer.false_starts,
            _ms(silence),
            _ms(stale),
            stages(said),
            _ms(answer.end),
            None if packet is None else _ms(packet.arrived),
            None if packet is None else _ms(packet.heard),
        )


def user_text(messages: list[Message]) -> str:
    """What the server understood: its final transcripts, joined."""
    finals = [m.data for m in messages if m.type == "user-transcription" and m.data.get("final")]
    return " ".join(t for t in (str(d.get("text", "")).strip() for d in finals) if t)


def bot_text(messages: list[Message]) -> str:
    """What the bot answered: the model's text, else its sentences, else what it spoke."""
    replies: list[str] = []
    for m in messages:
        if m.type == "bot-llm-started":
            replies.append("")
        elif m.type == "bot-llm-text":
            replies = replies or [""]
            replies[-1] += str(m.data.get("text", ""))
    if any(r.strip() for r in replies):
        return " ".join(r.strip() for r in replies if r.strip())
    segments: dict[Any, str] = {}
    for m in messages:
        if m.type == "bot-output":
            segments.setdefault(m.data.get("segment_id", len(segments)), str(m.data.get("text")))
    spoken = [str(m.data.get("text", "")) for m in messages if m.type == "bot-tts-text"]
    return " ".join(t.strip() for t in (list(segments.values()) or spoken) if t.strip())


def stages(messages: list[Message]) -> dict[str, float]:
    """The last latency record among the server's messages: stages and `total_ms`."""
    found: dict[str, float] = {}
    for m in messages:
        if m.type == "server-message" and m.data.get("type") == "latency":
            named = m.data.get("stages")
            found = dict(named) if isinstance(named, dict) else {}
            found["total_ms"] = m.data.get("total_ms", 0.0)
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float)}


def to_out(sample: int) -> int:
    """A sample position at `IN_RATE` on the recording's clock."""
    return round(sample * OUT_RATE / IN_RATE)


def _ms(samples: int | None) -> float | None:
    return None if samples is None else round(samples * 1000 / OUT_RATE, 1)
