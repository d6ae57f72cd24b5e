"""Whether an engine can run here, asked before anything is loaded: weights, devices, packages.

Knows nothing of how models are loaded or served.
"""

import importlib.util

from maata.profile import CascadeSettings, Profile, TtsSettings
from models import weights
from models.espeak import Espeak, EspeakMissing
from pipelines.s2s_engine import spec as s2s_spec


class EngineError(Exception):
    """An engine of the profile cannot run here; the sentence says what to do."""


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
