"""Where a Moshi's audio embeddings start: what sounds alike lies close."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import codec
from models.moshi_config import build
from tests.training.tiny_dialogues import write_codec
from training.moshi_ears import LOUDER, meanings, start_hearing
from training.moshi_preset import PRESETS


def rows(table: torch.nn.Module) -> Tensor:
    weight = table.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def distances(points: Tensor) -> Tensor:
    return torch.pdist(points.float())


def agreement(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([distances(a), distances(b)]))[0, 1])


@pytest.mark.parametrize("book", [0, 1, 7])
def test_codes_that_sound_alike_start_close(tmp_path: Path, book: int) -> None:
    write_codec(tmp_path)
    mimi = codec.load(tmp_path)
    torch.manual_seed(0)
    lm = build(PRESETS["gpu"].shape.config(100, mimi.num_codebooks, mimi.cardinality))
    before = rows(lm.emb[book]).clone()
    known = meanings(mimi)[book]
    assert abs(agreement(before[:-1], known)) < 0.4  # chance knows nothing of sound

    start_hearing(lm, mimi, seed=0)
    for table in (lm.emb[book], lm.emb[mimi.num_codebooks + book], lm.linears[book]):
        assert agreement(rows(table)[: mimi.cardinality], known) > 0.7
    after = rows(lm.emb[book])
    assert torch.equal(after[-1], before[-1])  # "nothing yet" has no sound
    louder = LOUDER if book == 0 else 1 / LOUDER
    assert 0.5 < float(after.std() / before.std()) / louder < 2.0
