"""Layers that apply, in each row of a batch, the adapter of that row.

The adapters lie side by side in one LoRA of their summed rank: x A^T gives every row the low-rank
values of all adapters, a mask leaves it its own, and what other adapters' columns add is exactly
zero. So a row's numbers do not depend on what the other places hold, a row without an adapter gets
the base's, and a step runs the same kernels whoever uses what: which rows see which place is device
memory written in place, and a CUDA graph stays valid. (Gathering each row's own A and B instead
copies rank x (in + out) values a row and layer, more than all places' weights once there are more
rows than places.)

Knows neither names nor calls; the layers sit where the `moshi` package (0.2.13) had its own.
"""

import torch
from moshi.models.lm_utils import ScaledEmbedding
from moshi.modules.lora import LoRALinear
from torch import nn
from torch.nn import functional as F

from models.adapters import Pair


class RowLinear(LoRALinear):
    """A linear layer with places for LoRA pairs.

    A `LoRALinear`, because the package's attention and gating ask for that class.
    """

    def __init__(
        self,
        linear: nn.Linear,
        places: int,
        rank: int,
        shut: torch.Tensor,
        head: "RowHead | None" = None,
    ) -> None:
        """`shut` [B, 1, places * rank] is shared by all layers: True where a row must not see.

        `head`, if given, stands for the layer itself.
        """
        weight = linear.weight
        super().__init__(
            linear.in_features,
            linear.out_features,
            places * rank,
            1.0,
            device=torch.device("meta"),
            dtype=weight.dtype,
        )
        self.add_module("frozen_W", head or linear)
        self.lora_A.weight = _zeros(weight, places * rank, linear.in_features)
        self.lora_B.weight = _zeros(weight, linear.out_features, places * rank)
        self._place_rank = rank
        self._shut = shut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, in] -> [B, T, out]"""
        # Filled, not multiplied: another adapter's value may be infinite for this row's input.
        low = self.lora_A(x).masked_fill(self._shut, 0.0)
        return self.frozen_W(x) + self.lora_B(low)

    def write(self, place: int, pair: Pair | None, scaling: float) -> None:
        """Puts a pair of at most this layer's rank into a place; the rest of it becomes zero."""
        own = slice(place * self._place_rank, (place + 1) * self._place_rank)
        a, b = self.lora_A.weight.data[own], self.lora_B.weight.data[:, own]
        rank = 0 if pair is None else len(pair.a)
        if pair is not None:
            a[:rank].copy_(pair.a)
            b[:, :rank].copy_(pair.b.float() * scaling)
        a[rank:].zero_()
        b[:, rank:].zero_()


class RowHead(nn.Module):
    """An output head with places for heads that were trained whole.

    All heads are computed for all rows: a place costs one more read of its weight a step.
    """

    def __init__(self, linear: nn.Linear, places: int, slots: int) -> None:
        super().__init__()
        self.linear = linear
        self.weight = _zeros(linear.weight, places, linear.out_features, linear.in_features)
        rows = torch.zeros(slots, dtype=torch.long, device=linear.weight.device)
        self.rows = rows  # [B], 0 for the model's own head, else the place + 1
        self._every = torch.arange(slots, device=rows.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, dim] -> [B, T, card]"""
        whole = F.linear(x, self.weight.flatten(0, 1)).unflatten(-1, self.weight.shape[:2])
        if self.linear.bias is not None:
            whole = whole + self.linear.bias
        heads = torch.cat([self.linear(x)[:, :, None], whole], dim=2)  # [B, T, 1 + places, card]
        return heads[self._every, :, self.rows]

    def write(self, place: int, tensor: torch.Tensor) -> None:
        """Puts a weight `[card, dim]` into a place."""
        self.weight.data[place].copy_(tensor)

    def point(self, slot: int, place: int | None) -> None:
        """Which head this row's output comes from; None for the model's own."""
        self.rows[slot] = 0 if place is None else place + 1


class RowEmbedding(nn.Module):
    """A token embedding with places for tables that were trained whole."""

    def __init__(self, embedding: ScaledEmbedding, places: int, slots: int) -> None:
        super().__init__()
        assert not embedding.demux_second_stream  # reads token numbers beyond the table
        self.embedding = embedding
        self._size = len(embedding.weight)
        own = embedding.weight.data
        more = _zeros(own, places * self._size, own.shape[1])
        embedding.weight = nn.Parameter(torch.cat([own, more]), requires_grad=False)
        self.rows = torch.zeros(slots, 1, dtype=torch.long, device=own.device)  # first line, [B, 1]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, T] -> [B, T, dim]; a token below zero stays "no token"."""
        return self.embedding(torch.where(tokens < 0, tokens, tokens + self.rows))

    def write(self, place: int, tensor: torch.Tensor) -> None:
        """Puts a table `[tokens, dim]` into a place."""
        start = (place + 1) * self._size
        self.embedding.weight.data[start : start + self._size].copy_(tensor)

    def point(self, slot: int, place: int | None) -> None:
        """Which table this row's tokens are looked up in; None for the model's own."""
        self.rows[slot] = 0 if place is None else (place + 1) * self._size

    def restored(self) -> ScaledEmbedding:
        """The embedding as it was, without places."""
        own = self.embedding.weight.data[: self._size].clone()  # lets go of the places
        self.embedding.weight = nn.Parameter(own, requires_grad=False)
        return self.embedding


def _zeros(like: torch.Tensor, *shape: int) -> nn.Parameter:
    return nn.Parameter(
        torch.zeros(shape, device=like.device, dtype=like.dtype), requires_grad=False
    )
