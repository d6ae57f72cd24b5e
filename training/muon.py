"""The library's Muon where the processor has no bfloat16: the same steps in float32.

`torch.optim.Muon` makes every update orthogonal in bfloat16, which an older CPU multiplies value by
value: on one without AVX-512 that took nine tenths of a step (docs/decisions.md). Knows nothing of
models.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Muon32(torch.optim.Muon):
    """`torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` and Nesterov momentum; its state
    dict is the library's."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Moves the weights by their gradients; parameters without one stay."""
        assert closure is None, "gradients are there before the step"
        for group in self.param_groups:
            assert group["nesterov"]
            assert group["adjust_lr_fn"] == "match_rms_adamw"
            lr, momentum = float(group["lr"]), group["momentum"]
            for parameter in group["params"]:
                if (gradient := parameter.grad) is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                followed = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
                update = orthogonal(
                    gradient.lerp(followed, momentum),
                    group["ns_coefficients"],
                    group["ns_steps"],
                    group["eps"],
                )
                parameter.mul_(1 - lr * group["weight_decay"])
                # Liu et al. 2025: as large as an AdamW update of the same matrix.
                parameter.add_(update, alpha=-lr * 0.2 * max(parameter.shape) ** 0.5)


def orthogonal(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """float32 [M, N] -> about the nearest matrix whose singular values are all 1.

    Newton and Schulz's iteration with the quintic polynomial of Jordan et al. 2024: singular values
    end between 0.5 and 1.5.
    """
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if tall else matrix
    found = found / found.norm().clamp(min=eps)
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if tall else found
