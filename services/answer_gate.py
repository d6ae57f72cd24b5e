"""The last processor before the caller's ear: only the current answer's audio passes.

An interruption clears queues, but audio still on its way from a worker thread would arrive behind
it and be heard as a stray syllable of the old answer. Each answer has a generation id (the TTS
context of its audio); after an interruption everything of an older id is dropped here. Knows
nothing about voices.
"""

from collections.abc import Callable

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame


class AnswerGate(FrameProcessor):
    """Numbers the answers of a call and drops frames of answers that were interrupted."""

    def __init__(self, on_answer: Callable[[], None]) -> None:
        """Call `on_answer` before the first frame of each answer passes."""
        super().__init__()
        self._on_answer = on_answer
        self._context: str | None = None
        self.answer = 0  # number of the newest answer; the caller's page counts along
        self.dropped = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Announce new answers, drop stale ones."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._context = None
        elif isinstance(frame, TTSStartedFrame):
            self._context = frame.context_id
            self.answer += 1
            self._on_answer()
            await self.push_frame(RTVIServerMessageFrame({"type": "answer", "id": self.answer}))
        elif self._is_stale(frame):
            self.dropped += 1
            return
        await self.push_frame(frame, direction)

    def _is_stale(self, frame: Frame) -> bool:
        spoken = isinstance(frame, (TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame))
        return spoken and frame.context_id != self._context
