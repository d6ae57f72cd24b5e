"""The speech-to-speech model as a Pipecat service: the caller's audio in, the answer's audio out.

Nothing gates the model: it hears every sample, also while it speaks. Its sound goes out as
`SpeechOutputAudioRawFrame`, from whose loudness Pipecat tells whether the bot is speaking, and its
inner monologue as live captions. Knows the model as a stream of a host process, nothing of slots.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.text.base_text_aggregator import TextType

from models.host_client import HostError, Stream
from models.host_messages import Chunk
from models.noise_gate import NoiseGate
from models.telugu.captions import PADDING, CaptionStream
from models.upsample import OUT_RATE, Upsampler
from services.backlog import Backlog

# An answer is over when the model has neither spoken nor written for so long: longer than a pause
# between clauses, shorter than a caller takes to wonder.
QUIET_FRAMES = 10  # of 80 ms


class MoshiService(FrameProcessor):
    """One call's stream on the shared speech-to-speech model."""

    def __init__(
        self,
        stream: Stream,
        pieces: Sequence[bytes],
        on_end: Callable[[HostError | None], Awaitable[None]],
        on_closed: Callable[[], None],
        *,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Wrap an opened stream, which is closed with this processor.

        Args:
            stream: int16 PCM at 24 kHz both ways, one text token with every 80 ms of answer.
            pieces: UTF-8 of every text token.
            on_end: called once if the stream ends before the call does; with the fault, if any.
            on_closed: called once when the stream is over, however it ended.
            now: seconds on a monotonic clock.
        """
        super().__init__()
        self._stream = stream
        self._on_end, self._on_closed = on_end, on_closed
        self._closed = False
        self._captions = CaptionStream(pieces)
        self._upsampler = Upsampler()
        self._gate = NoiseGate()
        self._backlog = Backlog(OUT_RATE, now)
        self._reading: asyncio.Task[None] | None = None
        self._word = ""  # begun, and not yet whole
        self._quiet = 0  # frames since the model last spoke or wrote
        self._answering = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Hand the caller's audio to the model; let everything else by."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            await self._hear(frame.audio)
            return
        if isinstance(frame, (EndFrame, CancelFrame)):
            await self._stop()
        await self.push_frame(frame, direction)
        if isinstance(frame, StartFrame):
            self._reading = self.create_task(self._read())

    async def cleanup(self) -> None:
        """Free the slot, whatever ended the call."""
        await self._stop()
        await super().cleanup()

    async def _stop(self) -> None:
        if self._reading:
            await self.cancel_task(self._reading)
            self._reading = None
        if not self._closed:
            self._closed = True
            await self._stream.close()
            await self._stream.settled()
            self._on_closed()

    async def _hear(self, audio: bytes) -> None:
        pcm = self._upsampler.push(np.frombuffer(audio, dtype="<i2"))
        with suppress(HostError):  # whoever reads is told why, with the model's last words
            await self._stream.push(Chunk(pcm=pcm.astype("<i2", copy=False).tobytes()))

    async def _read(self) -> None:
        fault: HostError | None = None
        try:
            async for chunk in self._stream:
                await self._answer(chunk)
        except HostError as e:
            fault = e
        rest = self._captions.flush()
        if rest:
            await self._begin_answer()
            await self._caption(rest)
        await self._end_answer()
        await self._on_end(fault)

    async def _answer(self, chunk: Chunk) -> None:
        """One frame of the model's: 80 ms of sound and a text token."""
        pcm = self._gate.frame(np.frombuffer(chunk.pcm, dtype="<i2"))
        text = "".join(self._captions.token(token) for token in chunk.tokens)
        speaks = bool(pcm.any())
        if speaks or any(token not in PADDING for token in chunk.tokens):
            await self._begin_answer()
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet == QUIET_FRAMES:
                await self._end_answer()
        if text:
            await self._caption(text)
        # After a stall of the host its frames come in a burst. The way to the caller runs in real
        # time, so what waits would delay the rest of the call: silence is left out instead.
        if speaks or self._backlog.short:
            self._backlog.add(len(pcm))
            await self.push_frame(
                SpeechOutputAudioRawFrame(pcm.astype("<i2", copy=False).tobytes(), OUT_RATE, 1)
            )

    async def _begin_answer(self) -> None:
        if not self._answering:
            self._answering = True
            await self.push_frame(LLMFullResponseStartFrame())

    async def _end_answer(self) -> None:
        if self._word:
            await self._say_word(self._word)
            self._word = ""
        if self._answering:
            self._answering = False
            await self.push_frame(LLMFullResponseEndFrame())

    async def _caption(self, text: str) -> None:
        """Captions as they are written, and each word once it is whole."""
        await self.push_frame(LLMTextFrame(text))
        *whole, self._word = (self._word + text).split(" ")
        for word in whole:
            if word:
                await self._say_word(word)

    async def _say_word(self, word: str) -> None:
        await self.push_frame(TTSTextFrame(word, TextType.WORD))
