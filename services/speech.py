"""Text to speech: clauses in; audio out, with each word marked where it is heard.

Knows nothing about how a voice is made: any object with `stream` and `sample_rate` slots in. Word
marks travel between the audio frames, so the memory of an interrupted answer ends at the last word
that left the server, not at the last one synthesised.
"""

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Protocol

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    AggregatedTextFrame,
    ErrorFrame,
    Frame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transcriptions.language import Language
from pipecat.utils.text.base_text_aggregator import TextType

from models.telugu.spoken import speakable
from services.offload import iterate

# Until a voice has spoken, its pace is taken as 14 letters a second (conversational Telugu).
FIRST_GUESS_LETTERS_PER_SECOND = 14.0


class Synthesizer(Protocol):
    """What the cascade needs of a voice engine. `stream` blocks and may run in several threads."""

    @property
    def sample_rate(self) -> int:
        """Samples a second of what `stream` yields."""
        ...

    def stream(
        self,
        text: str,
        voice: str,
        emotion: str = "neutral",
        *,
        rate: float = 1.0,
        pitch: float = 1.0,
        stop: threading.Event | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield int16 mono chunks as they are made; end within a chunk of `stop` being set."""
        ...


class WordMarks:
    """Says which words of a clause have been heard after so many samples of it."""

    def __init__(self, text: str, samples_per_letter: float) -> None:
        self._words = text.split()
        self._ends = np.cumsum([len(w) + 1 for w in self._words]) * samples_per_letter
        self._next = 0

    def due(self, samples: float) -> list[str]:
        """Words that end within the first `samples` samples and were not returned before."""
        start = self._next
        while self._next < len(self._words) and self._ends[self._next] <= samples:
            self._next += 1
        return self._words[start : self._next]


class SpeechService(TTSService):
    """Speaks clauses with a synthesizer shared by all calls, in this call's voice."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        *,
        voice: str,
        emotion: str,
        rate: float = 1.0,
        pitch: float = 1.0,
    ) -> None:
        """Wrap a synthesizer.

        Args:
            synthesizer: shared voice engine.
            voice: id of one of `models.voices.VOICES`.
            emotion: one of `models.voices.EMOTIONS`.
            rate: 1.0 is the voice's own pace.
            pitch: 1.0 is the voice's own pitch.
        """
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            max_consecutive_zero_audio_contexts=0,  # a clause that failed says nothing of the next
            settings=TTSSettings(model="speech", voice=voice, language=Language.TE),
        )
        self._synthesizer = synthesizer
        self._rate = rate
        self._pitch = pitch
        self._samples_per_letter = 0.0
        self.voice = voice
        self.emotion = emotion

    def can_generate_metrics(self) -> bool:
        """TTFB of every clause."""
        return True

    def language_to_service_language(self, language: Language) -> str | None:
        """Telugu is all this service is for."""
        return "te"

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        """Speak one clause: audio frames, with a TTSTextFrame behind each word's last sample."""
        spoken = speakable(text)
        pace = self._samples_per_letter or self.sample_rate / FIRST_GUESS_LETTERS_PER_SECOND
        marks = WordMarks(text, pace)
        heard = 0
        try:
            async for frame in self._stream_audio_frames_from_iterator(
                self._pcm(spoken),
                in_sample_rate=self._synthesizer.sample_rate,
                context_id=context_id,
            ):
                await self.stop_ttfb_metrics()
                yield frame
                if isinstance(frame, TTSAudioRawFrame):
                    heard += frame.num_frames
                for word in marks.due(heard):
                    yield _word_frame(word, context_id)
        except Exception as e:
            logger.exception("voice failed")
            yield ErrorFrame(error=f"voice failed: {type(e).__name__}")
            return
        for word in marks.due(float("inf")):
            yield _word_frame(word, context_id)
        if heard:
            self._samples_per_letter = heard / (len(text) + 1)

    async def _pcm(self, text: str) -> AsyncIterator[bytes]:
        chunks = iterate(
            lambda stop: self._synthesizer.stream(
                text, self.voice, self.emotion, rate=self._rate, pitch=self._pitch, stop=stop
            )
        )
        try:
            async for chunk in chunks:
                yield chunk.astype("<i2", copy=False).tobytes()
        finally:
            await chunks.aclose()

    async def _push_spoken_text(
        self, src_frame: AggregatedTextFrame, text: str, context_id: str, append_to_context: bool
    ) -> None:
        """The words went out between the audio frames already; only close the clause's slot."""
        for frame in self._aggregated_frame_sequencer.complete_spoken_slot():
            await self.push_frame(frame)


def _word_frame(word: str, context_id: str) -> TTSTextFrame:
    return TTSTextFrame(word, TextType.WORD, context_id=context_id)
