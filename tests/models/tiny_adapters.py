"""Adapters of the tiny Moshi: made as training makes them, with weights as if they had learnt."""

import hashlib

import torch
from moshi.models.lm import LMModel
from torch import nn

from models.adapters import Adapter
from models.adapters_lora import TEXT_PARTS, fresh, taken
from tests.models.tiny_moshi import tiny_lm

VOICES = ["a", "b"]
EMOTIONS = ["calm"]
EVERYTHING = (*TEXT_PARTS, "condition_provider.conditioners.voice.embed.weight")


def base() -> LMModel:
    return tiny_lm(voices=VOICES, emotions=EMOTIONS)


def learnt(lm: LMModel, seed: int) -> None:
    """Moves everything trainable far enough to be heard in the answers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in lm.named_parameters():
            if parameter.requires_grad:
                size = 0.3 if "lora_B" in name else 0.1
                parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def tiny_adapter(name: str, *, rank: int = 4, full: tuple[str, ...] = ()) -> Adapter:
    """For `base()`; another name, other weights."""
    lm = base()
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    torch.manual_seed(seed)
    fresh(lm, rank=rank, scaling=2.0, full=full)
    learnt(lm, seed)
    return taken(lm, name=name, revision="1", licence="CC0-1.0")


def weights(lm: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in lm.state_dict().items()}
