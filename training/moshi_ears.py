"""What a Moshi's audio embeddings start as: the meaning of the codes, instead of chance.

Codes whose centroids lie close sound alike. With every code's vector drawn at random a model has to
find that out from the dialogues, for 24 tables of a thousand entries; here each starts as a random
projection of what the codec's decoder would be given for it. What that gains is measured in
docs/decisions.md. Knows nothing of training.
"""

from collections.abc import Sequence
from typing import cast

import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel
from torch import Tensor, nn

from models.codec import codebooks, quantizers

KEPT = 0.3  # of the random start stays: no two codes are the same at first
# The first codebook carries the words and is the smaller vector by nature: heard over the others.
LOUDER = 5.0


@torch.no_grad()
def meanings(mimi: MimiModel) -> list[Tensor]:
    """Of every codebook in use, its codes in the decoder's latent space, float32 [card, width], on
    the CPU.

    Around their own mean, in proportion to each other within a quantizer: what the later codebooks
    add to a frame is little.
    """
    found: list[Tensor] = []
    for part in quantizers(mimi):
        project = cast(nn.Conv1d, part.output_proj).weight[:, :, 0]  # [width, code width]
        books = [book.embedding - book.embedding.mean(0) for book in codebooks(part)]
        found += [(book @ project.T).cpu() for book in books]
    return found[: mimi.num_codebooks]


@torch.no_grad()
def start_hearing(lm: LMModel, mimi: MimiModel, seed: int) -> None:
    """Fills the embeddings of both sides' codes, the depformer's own and its output heads.

    A quantizer's codebooks go through one projection, so that a frame's vectors add up as they do
    in the codec. The sizes are those of the random start, but for what is heard: `LOUDER`.
    """
    assert lm.depformer_emb is not None
    generator = torch.Generator().manual_seed(seed)
    vectors = meanings(mimi)
    books = len(vectors)
    sides = range(0, lm.n_q, books)  # the agent's streams, then the user's
    tables = [[lm.emb[side + book] for side in sides] for book in range(books)]
    _fill(tables, vectors, generator)
    for side in sides:
        for book in range(books):
            codes = cast(Tensor, lm.emb[side + book].weight)[: lm.card]
            codes.mul_(1.0 / LOUDER if book else LOUDER)
    _fill([[table] for table in lm.depformer_emb], vectors, generator)
    _fill([[table] for table in lm.linears], vectors, generator)


def _fill(
    tables: Sequence[Sequence[nn.Module]], codes: Sequence[Tensor], generator: torch.Generator
) -> None:
    """Tables of codebook n get `codes[n]`; the first is of one quantizer, the others of another."""
    for group in (range(1), range(1, len(tables))):
        if not len(group):
            continue
        width = cast(Tensor, tables[group[0]][0].weight).shape[1]
        projection = torch.randn(codes[0].shape[1], width, generator=generator)
        made = [codes[book] @ projection for book in group]
        size = float(torch.stack([rows.square().sum(1).mean() for rows in made]).mean().sqrt())
        for book, rows in zip(group, made, strict=True):
            for table in tables[book]:
                weight = cast(Tensor, table.weight)
                start = weight[: len(rows)]
                common = float(start.square().sum(1).mean().sqrt()) / size
                start.mul_(KEPT).add_((common * rows).to(start))
