"""A LoRA adapter at rest: a directory with `lora.safetensors` and a card that says what it is for.

The card is `adapter.json` (below) or what moshi-finetune leaves: its `config.json`, the base's
configuration with `lora_rank` and `lora_scaling` added. Tensors are named as in the `moshi` package
(0.2.13, `modules/lora.py`), so `loaders.get_moshi_lm(lora_weights=...)` reads them too. Knows no
model: `models.adapters_fit` says whether an adapter fits one.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from moshi.models import loaders
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.weights import HUB_ADDRESS, WeightsMissing, resolve

CARD = "adapter.json"
FINETUNE_CARD = "config.json"
WEIGHTS = "lora.safetensors"
# Before its projections were split by depformer step, the package named the only one like this.
ONE_PROJECTION = re.compile(r"\.(in|out)_proj\.(lora_[AB]|weight)")


class AdapterMissing(Exception):
    """No whole adapter is at the address; the message says what to do."""


class AdapterMismatch(ValueError):
    """The adapter was made for another model, or the engine has no room for what it brings."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes of a Moshi language model, without its text vocabulary; no depformer: zeros."""

    dim: int
    layers: int
    depformer_dim: int
    depformer_layers: int
    n_q: int  # audio codebooks the model reads, of both sides
    dep_q: int  # audio codebooks it writes
    card: int  # entries a codebook

    def __str__(self) -> str:
        return ", ".join(f"{field} {getattr(self, field)}" for field in self.__struct_fields__)


class BaseCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model an adapter was trained on; the fingerprint is `models.adapters_fit.Base`'s."""

    shape: Shape
    fingerprint: str | None = None
    address: str | None = None


class AdapterCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`adapter.json`; `text_card` counts the pieces of the text tokenizer it was trained with."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    revision: str
    licence: str
    rank: Annotated[int, msgspec.Meta(ge=1)]
    scaling: float
    text_card: Annotated[int, msgspec.Meta(ge=1)]
    base: BaseCard
    tokenizer_sha256: str | None = None


@dataclass(frozen=True)
class Pair:
    """The update `scaling * B @ A` of one linear layer (LoRA, arXiv:2106.09685)."""

    a: torch.Tensor  # [rank, in]
    b: torch.Tensor  # [out, rank]


@dataclass(frozen=True)
class Adapter:
    """LoRA pairs by the name of their linear layer, and parameters that were trained whole."""

    card: AdapterCard
    pairs: dict[str, Pair]
    full: dict[str, torch.Tensor]

    @property
    def name(self) -> str:
        return self.card.name

    def tensors(self) -> dict[str, torch.Tensor]:
        """All weights under the names of `lora.safetensors`."""
        named = dict(self.full)
        for name, pair in self.pairs.items():
            named[f"{name}.lora_A.weight"], named[f"{name}.lora_B.weight"] = pair.a, pair.b
        return named


def read(address: str, name: str | None = None) -> Adapter:
    """The adapter at a weights address (`models.weights`), on the CPU, in the file's dtype.

    `name` is what it is called here, if not what its card says.

    Raises:
        AdapterMissing: there is none, or it is damaged or incomplete.
        AdapterMismatch: its card and its matrices are of different ranks.
    """
    try:
        directory = resolve(address)
    except WeightsMissing as e:
        raise AdapterMissing(f"no adapter: {e}") from e
    card = _card(address, directory)
    if name:
        card = msgspec.structs.replace(card, name=name)
    try:
        tensors = load_file(directory / WEIGHTS)
    except (OSError, SafetensorError) as e:
        raise AdapterMissing(
            f"{WEIGHTS} of the adapter at {address!r} cannot be read "
            f"({type(e).__name__}: {e}): fetch the adapter again or save it again"
        ) from e
    return assemble(card, tensors)


def write(adapter: Adapter, directory: Path) -> None:
    """Saves what `read` reads. The card comes last: without it there is no adapter."""
    directory.mkdir(parents=True, exist_ok=True)
    weights, card = directory / f"{WEIGHTS}.partial", directory / f"{CARD}.partial"
    tensors = {name: t.detach().cpu().contiguous() for name, t in adapter.tensors().items()}
    save_file(tensors, weights)
    card.write_bytes(msgspec.json.format(msgspec.json.encode(adapter.card), indent=2) + b"\n")
    os.replace(weights, directory / WEIGHTS)
    os.replace(card, directory / CARD)


def assemble(card: AdapterCard, tensors: dict[str, torch.Tensor]) -> Adapter:
    """Sorts named weights into pairs and whole parameters; `read` says what may be wrong."""
    halves: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    full: dict[str, torch.Tensor] = {}
    for given, tensor in tensors.items():
        if not tensor.dtype.is_floating_point or not torch.isfinite(tensor).all():
            # 0 x NaN is NaN: in a batch it would reach the rows that do not use this adapter.
            raise AdapterMissing(
                f"adapter {card.name!r} is damaged: {given} holds values that are not finite "
                "numbers: fetch the adapter again or save it again"
            )
        name = ONE_PROJECTION.sub(r".\1_projs.0.\2", given).replace(".frozen_W.", ".")
        linear, _, half = name.rpartition(".lora_")
        if linear:
            halves[linear][half.removesuffix(".weight")] = tensor
        else:
            full[name] = tensor
    pairs: dict[str, Pair] = {}
    for linear, half in halves.items():
        if set(half) != {"A", "B"}:
            raise AdapterMissing(
                f"adapter {card.name!r} is incomplete: {linear} has only lora_{min(half)}: "
                "fetch the adapter again or save it again"
            )
        pairs[linear] = Pair(half["A"], half["B"])
        ranks = half["A"].shape[0], half["B"].shape[-1]
        if ranks != (card.rank, card.rank):
            raise AdapterMismatch(
                f"the card of adapter {card.name!r} says rank {card.rank}, but {linear} has "
                f"matrices of rank {ranks[0]} and {ranks[1]}: use the card it was saved with"
            )
    if not pairs:
        raise AdapterMissing(f"adapter {card.name!r} has no LoRA matrices: this is another file")
    return Adapter(card, pairs, full)


def _card(address: str, directory: Path) -> AdapterCard:
    own, finetune = directory / CARD, directory / FINETUNE_CARD
    try:
        if own.is_file():
            return msgspec.json.decode(own.read_bytes(), type=AdapterCard)
        config = json.loads(finetune.read_text(encoding="utf-8")) if finetune.is_file() else {}
        if "lora_rank" in config:
            return _finetune_card(address, directory, config)
    except (msgspec.MsgspecError, ValueError) as e:  # json's and UTF-8's errors are ValueErrors
        raise AdapterMissing(
            f"the card of the adapter at {address!r} cannot be read: {e}: "
            "fetch the adapter again or save it again"
        ) from e
    raise AdapterMissing(
        f"no adapter at {address!r}: the directory must hold {WEIGHTS} with {CARD}, or with the "
        f"{FINETUNE_CARD} of moshi-finetune (lora_rank, lora_scaling)"
    )


def _finetune_card(address: str, directory: Path, config: dict[str, Any]) -> AdapterCard:
    """moshi-finetune writes the base's configuration; what it leaves out is Moshi 7B's own."""
    lm = {**loaders._lm_kwargs, **config}
    hub = HUB_ADDRESS.match(address)
    revision = hub["revision"] if hub else None
    if revision is None and (directory / WEIGHTS).is_file():
        with (directory / WEIGHTS).open("rb") as file:
            revision = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    shape = {
        "layers": lm["num_layers"],
        "depformer_layers": lm["depformer_num_layers"],
        **{key: lm[key] for key in ("dim", "depformer_dim", "n_q", "dep_q", "card")},
    }
    return msgspec.convert(
        {
            "name": hub["repo"].split("/")[1] if hub else directory.resolve().name,
            "revision": revision or "",
            "licence": "not stated",
            "rank": lm["lora_rank"],
            "scaling": lm.get("lora_scaling", 2.0),
            "text_card": lm["text_card"],
            "base": {"shape": shape},
        },
        AdapterCard,
    )
