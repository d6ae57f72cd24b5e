"""The neural codec: a Mimi of any shape, built, kept in a directory and run over whole recordings.

The modules are the `moshi` package's own (`MimiModel`, SEANet, the split residual quantizer; Moshi,
arXiv 2410.00037, section 3.3), so streaming is the library's: `mimi.streaming(B)`. A directory
holds `config.json` (the shape, in the keyword names of `moshi.models.loaders`) and
`model.safetensors` in fp16; the file the Moshi repositories ship their Mimi in is read as well.
Knows nothing of calls, language models or training.
"""

import json
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from moshi.models import loaders
from moshi.models.compression import MimiModel
from moshi.quantization.core_vq import EuclideanCodebook, VectorQuantization
from moshi.quantization.vq import ResidualVectorQuantizer, SplitResidualVectorQuantizer
from moshi.utils.compile import no_compile
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialize

SAMPLE_RATE = 24_000  # Hz, of every Mimi
CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODEL_TYPE = "maata-mimi"
CODEBOOKS = 8  # a Moshi speaks and hears eight, however many the codec has
_PARTS = ("sample_rate", "channels", "frame_rate", "seanet", "quantizer", "transformer")

Config = dict[str, Any]


class CodecError(ValueError):
    """A directory or an array that no codec can be made of or run on; the sentence says why."""


def build(config: Config) -> MimiModel:
    """A Mimi with random weights and all-zero codebooks, in evaluation mode, float32 on the CPU.

    `config` has the keys of `moshi.models.loaders._mimi_config` and `codebooks`, the number in use.

    Raises:
        CodecError: a key is missing, or the library cannot build that shape.
    """
    missing = [part for part in _PARTS if part not in config]
    if missing:
        raise CodecError(f"the codec's config lacks {', '.join(missing)}")
    if config["sample_rate"] != SAMPLE_RATE:
        raise CodecError(f"a codec of {config['sample_rate']} Hz: only 24000 Hz can be served")
    parts = {part: config[part] for part in _PARTS}
    try:
        mimi = loaders.get_mimi(None, parts, num_codebooks=config.get("codebooks", CODEBOOKS))
    except (AssertionError, TypeError, ValueError, KeyError) as error:
        raise CodecError(f"the library builds no codec of this config ({error})") from error
    return mimi


def save(mimi: MimiModel, config: Config, folder: Path) -> Path:
    """Writes `config.json` and `model.safetensors` (fp16), each whole or not at all.

    Codebooks are stored as the centroids themselves with a usage of one: the running sums that
    training keeps could leave fp16's range.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach() for name, tensor in mimi.state_dict().items()}
    for name, module in mimi.named_modules():
        if isinstance(module, EuclideanCodebook):
            state[f"{name}.embedding_sum"] = _centroids(module)
            state[f"{name}.cluster_usage"] = torch.ones_like(module.cluster_usage)
            state[f"{name}._initialized"] = torch.ones_like(module._initialized)
    halves = {name: tensor.half().cpu().contiguous() for name, tensor in state.items()}
    text = json.dumps({"model_type": MODEL_TYPE, **config}, indent=2) + "\n"
    (folder / f"{CONFIG}.part").write_text(text, encoding="utf-8")
    (folder / f"{WEIGHTS}.part").write_bytes(serialize(halves, metadata={"format": "pt"}))
    for name in (CONFIG, WEIGHTS):
        os.replace(folder / f"{name}.part", folder / name)
    return folder


def load(folder: Path | str, *, device: str = "cpu") -> MimiModel:
    """The codec of a directory, frozen, in evaluation mode and float32.

    As the library runs its own Mimi: in half precision the distances to close centroids tie, and
    the codes are no longer those the language model was trained on.

    Args:
        folder: as `save` writes it, or one with Moshi's `tokenizer-e351c8d8-checkpoint125...`.
        device: where it runs.

    Raises:
        CodecError: files are missing, damaged, or do not fit each other; the sentence names the
            file and the remedy.
    """
    folder = Path(folder)
    official = folder / loaders.MIMI_NAME
    if official.is_file() and not (folder / WEIGHTS).is_file():
        config, weights = {**loaders._mimi_config, "codebooks": CODEBOOKS}, official
    else:
        config, weights = read_config(folder), folder / WEIGHTS
    mimi = build(config)
    _fill(mimi, _tensors(weights), weights)
    return mimi.requires_grad_(False).eval().to(device)


def read_config(folder: Path) -> Config:
    """The shape a directory declares. Raises CodecError."""
    path = folder / CONFIG
    if not path.is_file():
        raise CodecError(
            f"{path} is missing: give the directory of a codec, or train one with "
            "'maata train codec'"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CodecError(f"{path} is not JSON ({error}): copy the codec again") from error
    if not isinstance(config, dict):
        raise CodecError(f"{path} holds no object: copy the codec again")
    return config


def codes_of(mimi: MimiModel, pcm: np.ndarray) -> np.ndarray:
    """float32 [T] at 24 kHz -> int64 [K, S], S = ceil(T / 1920) frames of 80 ms.

    The last frame is filled up with silence. The codec must not be streaming.

    Raises:
        CodecError: not one channel, no samples, or samples that are not numbers.
    """
    pcm = np.asarray(pcm, np.float32)
    if pcm.ndim != 1 or len(pcm) == 0:
        raise CodecError(f"the codec takes mono samples [T], T > 0, not {list(pcm.shape)}")
    if not np.isfinite(pcm).all():
        raise CodecError("the audio holds samples that are not numbers (NaN or infinite)")
    sound = torch.from_numpy(pcm)[None, None].to(_device(mimi))
    with torch.no_grad(), no_compile():  # compiling takes longer than minutes of audio
        return mimi.encode(sound)[0].cpu().numpy()


def pcm_of(mimi: MimiModel, codes: np.ndarray) -> np.ndarray:
    """int64 [K, S] -> float32 [1920 * S] at 24 kHz. The codec must not be streaming.

    Fewer codebooks than the codec has give a coarser sound.

    Raises:
        CodecError: not integers [K, S], or a code that no codebook has.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] == 0 or codes.dtype.kind not in "iu":
        raise CodecError(f"codes are integers [K, S], S > 0, not {codes.dtype} {codes.shape}")
    if not 1 <= len(codes) <= mimi.total_codebooks:
        raise CodecError(f"{len(codes)} codebooks given, the codec has {mimi.total_codebooks}")
    if codes.min() < 0 or codes.max() >= mimi.cardinality:
        raise CodecError(f"codes lie in 0..{mimi.cardinality - 1}: {codes.min()}..{codes.max()}")
    with torch.no_grad(), no_compile():
        sound = mimi.decode(torch.from_numpy(codes.astype(np.int64))[None].to(_device(mimi)))
    return sound[0, 0].cpu().numpy()


def forget_centroids(mimi: MimiModel) -> None:
    """Drops the centroids the library keeps ready: they do not follow a change of the buffers."""
    for book in codebooks(*quantizers(mimi)):
        book.register_buffer("_embedding", None, persistent=False)


def quantizers(mimi: MimiModel) -> tuple[ResidualVectorQuantizer, ResidualVectorQuantizer]:
    """The semantic quantizer, of one codebook, and the acoustic one with the rest."""
    both = cast(SplitResidualVectorQuantizer, mimi.quantizer)
    return both.rvq_first, both.rvq_rest


def codebooks(*parts: ResidualVectorQuantizer) -> list[EuclideanCodebook]:
    """The codebooks of quantizers, in their order."""
    layers = [cast(VectorQuantization, layer) for part in parts for layer in part.vq.layers]
    return [layer._codebook for layer in layers]


def _centroids(codebook: EuclideanCodebook) -> torch.Tensor:
    usage = codebook.cluster_usage.clamp(min=codebook.epsilon)
    return codebook.embedding_sum / usage[:, None]


def _device(mimi: MimiModel) -> torch.device:
    return next(mimi.parameters()).device


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise CodecError(f"{path} is missing: copy the codec's weights beside its config")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CodecError(f"{path} is damaged ({error}): copy or train the codec again") from error
    return {name: tensor.float() for name, tensor in stored.items()}


def _fill(mimi: MimiModel, stored: dict[str, torch.Tensor], path: Path) -> None:
    """Loads the weights; the first thing that does not fit is named."""
    wanted = mimi.state_dict()
    remedy = f"{path.name} and {CONFIG} in {path.parent} belong to different codecs"
    # Older files have other names for the codebooks' buffers; the library renames those itself.
    if path.name == WEIGHTS:
        for name, tensor in wanted.items():
            if name not in stored:
                raise CodecError(f"{path} lacks {name}: {remedy}")
            if stored[name].shape != tensor.shape:
                has, needs = list(stored[name].shape), list(tensor.shape)
                raise CodecError(f"{path}: {name} is {has}, its config asks for {needs}: {remedy}")
        if extra := sorted(stored.keys() - wanted.keys()):
            raise CodecError(f"{path} holds {extra[0]}, which its config does not: {remedy}")
    if bad := [name for name, tensor in stored.items() if not torch.isfinite(tensor).all()]:
        raise CodecError(f"{path}: {bad[0]} holds numbers that are none: train the codec again")
    mimi.load_state_dict(stored)
    forget_centroids(mimi)
