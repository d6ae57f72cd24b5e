"""Whether an adapter belongs to a language model: said before anything of the model is changed.

Compares names, sizes, vocabulary and a fingerprint of the base's weights. Knows nothing of how an
adapter is applied.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import torch
from moshi.models.lm import LMModel
from moshi.utils.quantize import QLinear
from torch import nn

from models.adapters import Adapter, AdapterMismatch, Shape

SAMPLES = 64  # values of each tensor that a fingerprint reads
# Voices and emotions: computed when a call joins, not at every step.
CONDITIONS = "condition_provider."


@dataclass(frozen=True)
class Base:
    """What an adapter must match in a model."""

    shape: Shape
    text_card: int
    linears: dict[str, tuple[int, int]]  # name -> (out, in)
    parameters: dict[str, tuple[int, ...]]  # name -> shape
    digests: dict[str, bytes]  # of each parameter

    @staticmethod
    def of(lm: LMModel) -> "Base":
        """Of a model as it was loaded, or as `models.adapters_lora.fresh` left it.

        Raises:
            AdapterMismatch: the model is quantized; LoRA adds to weights it no longer has.
        """
        if any(isinstance(module, QLinear) for module in lm.modules()):
            raise AdapterMismatch("a quantized model takes no adapter: load its bf16 weights")
        linears = {
            name.removesuffix(".frozen_W"): (module.out_features, module.in_features)
            for name, module in lm.named_modules()
            if isinstance(module, nn.Linear) and not name.endswith((".lora_A", ".lora_B"))
        }
        parameters = {
            name.replace(".frozen_W.", "."): parameter
            for name, parameter in lm.named_parameters()
            if ".lora_" not in name
        }
        return Base(
            _shape(lm, linears),
            lm.text_card,
            linears,
            {name: tuple(parameter.shape) for name, parameter in parameters.items()},
            {name: _digest(parameter) for name, parameter in parameters.items()},
        )

    def fingerprint(self, without: Collection[str] = ()) -> str:
        """16 hex digits of all parameters but those an adapter brings whole.

        The same for one set of weights on any device, in float32, or in bfloat16 if it was stored
        so: what is hashed are values rounded to bfloat16.
        """
        sum_ = hashlib.sha256()
        for name in sorted(set(self.digests) - set(without)):
            sum_.update(name.encode() + self.digests[name])
        return sum_.hexdigest()[:16]


def require_fit(adapter: Adapter, base: Base, tokenizer_sha256: str | None = None) -> None:
    """Raises AdapterMismatch, with the remedy, if the adapter is not one for this model.

    `tokenizer_sha256` is that of the text tokenizer the model is served with, if known.
    """
    card = adapter.card
    who = f"adapter {card.name!r}"
    made_for = f"load the base it was made for ({card.base.address or card.base.shape})"
    if card.base.shape != base.shape:
        raise AdapterMismatch(
            f"{who} is for a model with {card.base.shape}; this one has {base.shape}: {made_for}"
        )
    if card.text_card != base.text_card:
        raise AdapterMismatch(
            f"{who} writes a text vocabulary of {card.text_card} pieces, this model one of "
            f"{base.text_card}: give the base the adapter's tokenizer (text_card "
            f"{card.text_card}) first, or take an adapter for {base.text_card} pieces"
        )
    if card.tokenizer_sha256 and tokenizer_sha256 and card.tokenizer_sha256 != tokenizer_sha256:
        raise AdapterMismatch(
            f"{who} was trained with another text tokenizer of the same size (sha256 "
            f"{card.tokenizer_sha256[:12]}, here {tokenizer_sha256[:12]}): serve the one it was "
            "trained with"
        )
    wrong = _wrong_tensor(adapter, base)
    if wrong is not None:
        raise AdapterMismatch(f"{who} {wrong}: {made_for}")
    here = base.fingerprint(without=adapter.full)
    if card.base.fingerprint is not None and card.base.fingerprint != here:
        raise AdapterMismatch(
            f"{who} was trained on a base of this size with other weights (fingerprint "
            f"{card.base.fingerprint}, here {here}): {made_for}"
        )


def _wrong_tensor(adapter: Adapter, base: Base) -> str | None:
    for name, pair in adapter.pairs.items():
        if name not in base.linears:
            return f"changes {name}, which this model does not have"
        out, in_ = base.linears[name]
        if pair.a.shape[1:] != (in_,) or pair.b.shape[:1] != (out,) or pair.b.dim() != 2:
            return (
                f"has a LoRA pair of {list(pair.a.shape)} and {list(pair.b.shape)} for {name}, "
                f"which maps {in_} values to {out}"
            )
    for name, tensor in adapter.full.items():
        if base.parameters.get(name) != tuple(tensor.shape):
            own = base.parameters.get(name)
            return f"brings {name} {list(tensor.shape)}, here it is {list(own) if own else None}"
    missing = [
        name
        for name in base.linears
        if not name.startswith(CONDITIONS)
        and name not in adapter.pairs
        and f"{name}.weight" not in adapter.full
    ]
    if missing:
        # The library makes a pair for every linear layer; a file with fewer was cut or mixed up.
        return f"lacks {len(missing)} of the model's {len(base.linears)} layers ({missing[0]}, ...)"
    return None


def _shape(lm: LMModel, linears: dict[str, tuple[int, int]]) -> Shape:
    depformer = lm.depformer
    return Shape(
        dim=lm.dim,
        layers=len(lm.transformer.layers),
        depformer_dim=linears["linears.0"][1] if depformer is not None else 0,
        depformer_layers=len(depformer.layers) if depformer is not None else 0,
        n_q=lm.n_q,
        dep_q=lm.dep_q,
        card=lm.card,
    )


def _digest(parameter: torch.Tensor) -> bytes:
    flat = parameter.detach().flatten()
    sample = flat[:: max(1, len(flat) // SAMPLES)][:SAMPLES].to(torch.bfloat16).cpu()
    shape = str(tuple(parameter.shape)).encode()
    return hashlib.sha256(shape + sample.view(torch.int16).numpy().tobytes()).digest()
