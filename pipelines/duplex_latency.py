"""One latency record per answer of a full-duplex model: there are no stages, only the answer.

From the end of the user's speech, as the VAD sees it, to the first sound of the bot. A bot that
spoke before the user had ended (a backchannel, an overlap) has no such time, and none is made up.
What a caller hears is measured on a recording, outside.
"""

from collections.abc import Awaitable, Callable

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.processors.frame_processor import FrameDirection

from pipelines.latency import TurnLatency

# An answer that stops so soon after the caller began to speak was cut by it.
CUT_WITHIN_NS = 1_500_000_000


class DuplexObserver(BaseObserver):
    """Watches one call's frames; reports answers, and answers that the user cut."""

    def __init__(
        self,
        report: Callable[[TurnLatency], Awaitable[None]],
        on_cut: Callable[[], None],
    ) -> None:
        super().__init__(observe_every_push=False)
        self._report = report
        self._on_cut = on_cut
        self._turn = 0
        self._speech_end: int | None = None  # ns; None while the user speaks, or was answered
        self._barged: int | None = None  # ns at which the user began while the bot spoke
        self._bot_speaking = False

    async def on_push_frame(self, data: FramePushed) -> None:
        """Note who speaks when. Broadcast frames come twice; the way down is enough."""
        if data.direction != FrameDirection.DOWNSTREAM:
            return
        frame, now = data.frame, data.timestamp
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._speech_end = None
            self._barged = now if self._bot_speaking else None
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._speech_end = None if self._bot_speaking else now - int(frame.stop_secs * 1e9)
        elif isinstance(frame, BotStartedSpeakingFrame):
            self._bot_speaking = True
            if self._speech_end is not None:
                waited, self._speech_end = (now - self._speech_end) / 1e6, None
                self._turn += 1
                await self._report(TurnLatency(self._turn, {"answer_ms": round(waited, 1)}))
        elif isinstance(frame, BotStoppedSpeakingFrame):
            self._bot_speaking = False
            if self._barged is not None and now - self._barged <= CUT_WITHIN_NS:
                self._on_cut()
            self._barged = None
