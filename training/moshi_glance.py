"""Attention heads that look back by a fixed number of frames, before anything is learnt.

What is said lies in a few neighbouring frames of codes. A transformer with random heads first has
to find out what a neighbour is, for hundreds of steps in which it hears nothing; here some heads of
a new model attend to the frame so many steps before from the start, and learn on from there.
Possible because rotary positions turn a constant query and a constant key into a function of their
distance alone (Su et al. 2021, arXiv 2104.09864); the constant is a direction that every text token
is given. Measured in docs/decisions.md. Knows nothing of training.
"""

import math
from typing import cast

import torch
from moshi.models.lm import LMModel
from moshi.modules.transformer import StreamingMultiheadAttention
from torch import Tensor

FIRST = (1, 2, 3, 4, 5, 6, 0)  # frames back, of the first layer's heads; the others are left alone
LATER = (1, 2, 4)  # of every other layer's
SHARE = 0.5  # of what the first layer reads is the constant direction, in energy
KEPT = 0.3  # of the random start of those heads stays
# How much the fastest turning pairs of a head count: together they peak at one frame by three nats
# and more, and keep slow drifts out.
PAIRS = (6.0, 5.0, 4.0, 4.0, 3.0, 3.0)


@torch.no_grad()
def look_back(lm: LMModel, seed: int) -> None:
    """Sets the heads of a fresh `lm`; its embeddings must have their sizes by now."""
    generator = torch.Generator().manual_seed(seed)  # the same on every device
    constant = torch.randn(lm.dim, generator=generator).to(lm.device)
    constant /= constant.norm()
    # A step reads the sum of one text token and a code of every stream.
    tables = [lm.text_emb.weight, *(cast(Tensor, table.weight) for table in lm.emb)]
    energy = sum(float(table.square().sum(1).mean()) for table in tables)
    lm.text_emb.weight.add_(math.sqrt(energy * SHARE / (1 - SHARE)) * constant)
    read = constant / math.sqrt(lm.dim * SHARE)  # reads 1 from what the first norm passes on
    for number, layer in enumerate(lm.transformer.layers):
        attention = cast(StreamingMultiheadAttention, layer.self_attn)
        weight = cast(Tensor, attention.in_projs[0].weight)  # [3 dim, dim]: queries, keys, values
        size = lm.dim // attention.num_heads
        for head, back in zip(range(attention.num_heads), LATER if number else FIRST):  # noqa: B905
            query, key = _pair(back, size)
            for rows, made in ((head * size, query), (lm.dim + head * size, key)):
                part = weight[rows : rows + size]
                part.mul_(KEPT).add_(made.to(lm.device)[:, None] * read)


def _pair(back: int, size: int, max_period: float = 10_000) -> tuple[Tensor, Tensor]:
    """Query and key [size] whose product, each turned to its place, is largest `back` frames apart.

    The turning is the library's: pairs interleaved, slower from pair to pair
    (moshi/modules/rope.py, 0.2.13).
    """
    count = min(len(PAIRS), size // 2)
    speeds = torch.exp(torch.arange(count) * (-math.log(max_period) * 2 / size))
    weights = torch.tensor(PAIRS[:count])
    query, key = torch.zeros(2, size)
    query[0 : 2 * count : 2] = weights
    key[0 : 2 * count : 2] = weights * torch.cos(back * speeds)
    key[1 : 2 * count : 2] = weights * torch.sin(back * speeds)
    return query, key
