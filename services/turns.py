"""Pipecat's Silero VAD and Smart Turn v3 with their ONNX sessions shared by all calls.

The stock analyzers load their files in the constructor: 80 ms on the event loop at the start of
every call, in which every other caller's audio waits. Sessions may be run from several threads;
only the recurrent state and the audio buffers belong to a call.
"""

from dataclasses import dataclass

from onnxruntime import InferenceSession
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroOnnxModel, SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams


@dataclass(frozen=True)
class TurnModels:
    """The two sessions, loaded once."""

    silero: InferenceSession
    smart_turn: InferenceSession

    @classmethod
    def load(cls) -> "TurnModels":
        """Load the files bundled with pipecat."""
        return cls(SileroVADAnalyzer()._model.session, LocalSmartTurnAnalyzerV3()._session)


class SharedSilero(SileroVADAnalyzer):
    """A call's VAD on the shared session."""

    def __init__(self, session: InferenceSession, params: VADParams) -> None:
        VADAnalyzer.__init__(self, params=params)
        model = SileroOnnxModel.__new__(SileroOnnxModel)
        model.session = session
        model.sample_rates = [8000, 16000]
        model.reset_states()
        self._model = model
        self._windows_since_reset = 0
        self._low_confidence_windows = 0


class SharedSmartTurn(LocalSmartTurnAnalyzerV3):
    """A call's end-of-turn model on the shared session."""

    def __init__(self, session: InferenceSession, params: SmartTurnParams) -> None:
        BaseSmartTurn.__init__(self, params=params)
        self._session = session
        self._log_data = False  # never writes callers' audio to disk
