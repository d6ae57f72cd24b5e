"""The in-process language model as a Pipecat service: a context in, text tokens out.

Knows nothing about Telugu or about speech. The model's blocking stream runs in a worker thread and
is stopped at the next token when the user interrupts.
"""

from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

from models.llama import Llama
from services.offload import iterate


def plain_messages(context: LLMContext) -> list[dict[str, str]]:
    """The context's text messages as role and content, all a small chat template knows."""
    messages: list[dict[str, str]] = []
    for message in context.get_messages():
        entry: Any = message
        if isinstance(entry, dict) and isinstance(entry.get("content"), str):
            messages.append({"role": entry["role"], "content": entry["content"]})
    return messages


class LlamaService(LLMService):
    """Streams a reply from a Llama shared by all calls."""

    def __init__(self, llama: Llama, *, max_tokens: int, temperature: float) -> None:
        """Wrap a loaded model.

        Args:
            llama: its `stream` blocks, releases the GIL and looks at a stop event per token.
            max_tokens: most tokens of one reply.
            temperature: 0 is greedy.
        """
        super().__init__(
            settings=LLMSettings(
                model="llama",
                temperature=temperature,
                max_tokens=max_tokens,
                system_instruction=None,  # the memory puts it into the context
                top_p=None,
                top_k=None,
                frequency_penalty=None,
                presence_penalty=None,
                seed=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
            )
        )
        self._llama = llama
        self._max_tokens = max_tokens
        self._temperature = temperature

    def can_generate_metrics(self) -> bool:
        """TTFB of every reply."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer contexts; let everything else by."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        try:
            await self._reply(frame.context)
        except Exception as e:
            logger.exception("language model failed")
            await self.push_error(error_msg=f"language model failed: {type(e).__name__}")
        await self.push_frame(LLMFullResponseEndFrame())

    async def _reply(self, context: LLMContext) -> None:
        messages = plain_messages(context)
        await self.start_ttfb_metrics()
        pieces = iterate(
            lambda stop: self._llama.stream(
                messages, max_tokens=self._max_tokens, temperature=self._temperature, stop=stop
            )
        )
        try:
            async for piece in pieces:
                await self.stop_ttfb_metrics()
                await self._push_llm_text(piece)
        finally:
            # An interruption cancels this task between two pieces: end the thread's work too.
            await pieces.aclose()
