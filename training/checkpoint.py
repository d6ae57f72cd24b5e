"""The file a killed run goes on from: written whole or not at all.

Knows nothing of what is in it, but that `network` holds the weights by name.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

FILE = "checkpoint.pt"


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Whoever is killed in here leaves the file of before."""
    scratch = path.with_suffix(".part")
    torch.save(dict(state), scratch)
    os.replace(scratch, path)


def read(path: Path, fresh: Mapping[str, Any]) -> dict[str, Any]:
    """What was written, its tensors in main memory.

    `fresh` is the state of what is to go on from it.

    Raises ValueError when the file holds weights of other names or shapes.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    stored, ours = (
        {name: weights.shape for name, weights in of["network"].items()} for of in (state, fresh)
    )
    if stored != ours:
        raise ValueError(
            f"{path} was written with another preset: resume with the one of run.json, "
            "or give another --out"
        )
    return state
