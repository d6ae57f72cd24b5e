"""A Moshi language model as a directory in the hub's layout: save, read, load.

    config.json               the model's shape, its conditioners, the names of the other files
    model.safetensors         weights
    tokenizer_spm_*.model     the text tokenizer
    tokenizer-*.safetensors   the codec, where the directory has one of its own

That is what `moshi.models.loaders.CheckpointInfo` reads (moshi 0.2.13), so stock tools load these
directories and this file loads theirs, `kyutai/moshiko-pytorch-bf16` included. One thing is ours:
the weights of a small model may lie there in 8 bits (`int8_rows`), which stock tools do not read.
Knows nothing of calls, adapters or training.
"""

import copy
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from moshi.models import loaders
from moshi.models.lm import LMModel
from moshi.utils.quantize import QLinear
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models.int8_rows import pack, unpack
from models.moshi_config import CheckpointInvalid, Config, first_line, published_config
from models.weights import WeightsMissing

CONFIG, WEIGHTS = "config.json", loaders.MOSHI_NAME
_SMALL = 2**30  # bytes of weights
# Keys of a config.json that are not the language model's (CheckpointInfo.from_hf_repo).
_OTHER = ("moshi_name", "mimi_name", "mimi_config_name", "tokenizer_name", "lora_name")
_OTHER += ("model_type", "lm_gen_config", "tts_config", "stt_config", "model_id", "stored")
INT8 = "int8-rows"  # what `stored` says of 8-bit weights


class CodecMismatch(CheckpointInvalid):
    """The language model was trained on the codes of another codec."""


@dataclass(frozen=True)
class CodecFiles:
    """A codec that goes into the language model's own directory."""

    weights: Path
    config: Config | None = None  # None for the published Mimi


def save(
    lm: LMModel,
    config: Config,
    tokenizer: Path,
    target: Path,
    *,
    codec: CodecFiles | None = None,
    codec_id: str = "",
    dtype: torch.dtype = torch.float16,
    int8: bool = False,
) -> Path:
    """Writes the directory whole or not at all, replacing what was there.

    Args:
        lm: the model, without LoRA layers.
        config: what `build` made it from.
        tokenizer: the SentencePiece file; keeps its name.
        target: the directory.
        codec: put into the directory as well, so that it is complete for stock tools.
        codec_id: `fingerprint` of the codec whose codes the model was trained on.
        dtype: of the stored weights; conditioners stay float32.
        int8: store matrices in 8 bits, half of float16; only `load` here reads that.

    Raises:
        CheckpointInvalid: the config is another model's.
    """
    if (config["text_card"], config["dim"]) != (lm.text_card, lm.dim):
        raise CheckpointInvalid("the config is not this model's: save what `build` was given")
    scratch = target.with_name(target.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    written: Config = {"model_type": "moshi", "moshi_name": WEIGHTS, **config}
    written |= {"tokenizer_name": tokenizer.name, "mimi_name": loaders.MIMI_NAME}
    shutil.copyfile(tokenizer, scratch / tokenizer.name)
    if codec is not None:
        codec_id = codec_id or fingerprint(codec.weights)
        written["mimi_name"] = codec.weights.name
        if codec.weights.name == WEIGHTS:
            written["mimi_name"] = "tokenizer-codec.safetensors"
        shutil.copyfile(codec.weights, scratch / written["mimi_name"])
        if codec.config is not None:
            written["mimi_config_name"] = "mimi_config.json"
            _write_json(scratch / "mimi_config.json", codec.config)
    if codec_id:
        written["model_id"] = {"codec": codec_id}
    state = _state(lm, dtype)
    if int8:
        written["stored"], state = INT8, pack(state)
    save_file(state, scratch / WEIGHTS)
    (scratch / WEIGHTS).chmod(0o644)  # safetensors lets nobody else read what it writes
    _write_json(scratch / CONFIG, written)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    return target


def _state(lm: LMModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    def stored(name: str, value: torch.Tensor) -> torch.Tensor:
        keep = name.startswith(("condition_provider.", "fuser.")) or not value.is_floating_point()
        return value.detach().to("cpu", value.dtype if keep else dtype).contiguous()

    return {name: stored(name, value) for name, value in lm.state_dict().items()}


def _write_json(path: Path, value: Config) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(directory: Path) -> loaders.CheckpointInfo:
    """What the directory says of itself; nothing is loaded.

    The codec's path is the one the directory names, whether it is there or not: it may be given
    separately. A directory without config.json is the published 7B.

    Raises:
        WeightsMissing: the language model's weights, its tokenizer or its adapter are not there.
        CheckpointInvalid: config.json is none.
    """
    raw = _config(directory / CONFIG)
    lm_config = {key: value for key, value in raw.items() if key not in _OTHER}
    tokenizer = directory / raw.get("tokenizer_name", loaders.TEXT_TOKENIZER_NAME)
    weights = directory / raw.get("moshi_name", WEIGHTS)
    lora = directory / raw["lora_name"] if raw.get("lora_name") else None
    named = {"the weights": weights, "the text tokenizer": tokenizer, "the LoRA weights": lora}
    for what, path in named.items():
        if path is not None and not path.is_file():
            raise WeightsMissing(
                f"{path} is missing ({what} of a Moshi): fetch the directory again, or correct "
                f"the name in {directory / CONFIG}"
            )
    mimi_config = raw.get("mimi_config_name")
    return loaders.CheckpointInfo(
        moshi_weights=weights,
        mimi_weights=directory / raw.get("mimi_name", loaders.MIMI_NAME),
        tokenizer=tokenizer,
        lm_config=lm_config,
        raw_config=raw,
        mimi_config=_config(directory / mimi_config) if mimi_config else None,
        model_type=raw.get("model_type", "moshi"),
        lora_weights=lora,
        lm_gen_config=raw.get("lm_gen_config", {}),
        model_id=raw.get("model_id", {}),
    )


def _config(path: Path) -> Config:
    if not path.is_file():
        if path.name != CONFIG:
            raise WeightsMissing(f"{path} is missing: fetch the directory again")
        return published_config()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise CheckpointInvalid(f"{path} is no JSON ({e}): fetch it again") from e
    if not isinstance(raw, dict) or (path.name == CONFIG and "text_card" not in raw):
        raise CheckpointInvalid(f"{path} is not a Moshi's config: it names no text_card")
    return raw


def load(
    info: loaders.CheckpointInfo,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    fuse_lora: bool = True,
    overrides: Config | None = None,
) -> LMModel:
    """The language model of a directory, in evaluation mode.

    `overrides` are the library's, such as `gradient_checkpointing`.

    Raises:
        CheckpointInvalid: weights and config do not belong together, or the file is damaged.
    """
    config = {**(info.lm_config or published_config()), **(overrides or {})}
    try:
        small = info.lora_weights is None and info.moshi_weights.stat().st_size < _SMALL
        if (info.raw_config or {}).get("stored") == INT8 and not small:
            raise CheckpointInvalid(
                f"{info.moshi_weights} lies in 8 bits, which only small models without LoRA may: "
                "store it in 16"
            )
        if small:
            return _load_small(info.moshi_weights, config, device, dtype)
        lm = loaders.get_moshi_lm(
            info.moshi_weights,
            copy.deepcopy(config),
            device=device,
            dtype=dtype,
            lora_weights=info.lora_weights,
            fuse_lora=fuse_lora,
        )
        if config.get("quantize"):
            _whole_scales(lm, info.moshi_weights)
        return lm
    except (TypeError, AssertionError, KeyError) as e:
        raise CheckpointInvalid(
            f"{info.moshi_weights.parent / CONFIG} describes no Moshi: {first_line(e)}"
        ) from e
    except Exception as e:  # safetensors has exceptions of its own, torch a RuntimeError
        if isinstance(e, torch.OutOfMemoryError | MemoryError | CheckpointInvalid):
            raise
        raise CheckpointInvalid(
            f"{info.moshi_weights.name} does not fit the config beside it ({first_line(e)}): "
            "fetch both again from one revision"
        ) from e


def _whole_scales(lm: LMModel, weights: Path) -> None:
    """Gives 8-bit layers (bitsandbytes) their float32 scales back.

    The library casts every floating-point tensor it reads to the model's dtype, these too, and then
    refuses to compute with them (moshi/utils/quantize.py, 0.2.13).
    """
    with safe_open(weights, "pt", device=str(lm.device)) as file:
        for name, module in lm.named_modules():
            if isinstance(module, QLinear):
                scales = file.get_tensor(f"{name}.weight_scb").float()
                module.weight_scb = torch.nn.Parameter(scales, requires_grad=False)


def _load_small(weights: Path, config: Config, device: str, dtype: torch.dtype) -> LMModel:
    """As the library does it, but for the meta device, whose first use imports torch's compiler.

    That takes ten seconds and more, which is worth it only where the random weights that are
    drawn here, and thrown away, would take longer.
    """
    with torch.random.fork_rng(devices=[]):
        lm = loaders.get_moshi_lm(None, copy.deepcopy(config), device=device, dtype=dtype)
    # Copied into each tensor's own dtype.
    lm.load_state_dict(unpack(load_file(weights, device=device)))
    return lm


def fingerprint(weights: Path) -> str:
    """16 hexadecimal digits that tell one file of weights from another."""
    return sha256(weights)[:16]


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_codec(
    info: loaders.CheckpointInfo, *, codebooks: int, cardinality: int, codec_id: str = ""
) -> None:
    """Holds a language model against the codec that is to feed it.

    Raises:
        CodecMismatch: other numbers of codebooks or entries, or another codec of the same shape.
    """
    config = info.lm_config or published_config()
    needed = max(config["dep_q"], config["n_q"] - config["dep_q"])
    trained_on = info.model_id.get("codec", "")
    remedy = "use the codec it was trained with"
    if (codebooks, cardinality) != (needed, config["card"]):
        raise CodecMismatch(
            f"the codec has {codebooks} codebooks of {cardinality} entries, the language model "
            f"needs {needed} of {config['card']}: {remedy}"
        )
    if codec_id and trained_on and codec_id != trained_on:
        raise CodecMismatch(
            f"the codec is {codec_id}, the language model was trained on the codes of "
            f"{trained_on}: {remedy}"
        )
