"""Whether the caller is speaking, for captions, the page and the figures; nothing waits for it.

The speech-to-speech model hears every sample and decides for itself when to speak. Audio is passed
on before the VAD looks at it, and no interruption is ever broadcast: that would cut the model's
continuous stream.
"""

from typing import Any

from pipecat.audio.vad.vad_analyzer import VADAnalyzer
from pipecat.frames.frames import UserStartedSpeakingFrame, UserStoppedSpeakingFrame
from pipecat.processors.audio.vad_processor import VADProcessor


class CallerActivity(VADProcessor):
    """Pipecat's VAD processor, telling the page too."""

    def __init__(self, vad_analyzer: VADAnalyzer) -> None:
        """`vad_analyzer` belongs to this call."""
        super().__init__(vad_analyzer=vad_analyzer)

        @self._vad_controller.event_handler("on_speech_started")
        async def _started(_controller: Any) -> None:
            await self.broadcast_frame(UserStartedSpeakingFrame)

        @self._vad_controller.event_handler("on_speech_stopped")
        async def _stopped(_controller: Any) -> None:
            await self.broadcast_frame(UserStoppedSpeakingFrame)
