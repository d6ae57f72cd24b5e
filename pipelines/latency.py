"""One latency record per turn of the cascade: end of the user's speech to the answer's first audio.

Reads the pipeline clock off frames as they are pushed, so a busy event loop does not skew the
figures. These are the server's own times; what a caller hears is measured on a recording, outside.
The stages follow each other without gap, so they sum to the total by construction.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pipecat.frames.frames import (
    AggregatedTextFrame,
    InterruptionFrame,
    LLMTextFrame,
    MetricsFrame,
    TTSAudioRawFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import TurnMetricsData
from pipecat.observers.base_observer import BaseObserver, FramePushed

STAGES = (
    "endpointing_ms",  # speech end -> the VAD and the turn model agree that the turn ended
    "asr_ms",  # -> the final transcript is there too
    "llm_first_token_ms",
    "first_clause_ms",  # -> enough text to start speaking
    "tts_first_audio_ms",
)


@dataclass(frozen=True)
class TurnLatency:
    """Milliseconds of one turn, stage after stage without a gap."""

    turn: int
    stages: dict[str, float]

    @property
    def total_ms(self) -> float:
        """From the end of the user's speech to the first audio of the answer."""
        return round(sum(self.stages.values()), 1)

    def message(self) -> dict[str, Any]:
        """The record as it is sent to the page and logged."""
        return {"turn": self.turn, "stages": self.stages, "total_ms": self.total_ms}


class LatencyObserver(BaseObserver):
    """Watches one call's frames and reports each answered turn once."""

    def __init__(self, report: Callable[[TurnLatency], Awaitable[None]]) -> None:
        """Report finished records to `report`."""
        super().__init__(observe_every_push=False)
        self._report = report
        self._turn = 0
        self._marks: dict[str, int] = {}  # stage end -> ns on the pipeline clock

    async def on_push_frame(self, data: FramePushed) -> None:
        """Note the first frame of each stage."""
        frame, now = data.frame, data.timestamp
        if isinstance(frame, VADUserStartedSpeakingFrame | InterruptionFrame):
            if "turn" in self._marks or isinstance(frame, VADUserStartedSpeakingFrame):
                self._marks.clear()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._marks.setdefault("speech_end", now - int(frame.stop_secs * 1e9))
        elif isinstance(frame, MetricsFrame) and _is_verdict(frame):
            self._mark("verdict", now, after="speech_end")
        elif isinstance(frame, UserStoppedSpeakingFrame):
            self._mark("turn", now, after="speech_end")
        elif isinstance(frame, LLMTextFrame):
            self._mark("token", now, after="turn")
        elif isinstance(frame, AggregatedTextFrame):
            self._mark("clause", now, after="token")
        elif isinstance(frame, TTSAudioRawFrame) and "clause" in self._marks:
            await self._finish(now)

    def _mark(self, name: str, now: int, *, after: str) -> None:
        if after in self._marks:
            self._marks.setdefault(name, now)

    async def _finish(self, now: int) -> None:
        marks, self._marks = self._marks, {}
        self._turn += 1
        verdict = min(marks.get("verdict", marks["turn"]), marks["turn"])
        ends = [marks["speech_end"], verdict, marks["turn"], marks["token"], marks["clause"], now]
        spans = [
            round((end - start) / 1e6, 1) for start, end in zip(ends[:-1], ends[1:], strict=True)
        ]
        await self._report(TurnLatency(self._turn, dict(zip(STAGES, spans, strict=True))))


def _is_verdict(frame: MetricsFrame) -> bool:
    return any(isinstance(d, TurnMetricsData) and d.is_complete for d in frame.data)
