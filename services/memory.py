"""The conversation's memory: the last turns and a system prompt that knows the time.

Stands between the user aggregator and whichever language model follows, so that both back ends see
the same messages. Knows nothing about models.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipecat.frames.frames import Frame, LLMContextFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from models.telugu.clock import date_words, time_words


class Memory(FrameProcessor):
    """Cuts the context to the last turns and renews its system prompt before every answer."""

    def __init__(
        self, *, turns: int, system_prompt: str, now: Callable[[], datetime] = datetime.now
    ) -> None:
        """Set the memory's length.

        Args:
            turns: user turns kept, with the answers after them.
            system_prompt: may hold `{time}` and `{date}`, filled in as Telugu words.
            now: the clock, local time.
        """
        super().__init__()
        self._turns = turns
        self._system_prompt = system_prompt
        self._now = now

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Trim contexts on their way to the model."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            self.trim(frame.context)
        await self.push_frame(frame, direction)

    def trim(self, context: LLMContext) -> None:
        """Keep the newest turns, system prompt first. The context itself shrinks: a long call's
        memory use stays flat."""
        spoken: list[Any] = [m for m in context.get_messages() if _role(m) != "system"]
        starts = [i for i, message in enumerate(spoken) if _role(message) == "user"]
        kept = spoken[starts[-self._turns] :] if len(starts) > self._turns else spoken
        context.set_messages([*self._system_message(), *kept])

    def _system_message(self) -> list[Any]:
        if not self._system_prompt:
            return []
        now = self._now()
        content = self._system_prompt.replace("{time}", time_words(now))
        return [{"role": "system", "content": content.replace("{date}", date_words(now))}]


def _role(message: Any) -> str:
    return message.get("role", "") if isinstance(message, dict) else ""
