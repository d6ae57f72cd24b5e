"""AdamW for adapters: the published fine-tuning recipe, with the interface of `MuonAdamW`.

Muon is for matrices that are trained whole; an adapter's two thin ones are only their product.
"""

from typing import Any

import torch
from torch import nn


class AdapterAdamW:
    """AdamW(0.9, 0.95) over everything of `network` that trains (moshi-finetune's optimizer)."""

    def __init__(self, network: nn.Module, lr: float, *, weight_decay: float) -> None:
        trained = [p for p in network.parameters() if p.requires_grad]
        self._adamw = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=lr,
            betas=(0.9, 0.95),
            fused=True,
        )

    def set_rate(self, lr: float) -> None:
        """The learning rate of the next step."""
        for group in self._adamw.param_groups:
            group["lr"] = lr

    def step(self) -> None:
        """Moves the weights by their gradients."""
        self._adamw.step()

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        self._adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return self._adamw.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict` of the same network."""
        self._adamw.load_state_dict(state)
