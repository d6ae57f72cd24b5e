"""The cascade: recogniser, language model and voice between the two ends of a transport.

The `Pipeline` below is the diagram. Knows nothing of sockets, limits or metrics.
"""

import os
from typing import Any

from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
    UserTurnStoppedMessage,
)
from pipecat.processors.aggregators.llm_text_processor import LLMTextProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import BaseTransport
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import (
    SpeechTimeoutUserTurnStopStrategy,
    TurnAnalyzerUserTurnStopStrategy,
)
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from maata.profile import CascadeSettings, LlmSettings, TtsSettings, TurnSettings
from pipelines.cascade_models import CascadeModels
from pipelines.graph import CallHooks, Graph
from pipelines.latency import LatencyObserver
from pipelines.request import CallRequest
from services.answer_gate import AnswerGate
from services.apology import Apology
from services.clauses import ClauseAggregator
from services.llama import LlamaService
from services.memory import Memory
from services.phrases import NOT_HEARD
from services.speech import SpeechService, Synthesizer
from services.speecht5 import SpeechT5Service, SpeechT5Synthesizer
from services.turns import SharedSilero, SharedSmartTurn, TurnModels
from services.whisper import WhisperService

# A turn that ended without a transcript (a cough, noise) is given up after this long.
EMPTY_TURN_SECONDS = 3.0


def build_cascade(
    transport: BaseTransport,
    hooks: CallHooks,
    *,
    settings: CascadeSettings,
    models: CascadeModels,
    request: CallRequest,
) -> Graph:
    """Wire one call's graph around the shared models."""
    context = LLMContextAggregatorPair(
        LLMContext(), user_params=_user_params(settings.turns, models.turns)
    )
    speech = _voice(models.synthesizer, settings.tts, request)
    gate = AnswerGate(hooks.begin_answer)
    llm = settings.llm
    pipeline = Pipeline(
        [
            transport.input(),  # 16 kHz mono from the caller
            WhisperService(models.recognizer, interim_ms=settings.asr.interim_ms),
            context.user(),  # Silero VAD, Smart Turn: decides when the user's turn ends
            Memory(turns=llm.memory_turns, system_prompt=llm.system_prompt),
            _language_model(llm, models),
            Apology(),  # an answer without a word becomes a spoken apology
            LLMTextProcessor(text_aggregator=ClauseAggregator()),  # tokens -> clauses
            speech,  # clauses -> audio with word marks
            gate,  # nothing of an interrupted answer passes
            transport.output(),  # 24 kHz mono to the caller
            context.assistant(),  # remembers what was spoken
        ]
    )
    _watch(context, gate, hooks)

    def set_voice(voice: str | None, emotion: str | None) -> str:
        speech.voice = voice or speech.voice  # from the next clause on
        speech.emotion = emotion or speech.emotion
        return ""

    return Graph(pipeline, LatencyObserver(hooks.latency), set_voice)


def _watch(context: LLMContextAggregatorPair, gate: AnswerGate, hooks: CallHooks) -> None:
    """Tell the call of answers that were cut, and ask again when nothing was said after all."""
    interrupting = False

    @context.user().event_handler("on_user_turn_stopped")
    async def _heard(_user: Any, _strategy: Any, message: UserTurnStoppedMessage) -> None:
        nonlocal interrupting
        # The bot was cut off by something that was no speech: it asks rather than falls silent.
        if not (message.content or "").strip() and interrupting:
            await hooks.queue(TTSSpeakFrame(NOT_HEARD, append_to_context=False))
        interrupting = False

    @context.assistant().event_handler("on_assistant_turn_stopped")
    async def _spoken(_assistant: Any, message: AssistantTurnStoppedMessage) -> None:
        nonlocal interrupting
        if message.interrupted:
            interrupting = True
            hooks.interrupted()
            await hooks.tell({"type": "interrupted", "id": gate.answer, "spoken": message.content})


def _voice(synthesizer: Synthesizer, tts: TtsSettings, request: CallRequest) -> SpeechService:
    """What speaks in one call; SpeechT5 has a stand-in, and says so when that speaks."""
    said: dict[str, Any] = {
        "voice": request.voice,
        "emotion": request.emotion,
        "rate": tts.rate,
        "pitch": tts.pitch,
    }
    if isinstance(synthesizer, SpeechT5Synthesizer):
        return SpeechT5Service(synthesizer, **said)
    return SpeechService(synthesizer, **said)


def _language_model(llm: LlmSettings, models: CascadeModels) -> LlamaService | OpenAILLMService:
    if models.llama is not None:
        return LlamaService(models.llama, max_tokens=llm.max_tokens, temperature=llm.temperature)
    return OpenAILLMService(
        api_key=os.environ.get(llm.api_key_env, "") or "none",
        base_url=llm.base_url,
        settings=OpenAILLMService.Settings(
            model=llm.model, temperature=llm.temperature, max_tokens=llm.max_tokens
        ),
    )


def voice_activity(turns: TurnSettings, models: TurnModels) -> SharedSilero:
    """One call's VAD, the same rule whichever engine answers."""
    return SharedSilero(
        models.silero,
        VADParams(
            confidence=turns.vad_confidence,
            start_secs=turns.vad_start_ms / 1000,
            stop_secs=turns.vad_stop_ms / 1000,
            min_volume=turns.vad_min_volume,
        ),
    )


def _user_params(turns: TurnSettings, models: TurnModels) -> LLMUserAggregatorParams:
    stop_secs = turns.vad_stop_ms / 1000
    # Both strategies begin to count when the VAD has seen its own share of the silence.
    hold = max(0.0, turns.hold_ms / 1000 - stop_secs)
    if turns.smart_turn:
        analyzer = SharedSmartTurn(models.smart_turn, SmartTurnParams(stop_secs=hold))
        stop = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyzer)
    else:
        stop = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=hold)
    return LLMUserAggregatorParams(
        vad_analyzer=voice_activity(turns, models),
        user_turn_strategies=UserTurnStrategies(
            # A transcript so late that its turn was given up starts, and ends, a turn of its own.
            start=[
                VADUserTurnStartStrategy(),
                TranscriptionUserTurnStartStrategy(use_interim=False),
            ],
            stop=[stop],
        ),
        user_turn_stop_timeout=EMPTY_TURN_SECONDS,
        empty_user_turn=None,  # the call apologises in Telugu instead of prompting the model
    )
