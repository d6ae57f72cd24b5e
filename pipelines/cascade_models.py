"""The models of the cascade: loaded once, shared by all its calls.

Recogniser and language model live in this process, the voice in one of its own. Knows nothing of
calls or of the other engine.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from loguru import logger

from maata.profile import AsrSettings, CascadeSettings, LlmSettings
from models import weights
from models.converted import ct2_dir
from models.espeak import Espeak, EspeakMissing
from models.host import EngineSpec
from models.host_client import HostError
from models.llama import Llama
from models.whisper import Recognizer
from pipelines.engine_checks import EngineError
from services.speech import Synthesizer
from services.speecht5 import FACTORY, SpeechT5Synthesizer
from services.turns import TurnModels

Step = Callable[[str, float], None]  # told a part and the share of it that is done


@dataclass(frozen=True)
class CascadeModels:
    """What the calls of the cascade share. `llama` is None when a server elsewhere answers."""

    recognizer: Recognizer
    llama: Llama | None
    synthesizer: Synthesizer
    turns: TurnModels


def load_cascade(cascade: CascadeSettings, step: Step) -> CascadeModels:
    """Loads and runs every model of the cascade.

    The voice comes up in a process of its own while this one loads the others: on two cores the
    whole starter profile is ready after 13.3 s instead of 13.9 (median of three launches each).
    """
    with ThreadPoolExecutor(1, thread_name_prefix="voice") as beside:
        voice = beside.submit(load_part, "tts", step, lambda: _synthesizer(cascade))
        try:
            turns = load_part("turns", step, TurnModels.load)
            recognizer = load_part("asr", step, lambda: load_recognizer(cascade.asr))
            llama = load_part("llm", step, lambda: _llama(cascade.llm))
        except Exception:
            with suppress(Exception):  # the first failure is the one to tell of
                close_voice(voice.result())
            raise
        models = CascadeModels(recognizer, llama, voice.result(), turns)
    warm_up(models)
    return models


def close_voice(voice: Synthesizer | None) -> None:
    """Ends the voice's host process, where it has one; blocks."""
    if isinstance(voice, SpeechT5Synthesizer):
        voice.close()


def warm_up(models: CascadeModels) -> None:
    """Run every model once, so that the first caller does not pay for lazy initialisation."""
    models.recognizer.transcribe(np.zeros(16000, dtype=np.float32))
    for _ in models.synthesizer.stream("నమస్కారం", "priya"):
        pass
    if models.llama:
        hello = [{"role": "user", "content": "నమస్కారం"}]
        for _ in models.llama.stream(hello, max_tokens=4, temperature=0.0, stop=threading.Event()):
            pass


def load_part(part: str, step: Step, load: Callable[[], Any]) -> Any:
    """What `load` returns. Raises EngineError where the GPU has no room for it."""
    step(part, 0.1)
    try:
        model = load()
    except RuntimeError as e:
        if "out of memory" in str(e).lower():
            raise EngineError(
                f"the GPU has no room for {part}: end other programs on it (nvidia-smi lists "
                "them), or choose a smaller compute_type or device = 'cpu'"
            ) from e
        raise
    step(part, 1.0)
    logger.debug("loaded {}", part)
    return model


def load_recognizer(asr: AsrSettings) -> Recognizer:
    """Whisper by CTranslate2, converted at first use. Raises WeightsMissing."""
    path = ct2_dir(weights.resolve(asr.model), asr.compute_type)
    return Recognizer.load(
        path, device=asr.device, compute_type=asr.compute_type, threads=asr.threads
    )


def _llama(llm: LlmSettings) -> Llama | None:
    if llm.backend == "openai":
        return None
    path = ct2_dir(weights.resolve(llm.model), llm.compute_type)
    return Llama.load(path, device=llm.device, compute_type=llm.compute_type, threads=llm.threads)


def _synthesizer(cascade: CascadeSettings) -> Synthesizer:
    tts = cascade.tts
    if tts.engine == "espeak":
        return Espeak()
    try:
        stand_in = Espeak()
    except EspeakMissing:  # it is an extra
        stand_in = None
    keys = ("vocoder", "device", "threads", "rows", "words")
    settings = {key: getattr(tts, key) for key in keys} | {"model": str(weights.resolve(tts.model))}
    if tts.vocoder:
        settings["vocoder"] = str(weights.resolve(tts.vocoder))
    voice = SpeechT5Synthesizer(EngineSpec(FACTORY, settings), stand_in=stand_in)
    try:
        voice.start()
    except HostError as e:
        raise EngineError(f"the voice does not load: {e}") from e
    return voice
