"""A fresh model's heads look back as far as they are told, whatever is heard."""

from typing import cast

import torch
from moshi.modules.rope import apply_rope
from moshi.modules.transformer import StreamingMultiheadAttention, StreamingTransformerLayer
from moshi.utils.compile import no_compile

from models.moshi_config import build
from models.moshi_text import PADDING
from training.moshi_glance import FIRST, LATER, look_back
from training.moshi_preset import PRESETS

FRAMES = 40


@torch.no_grad()
def test_heads_look_back_by_their_frames() -> None:
    torch.manual_seed(0)
    lm = build(PRESETS["starter"].shape.config(300, 8, 64))
    look_back(lm, seed=0)
    heard = torch.randint(0, 64, (3, FRAMES, 16))
    x = lm.text_emb(torch.full((3, FRAMES), PADDING))
    x = x + sum(table(heard[..., stream]) for stream, table in enumerate(lm.emb))
    for number, wanted in ((0, FIRST), (3, LATER)):
        layer = cast(StreamingTransformerLayer, lm.transformer.layers[number])
        attention = cast(StreamingMultiheadAttention, layer.self_attn)
        projected = attention.in_projs[0](layer.norm1(x)).unflatten(
            -1, (3, attention.num_heads, -1)
        )
        q, k, _ = projected.permute(2, 0, 3, 1, 4)  # each [B, H, T, D]
        with no_compile():
            q, k = apply_rope(q, k, torch.zeros(3))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        past = torch.ones(FRAMES, FRAMES, dtype=torch.bool).tril()
        weights = scores.masked_fill(~past, float("-inf")).softmax(-1)
        for head, back in enumerate(wanted):
            there = weights[:, head].diagonal(-back, 1, 2)[:, 10:]
            assert float(there.mean()) > 0.7, (number, head)
        free = weights[:, -1].diagonal(-1, 1, 2)[:, 10:]
        assert float(free.mean()) < 0.3  # the last head is as it was drawn
