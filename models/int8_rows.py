"""Weights at rest as 8-bit integers with one scale a row: half of fp16's bytes.

Symmetric, the row's largest magnitude at 127 (as in LLM.int8(), arXiv 2208.07339, section 2.1,
without its outliers). What is loaded is floating point again, so nothing runs faster or slower: it
is for files that travel with the code. Knows nothing of models.
"""

import torch
from torch import Tensor

SCALE = ".int8_scale"  # ends the name of a row's scales
SMALLEST = 4_096  # values; below it a scale a row would save nothing
FULL = 127.0


def pack(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices [N, ...] of floats become int8 with scales float32 [N]; all else stays."""
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if not value.is_floating_point() or value.ndim < 2 or value.numel() < SMALLEST:
            packed[name] = value
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1) / FULL
        steps = (rows / scale.clamp(min=1e-12)[:, None]).round()
        packed[name] = steps.to(torch.int8).view(value.shape).contiguous()
        packed[name + SCALE] = scale
    return packed


def unpack(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state `pack` was given, in float32 where it was packed; any other state as it is."""
    state = {}
    for name, value in packed.items():
        if name.endswith(SCALE):
            continue
        scale = packed.get(name + SCALE)
        if scale is not None:
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        state[name] = value
    return state
