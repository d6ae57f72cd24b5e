"""The shape of a Moshi as the library's own keyword dictionary: published, conditioned, built.

What `moshi.models.loaders.get_moshi_lm` takes (moshi 0.2.13) and what a `config.json` holds. Knows
nothing of files.
"""

import copy
from typing import Any

import torch
from moshi.models import loaders
from moshi.models.lm import LMModel

from models.voices import EMOTIONS, VOICES

LUT_DIM = 16  # of a voice's or emotion's own vector, before its projection

Config = dict[str, Any]


class CheckpointInvalid(ValueError):
    """The directory holds no Moshi that can be loaded; the sentence says why and what to do."""


def published_config() -> Config:
    """The 7B's shape (a copy), for repositories that have no config.json."""
    return copy.deepcopy(loaders._lm_kwargs)


def with_conditioners(config: Config) -> Config:
    """The config with the voices and emotions of `models.voices` as conditioners."""
    tables = {"voice": [voice.id for voice in VOICES], "emotion": list(EMOTIONS)}
    lut = {kind: _lut(names) for kind, names in tables.items()}
    return {**config, "conditioners": lut, "fuser": {"sum": list(tables)}}


def _lut(names: list[str]) -> Config:
    values = {"n_bins": len(names), "dim": LUT_DIM, "tokenizer": "noop", "possible_values": names}
    return {"type": "lut", "lut": values}


def build(config: Config, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LMModel:
    """A model of this shape with random weights (torch's generator), in evaluation mode.

    Raises:
        CheckpointInvalid: the shape is none that a Moshi can have.
    """
    try:
        # The library writes into the conditioners' part of the config it is given.
        return loaders.get_moshi_lm(None, copy.deepcopy(config), device=device, dtype=dtype)
    except (TypeError, AssertionError, KeyError, RuntimeError) as e:
        raise CheckpointInvalid(f"no Moshi can be built from this config: {first_line(e)}") from e


def first_line(error: BaseException) -> str:
    """What says most of a library's error: below torch's headline stands every mismatch."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:300]
