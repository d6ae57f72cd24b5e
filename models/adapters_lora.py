"""One adapter on a whole model: made fresh for training, taken out again, or fused into it.

Uses the `moshi` package's own `LoRALinear`. Knows nothing of files or of batches: several adapters
at once are `models.adapters_bank`'s.
"""

from collections.abc import Iterable

import torch
from moshi.models.lm import LMModel
from moshi.modules.lora import LoRALinear
from torch import nn

from models.adapters import Adapter, AdapterCard, AdapterMismatch, BaseCard, assemble
from models.adapters_fit import CONDITIONS, Base, require_fit

# What a new text vocabulary trains whole: moshi-finetune's `ft_embed` for text, and the head.
TEXT_PARTS = ("text_emb.weight", "depformer_text_emb.weight", "text_linear.weight")


def fresh(lm: LMModel, *, rank: int = 128, scaling: float = 2.0, full: Iterable[str] = ()) -> None:
    """Puts an adapter that changes nothing on every linear layer and freezes all the rest.

    The package starts both matrices at random, which changes the model before the first step; here
    B is zero, as in the LoRA paper (arXiv:2106.09685, section 4.1). A keeps the package's start
    and is drawn from torch's generator. Defaults are the package's.

    Args:
        full: names of parameters to be trained whole, e.g. `TEXT_PARTS`; a linear layer whose
            weight is among them gets no pair.

    Raises:
        AdapterMismatch: the model already has an adapter, is quantized, or lacks a name of `full`.
    """
    base = Base.of(lm)
    require_bare(lm)
    if unknown := sorted(set(full) - set(base.parameters)):
        raise AdapterMismatch(f"this model has no parameter {unknown[0]!r} to train whole")
    whole = set(full)
    for name in base.linears:
        if name.startswith(CONDITIONS) or f"{name}.weight" in whole:
            continue
        linear = lm.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        replace(lm, name, _blank(linear, rank, scaling))
    for name, parameter in lm.named_parameters():
        parameter.requires_grad_(name in whole or ".lora_" in name)


def taken(
    lm: LMModel,
    *,
    name: str,
    revision: str,
    licence: str,
    base_address: str | None = None,
    tokenizer_sha256: str | None = None,
) -> Adapter:
    """The adapter that `fresh` put on a model: all pairs, and whatever else was trained.

    A layer without a pair gets one of zeros: the package's loader wants one for every layer.

    Raises:
        AdapterMismatch: the model has no adapter.
    """
    layers = [module for module in lm.modules() if isinstance(module, LoRALinear)]
    if not layers:
        raise AdapterMismatch("this model has no adapter to take: put one on it with fresh()")
    base = Base.of(lm)
    tensors = {
        parameter_name.replace(".frozen_W.", "."): parameter.detach().clone()
        for parameter_name, parameter in lm.named_parameters()
        if ".lora_" in parameter_name or parameter.requires_grad
    }
    full = [tensor_name for tensor_name in tensors if ".lora_" not in tensor_name]
    rank = layers[0].rank
    for linear, (out, in_) in base.linears.items():
        tensors.setdefault(f"{linear}.lora_A.weight", torch.zeros(rank, in_))
        tensors.setdefault(f"{linear}.lora_B.weight", torch.zeros(out, rank))
    card = AdapterCard(
        name=name,
        revision=revision,
        licence=licence,
        rank=rank,
        scaling=layers[0].scaling,
        text_card=lm.text_card,
        base=BaseCard(base.shape, base.fingerprint(without=full), base_address),
        tokenizer_sha256=tokenizer_sha256,
    )
    return assemble(card, tensors)


@torch.no_grad()
def fuse(lm: LMModel, adapter: Adapter, tokenizer_sha256: str | None = None) -> None:
    """Merges the adapter into the model's weights: `W + scaling * B @ A`, at no cost per step.

    Summed in float32 whatever the model's dtype, so that a bfloat16 model is rounded once. The
    model is another base from then on: it takes no second adapter that was made for the first.

    Raises:
        AdapterMismatch: the adapter is not one for this model, which is left as it was.
    """
    require_bare(lm)
    require_fit(adapter, Base.of(lm), tokenizer_sha256)
    merge(lm, adapter)


@torch.no_grad()
def merge(module: nn.Module, adapter: Adapter, prefix: str = "") -> None:
    """Merges what the adapter has for a module whose names in the model begin with `prefix`."""
    for name, tensor in adapter.full.items():
        if name.startswith(prefix):
            module.get_parameter(name.removeprefix(prefix)).copy_(tensor)
    for name, pair in adapter.pairs.items():
        if name.startswith(prefix):
            weight = module.get_parameter(f"{name.removeprefix(prefix)}.weight")
            a, b = (half.to(weight.device, torch.float32) for half in (pair.a, pair.b))
            weight.copy_(weight.float() + adapter.card.scaling * (b @ a))


def replace(lm: LMModel, name: str, module: nn.Module) -> None:
    """Puts another module in the place of the one with this name."""
    parent, _, last = name.rpartition(".")
    setattr(lm.get_submodule(parent), last, module)


def _blank(linear: nn.Linear, rank: int, scaling: float) -> LoRALinear:
    place = {"device": linear.weight.device, "dtype": linear.weight.dtype}
    lora = LoRALinear(  # on no device: the package would draw a whole second weight here
        linear.in_features,
        linear.out_features,
        rank,
        scaling,
        device=torch.device("meta"),
        dtype=linear.weight.dtype,
    )
    lora.frozen_W = linear
    lora.lora_A = nn.Linear(linear.in_features, rank, bias=False, **place)
    lora.lora_B = nn.Linear(rank, linear.out_features, bias=False, **place)
    nn.init.zeros_(lora.lora_B.weight)
    return lora


def require_bare(lm: LMModel) -> None:
    """Raises AdapterMismatch if the model's layers carry adapters already."""
    if any(isinstance(module, LoRALinear) for module in lm.modules()):
        raise AdapterMismatch(
            "this model already carries adapters in its layers: load its base anew, or close the "
            "engine that serves them"
        )
