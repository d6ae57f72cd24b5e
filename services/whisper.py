"""Speech to text: the shared recogniser, live transcripts while the user speaks, one at the end.

Owns the audio of the current utterance and nothing of the model. Pipecat's segmented base class
cuts utterances at the VAD's events; its own Whisper service loads a model per call and refuses
Telugu on small vocabularies, which is why this one exists.
"""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
from loguru import logger
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterimTranscriptionFrame,
    TranscriptionFrame,
    TTSSpeakFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.settings import STTSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

from models.whisper import Recognizer
from services.phrases import NOT_HEARD

PRE_ROLL_SECONDS = 0.5  # speech before the VAD was sure: its 200 ms, and a soft onset
MAX_SECONDS = 28.0  # Whisper's window is 30 s; of a longer utterance the end is what was meant
# The recogniser is done well within this; the turn's end waits for it at most this long.
TTFS_P99_SECONDS = 0.6


def pcm16_to_float(pcm: bytes) -> np.ndarray:
    """16-bit little-endian PCM to float32 in -1..1, shape [T]."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0


class WhisperService(SegmentedSTTService):
    """Transcribes each stretch of speech with a recogniser shared by all calls."""

    # Interim transcripts are a courtesy: one at a time in the whole process, so that they never
    # stand between another caller and the transcript that ends a turn.
    _interim_slot = asyncio.Semaphore(1)

    def __init__(self, recognizer: Recognizer, *, interim_ms: int) -> None:
        """Wrap a loaded recogniser.

        Args:
            recognizer: 16 kHz recogniser; its `transcribe` blocks and releases the GIL.
            interim_ms: pause between transcripts while the user speaks; 0 for none.
        """
        super().__init__(
            trailing_silence_secs=0.0,  # the VAD's own stop window already is silence
            ttfs_p99_latency=TTFS_P99_SECONDS,
            settings=STTSettings(model="whisper", language=Language.TE),
        )
        self._recognizer = recognizer
        self._interim_seconds = interim_ms / 1000
        self._interim_task: asyncio.Task | None = None
        self._utterance = 0

    @property
    def wants_wav_segments(self) -> bool:
        """The recogniser reads samples, not WAV containers."""
        return False

    def language_to_service_language(self, language: Language) -> str | None:
        """Telugu is all this service is for."""
        return "te"

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Shorten the pre-roll: every extra half second costs encoder time at each turn."""
        await super().setup(setup)
        self._audio_buffer_size_1s = int(self.sample_rate * PRE_ROLL_SECONDS) * 2

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Start and stop the live transcripts with the user's speech."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStartedSpeakingFrame):
            self._utterance += 1
            await self._stop_interims()
            if self._interim_seconds:
                self._interim_task = self.create_task(self._interims(self._utterance))
        elif isinstance(frame, (VADUserStoppedSpeakingFrame, EndFrame, CancelFrame)):
            await self._stop_interims()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Transcribe one finished stretch of speech: 16 kHz mono PCM16."""
        try:
            text = await self._transcribe(audio)
        except Exception as e:
            logger.exception("recogniser failed")
            yield ErrorFrame(error=f"recogniser failed: {type(e).__name__}")
            yield TTSSpeakFrame(NOT_HEARD, append_to_context=False)
            return
        if text:
            await self.stop_ttfb_metrics()
            yield TranscriptionFrame(text, "user", time_now_iso8601(), Language.TE)

    async def _transcribe(self, pcm: bytes) -> str:
        newest = pcm[-int(MAX_SECONDS * self.sample_rate) * 2 :]
        transcript = await asyncio.to_thread(self._recognizer.transcribe, pcm16_to_float(newest))
        return transcript.text

    async def _interims(self, utterance: int) -> None:
        """Push what has been said so far, until the utterance ends."""
        last = ""
        while utterance == self._utterance:
            await asyncio.sleep(self._interim_seconds)
            if self._interim_slot.locked():
                continue
            async with self._interim_slot:
                try:
                    text = await self._transcribe(bytes(self._audio_buffer))
                except Exception as e:
                    logger.warning("no live transcript: {}", type(e).__name__)
                    return
            if text and text != last and utterance == self._utterance and self._user_speaking:
                last = text
                await self.push_frame(
                    InterimTranscriptionFrame(text, "user", time_now_iso8601(), Language.TE)
                )

    async def _stop_interims(self) -> None:
        if self._interim_task:
            await self.cancel_task(self._interim_task)
            self._interim_task = None
