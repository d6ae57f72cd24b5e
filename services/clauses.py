"""Clauses instead of sentences: speech may start before a long Telugu sentence is finished.

An adapter between Pipecat's aggregator interface and `models.telugu.clauses`, which knows where
Telugu can be cut. Knows nothing about speech.
"""

from collections.abc import AsyncIterator

from pipecat.utils.text.base_text_aggregator import Aggregation, BaseTextAggregator, TextType

from models.telugu.clauses import ClauseChunker


class ClauseAggregator(BaseTextAggregator):
    """Feeds a ClauseChunker; its clauses count as sentences to the TTS service."""

    def __init__(self) -> None:
        super().__init__(aggregation_type=TextType.SENTENCE)
        self._chunker = ClauseChunker()
        self._pending = ""

    @property
    def text(self) -> Aggregation:
        """What was fed since the last clause came out."""
        return Aggregation(text=self._pending.strip(), type=TextType.SENTENCE)

    async def aggregate(self, text: str) -> AsyncIterator[Aggregation]:
        """Yield the clauses that this piece of text completes."""
        self._pending += text
        for clause in self._chunker.feed(text):
            self._pending = ""
            yield Aggregation(text=clause, type=TextType.SENTENCE)

    async def flush(self) -> Aggregation | None:
        """The rest of the answer, if any."""
        rest = " ".join(self._chunker.flush()).strip()
        await self.reset()
        return Aggregation(text=rest, type=TextType.SENTENCE) if rest else None

    async def handle_interruption(self) -> None:
        """Forget the half-spoken answer."""
        await self.reset()

    async def reset(self) -> None:
        """Start the next answer: its first clause may again be short."""
        self._chunker = ClauseChunker()
        self._pending = ""
