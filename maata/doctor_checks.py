"""What `maata doctor` makes of the machine's answers: findings, each failure with its remedy.

Knows what a profile needs; nothing of how the machine is asked (`doctor_probes`) or of the screen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from maata.doctor_needs import (
    SIZES,
    addresses,
    ctranslate2_on_gpu,
    on_gpu,
    repository,
    torch_on_gpu,
)
from maata.doctor_probes import Driver, ProbeFailed, Probes
from maata.profile import Engine, Profile

State = Literal["ok", "warn", "fail"]
GB = 1e9
LEAST_MEMORY = 4 * GB  # assumed: the starter models, pipecat and torch together, with room


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    said: str
    remedy: str = ""
    engines: tuple[Engine, ...] = ()  # that cannot run because of it


def checks(profile: Profile, probes: Probes) -> list[Finding]:
    """Everything, in the order in which a person would mend it."""
    return [
        *_gpu(profile, probes),
        _memory(profile, probes),
        *_packages(profile, probes),
        *_weights(profile, probes),
        _disk(profile, probes),
        *_ports(profile, probes),
        _page(probes),
        *_llm_server(profile, probes),
    ]


def _gpu(profile: Profile, probes: Probes) -> Iterator[Finding]:
    needing = on_gpu(profile)
    try:
        driver = probes.driver()
    except ProbeFailed as e:
        if not needing:
            yield Finding("gpu", "ok", f"none ({e}), and this profile needs none")
            return
        yield Finding(
            "gpu",
            "fail",
            str(e),
            "install NVIDIA's driver until nvidia-smi lists the card, or use --profile starter",
            needing,
        )
        return
    cuda = ".".join(map(str, driver.cuda))
    names = ", ".join(gpu.name for gpu in driver.gpus)
    yield Finding("gpu", "ok", f"{names}; driver {driver.version}, CUDA up to {cuda}")
    if needing:
        yield _torch(profile, probes, driver)
        if ("cascade" in needing and ctranslate2_on_gpu(profile)) or profile.s2s.captions:
            problem = probes.ctranslate2_problem()
            said, _, remedy = problem.partition(": ")
            state: State = "fail" if problem else "ok"
            blocked = needing if problem else ()
            yield Finding("ctranslate2", state, said or "can use the GPU", remedy, blocked)
        yield _gpu_memory(profile, driver)


def _torch(profile: Profile, probes: Probes, driver: Driver) -> Finding:
    blocked = torch_on_gpu(profile)
    state: State = "fail" if blocked else "warn"
    try:
        version, cuda = probes.torch_build()
    except ProbeFailed as e:
        return Finding("torch", "fail", str(e), "run `make setup`", on_gpu(profile))
    if cuda is None:
        remedy = "run `UV_TORCH_BACKEND=auto make setup` on this machine, after `make clean`"
        return Finding("torch", state, f"{version} is built without CUDA", remedy, blocked)
    wanted, most = (".".join(map(str, pair)) for pair in (cuda, driver.cuda))
    # Within one major number CUDA's newer programs run on older drivers; across it they do not.
    if cuda[0] > driver.cuda[0]:
        remedy = (
            f"update the driver to one for CUDA {cuda[0]}, or install a torch for CUDA "
            f"{driver.cuda[0]} (UV_TORCH_BACKEND=auto make setup)"
        )
        said = f"{version} is for CUDA {wanted}, the driver runs up to {most}"
        return Finding("torch", state, said, remedy, blocked)
    return Finding("torch", "ok", f"{version} for CUDA {wanted}")


def _gpu_memory(profile: Profile, driver: Driver) -> Finding:
    from maata.doctor_capacity import memory_needed

    gpu = driver.gpus[0]
    parts = memory_needed(profile)
    needed = sum(parts.values())
    said = f"{gpu.free / GB:.1f} of {gpu.total / GB:.1f} GB free"
    listed = ", ".join(f"{name} {size / GB:.1f}" for name, size in parts.items())
    if not parts:
        return Finding("gpu memory", "ok", said)
    said += f"; needed about {needed / GB:.1f}: {listed} (counted, not measured)"
    if needed <= gpu.free:
        return Finding("gpu memory", "ok", said)
    remedy = "end other programs on the card (nvidia-smi lists them)"
    if needed > gpu.total:
        remedy = "lower s2s.slots, serve one engine (engines = ['cascade']), or take a larger card"
    return Finding("gpu memory", "fail", said, remedy, on_gpu(profile))


def _memory(profile: Profile, probes: Probes) -> Finding:
    try:
        total, available = probes.memory()
    except ProbeFailed as e:
        return Finding("memory", "warn", str(e), "make sure there are 4 GB")
    needed, why = LEAST_MEMORY, "to run"
    asr = profile.cascade.asr.model
    size = SIZES.get(repository(asr), 0) * GB
    # CTranslate2's converter holds the checkpoint and what it makes of it.
    if asr in addresses(profile) and 2 * size > needed and not _converted(asr, probes):
        needed, why = 2 * size, f"to convert {asr} once"
    said = f"{available / GB:.1f} of {total / GB:.1f} GB free, {probes.cores()} cores"
    if available >= needed:
        return Finding("memory", "ok", said)
    remedy = f"about {needed / GB:.0f} GB are needed {why}: end other programs, or add memory"
    state: State = "fail" if total < needed else "warn"
    return Finding("memory", state, said, remedy, tuple(profile.engines) if state == "fail" else ())


def _converted(address: str, probes: Probes) -> bool:
    from models.converted import cache_root

    try:
        name = probes.weights(address).name
    except ProbeFailed:
        return False
    return any((cache_root() / "ct2").glob(f"{name}-*/model.bin"))


def _packages(profile: Profile, probes: Probes) -> Iterator[Finding]:
    if "s2s" in profile.engines:
        if probes.installed("moshi"):
            yield Finding("moshi", "ok", "installed")
        else:
            yield Finding("moshi", "fail", "not installed", "run `make setup`", ("s2s",))
    if "cascade" in profile.engines:
        yield _espeak(profile, probes)
    yield Finding("ffmpeg", "ok", "not needed: no engine of any profile calls it")


def _espeak(profile: Profile, probes: Probes) -> Finding:
    """The voice itself, or who stands in for it."""
    alone = profile.cascade.tts.engine == "espeak"
    try:
        probes.espeak()
    except ProbeFailed as e:
        said, _, remedy = str(e).partition(": ")
        remedy = remedy or "install the extra espeak (`make setup` does)"
        if alone:
            return Finding("espeak-ng", "fail", said, remedy, ("cascade",))
        return Finding("espeak-ng", "warn", f"{said}; nobody stands in for SpeechT5", remedy)
    return Finding("espeak-ng", "ok", "speaks" if alone else "stands in where SpeechT5 fails")


def _weights(profile: Profile, probes: Probes) -> Iterator[Finding]:
    for address, engines in addresses(profile).items():
        try:
            yield Finding("weights", "ok", f"{address} is here: {probes.weights(address)}")
        except ProbeFailed as e:
            remedy = str(e)
            if address.startswith("hf://"):
                remedy = f"run `maata weights fetch --profile {profile.name}`"
            yield Finding("weights", "fail", f"{address} is not here", remedy, engines)


def _disk(profile: Profile, probes: Probes) -> Finding:
    cache = probes.hub_cache()
    free = probes.free_disk(cache)
    said = f"{free / GB:.1f} GB free for {cache}"
    needed = 1.0
    for address in addresses(profile):
        try:
            probes.weights(address)
        except ProbeFailed:
            needed += SIZES.get(repository(address), 0) * 1.5  # with what is converted from it
    if free >= needed * GB:
        return Finding("disk", "ok", said)
    remedy = f"about {needed:.0f} GB are needed: free some, or set HF_HOME to a larger disk"
    return Finding("disk", "fail", said, remedy)


def _ports(profile: Profile, probes: Probes) -> Iterator[Finding]:
    server = profile.server
    for key, host, port in (
        ("server.port", server.host, server.port),
        ("server.metrics_port", server.metrics_host, server.metrics_port),
    ):
        if not port:
            continue
        reason = probes.bind(host, port)
        if reason:
            remedy = f"stop what runs there, or choose another with --set {key}=PORT"
            yield Finding("port", "fail", f"{host}:{port}: {reason}", remedy)
        else:
            yield Finding("port", "ok", f"{host}:{port} is free")


def _page(probes: Probes) -> Finding:
    if probes.page():
        return Finding("page", "ok", "built")
    return Finding("page", "fail", "not built, / would be empty", "run `make page` (Node >= 20)")


def _llm_server(profile: Profile, probes: Probes) -> Iterator[Finding]:
    llm = profile.cascade.llm
    if "cascade" not in profile.engines or llm.backend != "openai":
        return
    if not llm.base_url:
        remedy = "set cascade.llm.base_url, up to and including /v1"
        yield Finding("llm server", "fail", "no address", remedy, ("cascade",))
        return
    try:
        served = probes.models_served(llm.base_url, llm.api_key_env)
    except ProbeFailed as e:
        remedy = (
            "start it (`docker compose --profile gpu up`; vLLM takes minutes to load), or correct "
            "cascade.llm.base_url"
        )
        yield Finding("llm server", "fail", str(e), remedy, ("cascade",))
        return
    if llm.model in served:
        yield Finding("llm server", "ok", f"{llm.base_url} serves {llm.model}")
        return
    has = ", ".join(served) or "nothing"
    remedy = f"set cascade.llm.model to one of those, or serve {llm.model} there"
    yield Finding("llm server", "fail", f"{llm.base_url} serves {has}", remedy, ("cascade",))
