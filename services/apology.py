"""No dead air: an answer that ends without a word becomes a spoken apology.

Stands behind the language model, whichever it is. Knows nothing about why nothing came.
"""

from pipecat.frames.frames import (
    Frame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from services.phrases import NO_ANSWER


class Apology(FrameProcessor):
    """Speaks for a language model that failed or said nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._silent = False  # inside an answer, and nothing was said yet

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Watch answers go by; fill the empty ones."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMFullResponseStartFrame):
            self._silent = True
        elif isinstance(frame, InterruptionFrame) or _has_words(frame):
            self._silent = False
        elif isinstance(frame, LLMFullResponseEndFrame) and self._silent:
            self._silent = False
            await self.push_frame(LLMTextFrame(NO_ANSWER))
        await self.push_frame(frame, direction)


def _has_words(frame: Frame) -> bool:
    return isinstance(frame, LLMTextFrame) and bool(frame.text.strip())
