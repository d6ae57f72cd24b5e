"""The models of a server: loaded once, shared by every call.

Models that release the interpreter lock (CTranslate2, ONNX, espeak-ng) live in this process and
run in worker threads. Eager torch models do not belong here: one ticking in a thread of the server
costs every other call tens of milliseconds, so they will live in host processes of their own and
be held here by their client. Knows nothing of calls.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from loguru import logger

from maata.profile import AsrSettings, CascadeSettings, LlmSettings, Profile
from models import weights
from models.converted import ct2_dir
from models.espeak import Espeak, EspeakMissing
from models.llama import Llama
from models.whisper import Recognizer
from services.speech import Synthesizer
from services.turns import TurnModels


class EngineError(Exception):
    """An engine of the profile cannot run here; the sentence says what to do."""


@dataclass(frozen=True)
class CascadeModels:
    """What the calls of the cascade share. `llama` is None when a server elsewhere answers."""

    recognizer: Recognizer
    llama: Llama | None
    synthesizer: Synthesizer
    turns: TurnModels


class Engines:
    """The engines of one profile, and how far their loading is."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.cascade: CascadeModels | None = None
        self.progress: dict[str, float] = {}
        self.error: str | None = None
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether every engine of the profile is loaded."""
        return self.cascade is not None

    def check(self) -> None:
        """Look for what loading will need, without loading it.

        Raises:
            EngineError, WeightsMissing: with the remedy.
        """
        if "s2s" in self.profile.engines:
            raise EngineError("engine s2s is not part of this version; use engines = ['cascade']")
        if self.profile.engine not in self.profile.engines:
            raise EngineError(
                f"engine {self.profile.engine} is not in engines = {list(self.profile.engines)}"
            )
        asr, llm = self.profile.cascade.asr, self.profile.cascade.llm
        weights.resolve(asr.model)
        check_device(asr.device)
        if llm.backend == "openai":
            if not llm.base_url:
                raise EngineError("cascade.llm.backend = openai needs cascade.llm.base_url")
        else:
            weights.resolve(llm.model)
            check_device(llm.device)
        try:
            _synthesizer(self.profile.cascade)
        except EspeakMissing as e:
            raise EngineError(str(e)) from e

    def load(self, report: Callable[[str, float], None] = lambda part, share: None) -> None:
        """Load everything; blocks for seconds, so call it from a worker thread.

        Args:
            report: told (part, share done) as parts begin and end.
        """

        def step(part: str, share: float) -> None:
            self.progress[part] = share
            report(part, share)

        with self._lock:
            cascade = self.profile.cascade
            for part in ("asr", "llm", "tts", "turns"):
                self.progress[part] = 0.0
            models = CascadeModels(
                recognizer=_load("asr", step, lambda: _recognizer(cascade.asr)),
                llama=_load("llm", step, lambda: _llama(cascade.llm)),
                synthesizer=_load("tts", step, lambda: _synthesizer(cascade)),
                turns=_load("turns", step, TurnModels.load),
            )
            warm_up(models)
            self.cascade = models


def check_device(device: str) -> None:
    """Whether CTranslate2 can run on the device.

    Raises:
        EngineError: no such device, or its driver does not answer.
    """
    if device != "cuda":
        return
    import ctranslate2

    if ctranslate2.get_cuda_device_count() == 0:
        raise EngineError(
            "device = 'cuda', but no usable GPU was found: check the driver with nvidia-smi, "
            "or set device = 'cpu'"
        )


def warm_up(models: CascadeModels) -> None:
    """Run every model once, so that the first caller does not pay for lazy initialisation."""
    models.recognizer.transcribe(np.zeros(16000, dtype=np.float32))
    for _ in models.synthesizer.stream("నమస్కారం", "priya"):
        pass
    if models.llama:
        hello = [{"role": "user", "content": "నమస్కారం"}]
        for _ in models.llama.stream(hello, max_tokens=4, temperature=0.0, stop=threading.Event()):
            pass


def _load(part: str, step: Callable[[str, float], None], load: Callable[[], Any]) -> Any:
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


def _recognizer(asr: AsrSettings) -> Recognizer:
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
    return Espeak()
