"""What a profile needs of a machine: which engines a GPU, and which weights. Asks nobody."""

from maata.profile import Engine, Profile

# Of the repositories the shipped profiles name, as their listings on the hub say; GB.
SIZES = {
    "kyutai/moshiko-pytorch-bf16": 15.8,
    "kyutai/moshiko-pytorch-q8": 8.4,
    "vasista22/whisper-telugu-large-v2": 6.2,
    "meta-llama/Llama-3.2-1B-Instruct": 2.5,
    "microsoft/speecht5_tts": 0.6,
    "microsoft/speecht5_hifigan": 0.1,
}


def on_gpu(profile: Profile) -> tuple[Engine, ...]:
    """The engines of a profile that need a GPU in this machine."""
    cascade = ctranslate2_on_gpu(profile) or speecht5_on_gpu(profile)
    needs = {"cascade": cascade, "s2s": profile.s2s.device == "cuda" and not profile.s2s.address}
    return tuple(engine for engine in profile.engines if needs[engine])


def ctranslate2_on_gpu(profile: Profile) -> bool:
    """Whether the cascade's recogniser or language model is to run on a GPU here."""
    asr, llm = profile.cascade.asr, profile.cascade.llm
    return asr.device == "cuda" or (llm.backend == "ctranslate2" and llm.device == "cuda")


def speecht5_on_gpu(profile: Profile) -> bool:
    """Whether the cascade's voice is SpeechT5 on a GPU."""
    tts = profile.cascade.tts
    return tts.engine == "speecht5" and tts.device == "cuda"


def torch_on_gpu(profile: Profile) -> tuple[Engine, ...]:
    """The engines that need a torch built for the GPU: Moshi's, and SpeechT5's."""
    needs = {"cascade": speecht5_on_gpu(profile), "s2s": True}
    return tuple(engine for engine in on_gpu(profile) if needs[engine])


def addresses(profile: Profile) -> dict[str, tuple[Engine, ...]]:
    """The weights that the engines of a profile load in this machine, and for which engine."""
    asr, llm, tts = profile.cascade.asr, profile.cascade.llm, profile.cascade.tts
    s2s = profile.s2s
    named: list[tuple[Engine, str]] = [("cascade", asr.model)]
    if llm.backend == "ctranslate2":
        named.append(("cascade", llm.model))
    if tts.engine == "speecht5":
        for address in (tts.model, tts.vocoder):
            named.append(("cascade", address))
    if not s2s.address:
        for address in (s2s.model, s2s.codec, *s2s.adapters.values()):
            named.append(("s2s", address))
    named.append(("s2s", s2s.captions))
    found: dict[str, tuple[Engine, ...]] = {}
    for engine, address in named:
        if address and engine in profile.engines and engine not in found.get(address, ()):
            found[address] = (*found.get(address, ()), engine)
    return found


def repository(address: str) -> str:
    """`owner/name` of an address on the hub."""
    return address.removeprefix("hf://").partition("@")[0]
