"""Gives a Moshi another text vocabulary: both text embeddings and the output head start anew.

Everything else stays bit for bit, and so do the rows of the structure: end of padding (0), padding
(3) and the start token (the last row). The other rows are drawn around the mean of the old ones
with a hundred-thousandth of their covariance, so that the new head starts without favourites and
the embeddings at the old scale (Hewitt 2021, "Initializing new word embeddings for pretrained
language models"). Replacing the input side alone costs quality (docs of LLM-jp-Moshi), hence all
three. Knows nothing of tokenizers' files.
"""

import torch
from moshi.models.lm import LMModel
from torch import Tensor, nn

from models.moshi_config import Config
from models.moshi_text import END_OF_PADDING, PADDING

SPREAD = 1e-5  # of the old rows' covariance
_PARTS = 8


class SwapRefused(ValueError):
    """This model's text vocabulary cannot be replaced; the sentence says why."""


def swap_vocabulary(lm: LMModel, config: Config, card: int, seed: int = 0) -> Config:
    """Replaces the text vocabulary of `lm` in place and returns the config that fits it.

    Args:
        lm: a model without LoRA layers.
        config: what it was built from.
        card: number of pieces of the new tokenizer; the start token comes on top.
        seed: of the new rows.

    Raises:
        SwapRefused: the head has LoRA layers, or the text stream carries two streams in one.
    """
    if not isinstance(lm.text_linear, nn.Linear):
        raise SwapRefused("the text head has LoRA layers: swap the vocabulary before adding them")
    if lm.text_emb.demux_second_stream:
        raise SwapRefused("this model's text stream carries two texts: only one can be replaced")
    generator = torch.Generator().manual_seed(seed)
    embeddings = [lm.text_emb]
    if lm.depformer_text_emb is not None:
        embeddings.append(lm.depformer_text_emb)
    for embedding in embeddings:
        rows = _redrawn(embedding.weight, card, generator)
        start = embedding.weight.data[-1:]
        embedding.weight = nn.Parameter(torch.cat([rows, start]))
        embedding.num_embeddings = card + 1
    head = lm.text_linear
    if head.bias is not None:
        head.bias = nn.Parameter(_redrawn(head.bias[:, None], card, generator)[:, 0])
    head.weight = nn.Parameter(_redrawn(head.weight, card, generator))
    head.out_features = card
    lm.text_card = card
    swapped = {**config, "text_card": card}
    swapped.pop("text_card_out", None)
    return swapped


def _redrawn(old: Tensor, card: int, generator: torch.Generator) -> Tensor:
    """[N, D] -> [card, D]: rows of the structure kept, the others near the old ones' mean."""
    rows = old.detach().float().cpu()
    mean = rows.mean(0)
    new = mean.repeat(card, 1)
    for _ in range(_PARTS):  # sums of random rows have the rows' covariance
        chosen = torch.randint(len(rows), (card,), generator=generator)
        weight = torch.randn(card, 1, generator=generator) * (SPREAD / _PARTS) ** 0.5
        new += weight * (rows[chosen] - mean)
    new = new.to(old.device, old.dtype)
    for id_ in (END_OF_PADDING, PADDING):
        new[id_] = old.detach()[id_]
    return new
