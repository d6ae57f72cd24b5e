"""The models of a server: loaded once, shared by every call.

Models that release the interpreter lock (CTranslate2, ONNX, espeak-ng) live in this process and
run in worker threads. Eager torch models do not belong here: one ticking in a thread of the server
costs every other call tens of milliseconds, so they live in host processes of their own and are
held here by their client (`s2s_engine.py`). Knows nothing of calls.
"""

import asyncio
import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from loguru import logger

from maata.profile import AsrSettings, CascadeSettings, LlmSettings, Profile, TtsSettings
from models import weights
from models.converted import ct2_dir
from models.espeak import Espeak, EspeakMissing
from models.host import EngineSpec
from models.host_client import HostError
from models.llama import Llama
from models.whisper import Recognizer
from pipelines.s2s_engine import S2sEngine, S2sModels, conditions, text_pieces
from pipelines.s2s_engine import spec as s2s_spec
from services.speech import Synthesizer
from services.speecht5 import FACTORY, SpeechT5Synthesizer
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
        self.s2s_models: S2sModels | None = None  # what of it lives in this process
        self.s2s: S2sEngine | None = None
        self.progress: dict[str, float] = {}
        self.error: str | None = None
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether every engine of the profile can take calls."""
        return all(self.serves(engine) for engine in self.profile.engines)

    def serves(self, engine: str) -> bool:
        """Whether one engine can take calls now."""
        if engine == "cascade":
            return self.cascade is not None
        return self.s2s is not None and self.s2s.health.state == "ready"

    @property
    def loaded(self) -> bool:
        """Whether everything that lives in this process is loaded."""
        missing = {"cascade": self.cascade, "s2s": self.s2s_models}
        return all(missing[engine] is not None for engine in self.profile.engines)

    def check(self) -> None:
        """Look for what loading will need, without loading it.

        Raises:
            EngineError, WeightsMissing: with the remedy.
        """
        if self.profile.engine not in self.profile.engines:
            raise EngineError(
                f"engine {self.profile.engine} is not in engines = {list(self.profile.engines)}"
            )
        if "s2s" in self.profile.engines:
            check_s2s(self.profile)
        if "cascade" in self.profile.engines:
            check_cascade(self.profile.cascade)

    def load(self, report: Callable[[str, float], None] = lambda part, share: None) -> None:
        """Load everything; blocks for seconds, so call it from a worker thread.

        Args:
            report: told (part, share done) as parts begin and end.
        """

        def step(part: str, share: float) -> None:
            self.progress[part] = share
            report(part, share)

        engines, cascade = self.profile.engines, self.profile.cascade
        with self._lock:
            parts = ("asr", "llm", "tts", "turns") if "cascade" in engines else ("turns",)
            self.progress.update(dict.fromkeys(parts, 0.0))
            turns = _load("turns", step, TurnModels.load)
            recognizers: dict[AsrSettings, Recognizer] = {}  # one, if both engines name the same
            if "cascade" in engines and self.cascade is None:
                recognizers[cascade.asr] = _load("asr", step, lambda: _recognizer(cascade.asr))
                models = CascadeModels(
                    recognizer=recognizers[cascade.asr],
                    llama=_load("llm", step, lambda: _llama(cascade.llm)),
                    synthesizer=_load("tts", step, lambda: _synthesizer(cascade)),
                    turns=turns,
                )
                warm_up(models)
                self.cascade = models
            if self.cascade is not None:
                recognizers[cascade.asr] = self.cascade.recognizer
            if "s2s" in engines:
                self.s2s_models = _s2s_models(self.profile, turns, recognizers)

    async def start(self) -> None:
        """Start what lives in host processes, on the running event loop; returns when it serves.

        Raises:
            HostLost: a host could not load its model; it goes on trying.
        """
        if self.s2s_models is not None and self.s2s is None:
            self.progress["s2s"] = 0.1
            self.s2s = S2sEngine(self.s2s_models, self.profile.s2s)
            await self.s2s.start()
            self.progress["s2s"] = 1.0

    async def close(self) -> None:
        """End what lives in host processes."""
        if self.s2s is not None:
            await self.s2s.close()
            self.s2s = None
        voice = self.cascade.synthesizer if self.cascade else None
        if isinstance(voice, SpeechT5Synthesizer):
            await asyncio.to_thread(voice.close)


def check_cascade(cascade: CascadeSettings) -> None:
    """Look for the cascade's weights and devices.

    Raises:
        EngineError, WeightsMissing: with the remedy.
    """
    weights.resolve(cascade.asr.model)
    check_device(cascade.asr.device)
    llm = cascade.llm
    if llm.backend == "openai":
        if not llm.base_url:
            raise EngineError("cascade.llm.backend = openai needs cascade.llm.base_url")
    else:
        weights.resolve(llm.model)
        check_device(llm.device)
    check_voice(cascade.tts)


def check_voice(tts: TtsSettings) -> None:
    """Look for what the cascade speaks with.

    Raises:
        EngineError, WeightsMissing: with the remedy.
    """
    if tts.engine == "speecht5":
        weights.resolve(tts.model)
        if tts.vocoder:
            weights.resolve(tts.vocoder)
        if tts.pitch != 1.0:
            raise EngineError(
                "cascade.tts.pitch is for espeak alone: leave it at 1.0 with engine = 'speecht5'"
            )
        return
    try:
        Espeak()
    except EspeakMissing as e:
        raise EngineError(str(e)) from e


def check_s2s(profile: Profile) -> None:
    """Look for the speech-to-speech model's package, weights and settings.

    Raises:
        EngineError, WeightsMissing: with the remedy.
    """
    s2s = profile.s2s
    if importlib.util.find_spec("moshi") is None:
        raise EngineError(
            "engine s2s needs the moshi package: install maata[s2s], or use engines = ['cascade']"
        )
    for name in {s2s.adapter, s2s.fuse} - {""}:
        if name not in s2s.adapters:
            raise EngineError(f"s2s names the adapter {name!r}, which s2s.adapters does not list")
    if s2s.fallback and s2s.fallback not in profile.engines:
        raise EngineError(
            f"s2s.fallback = {s2s.fallback!r} needs it in engines = {list(profile.engines)}"
        )
    if not (s2s.model or s2s.address):
        raise EngineError("s2s.model is empty: name a model, or the s2s.address of a host")
    s2s_spec(profile)
    if s2s.captions:
        weights.resolve(s2s.captions)


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


def _s2s_models(
    profile: Profile, turns: TurnModels, recognizers: dict[AsrSettings, Recognizer]
) -> S2sModels:
    captions = profile.s2s.captions
    recognizer = None
    if captions:
        asr = profile.cascade.asr.model_copy(update={"model": captions})
        recognizer = recognizers.get(asr) or _recognizer(asr)
    model = profile.s2s.model
    return S2sModels(s2s_spec(profile), text_pieces(model), turns, recognizer, conditions(model))


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
