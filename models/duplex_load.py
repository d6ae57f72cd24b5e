"""The duplex engine from directories of weights: what a host process of the server loads.

    python -m models.host_server ADDRESS models.duplex_load:load '{"model": ..., "codec": ...}'

Checks that codec, language model and adapters belong together before anything is stepped, measures
the tick curve on this machine, and says what would fit where the memory does not. Knows no sockets.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models import codec as codecs
from models import moshi_checkpoint
from models.adapters import read as read_adapter
from models.adapters_lora import fuse as fuse_adapter
from models.adapters_room import Room
from models.admission import Admission, TickCurve
from models.duplex import DuplexEngine, Sampling
from models.duplex_streams import DuplexStreams, measure

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Share of the budget that a step with one call may take when slots are chosen. Nothing else runs
# then; in a call the front process and the captions do, and the same step takes longer.
ALONE = 0.85


class NoMemory(RuntimeError):
    """The device has no room for the model and its slots; the sentence says what would fit."""


def load(
    model: str,
    codec: str = "",
    *,
    slots: int = 8,
    budget: float = 0.064,
    device: str = "cpu",
    dtype: str = "float32",
    threads: int = 1,
    temperature: float = 0.8,
    temperature_text: float = 0.7,
    temperature_padding: float | None = None,
    top_k: int = 250,
    top_k_text: int = 25,
    seed: int | None = None,
    adapters: Mapping[str, str] | None = None,
    fuse: str = "",
) -> DuplexStreams:
    """Loads, warms up and measures the engine.

    Args:
        model: a directory as `models.moshi_checkpoint` reads it.
        codec: a directory as `models.codec` reads it; empty for the one the model names.
        slots: calls stepped together, at most: where the machine is too slow for even one call
            among so many, half of them, and so on.
        budget: the most the p99 of a tick may take, seconds.
        device: `cpu` or `cuda`.
        dtype: of the language model; the codec is always float32.
        threads: of torch, on a CPU.
        temperature: of the audio tokens; with 0 for both the likeliest tokens are taken.
        temperature_text: of the text tokens.
        temperature_padding: of whether a frame has text at all; None for the same.
        top_k: of the audio tokens.
        top_k_text: of the text tokens.
        seed: of the sampling.
        adapters: names to addresses of LoRA adapters, chosen per call at join.
        fuse: the name of one that is merged into the model instead, for all calls.

    Raises:
        WeightsMissing, CheckpointInvalid, CodecMismatch, CodecError: see there.
        AdapterMissing, AdapterMismatch: an adapter is not there, or is none for this model.
        NoMemory: neither the weights nor this many slots fit on the device.
    """
    torch.set_num_threads(threads)
    info = moshi_checkpoint.read(Path(model))
    mimi, codec_id = _codec(info, codec, device)
    moshi_checkpoint.require_codec(
        info, codebooks=mimi.num_codebooks, cardinality=mimi.cardinality, codec_id=codec_id
    )
    served = {name: read_adapter(address, name) for name, address in (adapters or {}).items()}
    merged = served.pop(fuse) if fuse else None
    tokenizer = moshi_checkpoint.sha256(Path(info.tokenizer))
    sampling = Sampling(
        greedy=temperature == 0 and temperature_text == 0,
        temperature=temperature,
        temperature_text=temperature_text,
        temperature_padding=temperature_padding,
        top_k=top_k,
        top_k_text=top_k_text,
        seed=seed,
    )
    room = Room.of(served.values()) if served else None
    lm: LMModel | None = None

    def engine_of(slots: int) -> DuplexEngine:
        assert lm is not None
        engine = DuplexEngine(mimi, lm, slots=slots, sampling=sampling, adapters=room)
        for name, adapter in served.items():
            assert engine.adapters is not None
            engine.adapters.load(adapter, name, tokenizer)
        engine.warm_up()
        return engine

    try:
        lm = moshi_checkpoint.load(info, device=device, dtype=DTYPES[dtype])
        if merged is not None:
            fuse_adapter(lm, merged, tokenizer)
        engine, curve = _fast_enough(engine_of, slots, budget)
    except (torch.OutOfMemoryError, MemoryError) as e:
        raise NoMemory(_what_fits(lm, slots, device, dtype)) from e
    return DuplexStreams(engine, Admission(curve, budget=budget, slots=engine.slots))


def _fast_enough(
    engine_of: Callable[[int], DuplexEngine], slots: int, budget: float
) -> tuple[DuplexEngine, TickCurve]:
    """An engine that keeps its deadlines with one call at least, or one of a single slot.

    A batch has one size: the slots nobody is in are computed with the others, and where all of
    them take too long every call would be refused, though a smaller batch had room for some.
    """
    while True:
        engine = engine_of(slots)
        curve = measure(engine, enough=budget)
        times = ", ".join(f"{n} calls {curve.p99(n) * 1000:.0f} ms" for n in curve.batches)
        log.warning("the engine is loaded with %d slots: %s", slots, times)
        if slots == 1 or curve.p99(1) <= ALONE * budget:
            return engine, curve
        log.warning(
            "%d slots are too many for this machine, with one call a step may take %.0f ms before "
            "others share it: going on with %d (s2s.slots = %d spares this trial at every start)",
            *(slots, ALONE * budget * 1000, slots // 2, slots // 2),
        )
        engine.close()
        slots //= 2


def _codec(
    info: moshi_checkpoint.loaders.CheckpointInfo, folder: str, device: str
) -> tuple[MimiModel, str]:
    """The codec and the fingerprint of its weights."""
    if folder:
        weights = Path(folder) / codecs.WEIGHTS
        fingerprint = moshi_checkpoint.fingerprint(weights) if weights.is_file() else ""
        return codecs.load(folder, device=device), fingerprint
    mimi = moshi_checkpoint.loaders.get_mimi(
        info.mimi_weights,
        info.mimi_config,
        device=device,
        num_codebooks=max(info.lm_config["dep_q"], info.lm_config["n_q"] - info.lm_config["dep_q"])
        if info.lm_config
        else codecs.CODEBOOKS,
    )
    return mimi, moshi_checkpoint.fingerprint(Path(info.mimi_weights))


def slot_bytes(lm: LMModel, dtype: torch.dtype) -> int:
    """Bytes of one slot's key-value cache of the temporal transformer: keys and values of every
    layer for the whole context, allocated at once."""
    transformer = lm.transformer
    context = int(transformer.layers[0].self_attn.context)  # pyright: ignore
    return 2 * len(transformer.layers) * context * lm.dim * dtype.itemsize


def _what_fits(lm: LMModel | None, slots: int, device: str, dtype: str) -> str:
    remedy = "set s2s.dtype = 'bfloat16', a smaller s2s.model, or end other programs on the device"
    if lm is None or device != "cuda":
        return f"the {device} has no room for the model's weights: {remedy}"
    free, total = torch.cuda.mem_get_info()
    weights = sum(p.numel() * p.element_size() for p in lm.parameters())
    each = slot_bytes(lm, DTYPES[dtype])
    fitting = max(0, int((total - weights - 2 * 2**30) // each))
    return (
        f"{slots} slots of {each / 2**30:.2f} GiB beside {weights / 2**30:.1f} GiB of weights do "
        f"not fit into {total / 2**30:.0f} GiB ({free / 2**30:.1f} GiB free now): about {fitting} "
        f"would; set s2s.slots, or {remedy}"
    )
