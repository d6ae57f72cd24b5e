"""Muon for the matrices inside the layers, AdamW for everything else, as one optimizer.

Muon (Jordan et al. 2024) makes every update of a matrix orthogonal, so that rare directions are
learnt as fast as common ones; scaled to the size of an AdamW update (Liu et al. 2025) both share a
learning rate. What it brings and costs is measured in docs/decisions.md. Embeddings, output heads,
biases and norms stay with AdamW.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from training.device import multiplies_bfloat16
from training.muon import Muon32


class Optimizer(Protocol):
    """What `descend` steps."""

    def set_rate(self, lr: float, /) -> None:
        """The learning rate of the next step."""
        ...

    def step(self) -> None:
        """Moves the weights by their gradients."""
        ...

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        ...


def descend(optimizer: Optimizer, network: nn.Module, rate: float, limit: float) -> Tensor:
    """Moves the weights by their gradients, clipped to the norm `limit`; returns what it was."""
    optimizer.set_rate(rate)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), limit)
    if torch.isfinite(norm):  # a step over a cliff would end the run
        optimizer.step()
    optimizer.zero_grad()
    return norm


class MuonAdamW:
    """Steps both; `lr` is set for both at once."""

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        *,
        outer: tuple[str, ...],
        weight_decay: float = 0.01,
        convolutions: bool = False,
    ) -> None:
        """`outer`: parts of the names of the matrices that are not between hidden layers.

        With `convolutions` their kernels are matrices too, [channels, everything else].
        """
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        most = 4 if convolutions else 2
        inner = [
            p for name, p in trained if 2 <= p.ndim <= most and not any(o in name for o in outer)
        ]
        chosen = {id(p) for p in inner}
        rest = [p for _, p in trained if id(p) not in chosen]
        # The library's Muon takes matrices alone: kernels are stepped through a view of theirs.
        self._kernels = [(p, nn.Parameter(p.detach().flatten(1))) for p in inner if p.ndim > 2]
        views = {id(p): view for p, view in self._kernels}
        devices = {p.device.type for p in inner}
        muon = torch.optim.Muon if all(map(multiplies_bfloat16, devices)) else Muon32
        self._muon = muon(
            [views.get(id(p), p) for p in inner],
            lr=lr,
            weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(
            [
                {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
                {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=lr,
            betas=(0.9, 0.98),
            fused=True,
        )

    def set_rate(self, lr: float) -> None:
        """The learning rate of the next step."""
        for optimizer in (self._muon, self._adamw):
            for group in optimizer.param_groups:
                group["lr"] = lr

    def step(self) -> None:
        """Moves the weights by their gradients."""
        for kernel, view in self._kernels:
            view.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        self._muon.step()
        self._adamw.step()

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for kernel, _ in self._kernels:
            kernel.grad = None
        self._muon.zero_grad(set_to_none=True)
        self._adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a `state_dict` of the same model."""
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])
