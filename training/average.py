"""The moving average of a network's trained weights, kept beside it and swapped in to be used.

Holds only what trains: beside a frozen model of billions of parameters a second one would not fit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Follows the trained parameters of `network`, and what its norms have counted."""

    def __init__(self, network: nn.Module, keep: float) -> None:
        """`keep`: share of the old average a step leaves."""
        self._keep = keep
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        saved = network.state_dict(keep_vars=True)
        counted = {
            name: value
            for name, value in saved.items()
            if not isinstance(value, nn.Parameter) and value.is_floating_point()
        }
        self._followed = {**trained, **counted}
        self._values = {name: value.detach().clone() for name, value in self._followed.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Moves towards the weights after `step` steps; a young average follows faster."""
        keep = min(self._keep, (1 + step) / (10 + step))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            list(self._values.values()),
            [value.detach() for value in self._followed.values()],
            1.0 - keep,
        )

    @contextmanager
    def applied(self, dtype: torch.dtype | None = None) -> Iterator[None]:
        """Inside, the network has the averaged weights, in `dtype` if given."""
        kept = {name: value.data for name, value in self._followed.items()}
        for name, value in self._followed.items():
            value.data = self._values[name].to(dtype or self._values[name].dtype)
        try:
            yield
        finally:
            for name, value in self._followed.items():
                value.data = kept[name]

    def state_dict(self) -> dict[str, Tensor]:
        """What `load_state_dict` goes on from."""
        return self._values

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Goes on from a `state_dict` of the same network."""
        for name, value in self._values.items():
            value.copy_(state[name])
