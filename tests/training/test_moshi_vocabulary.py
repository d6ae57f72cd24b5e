"""The vocabulary swap on a tiny real Moshi: three parts new, everything else bit for bit."""

import copy
from pathlib import Path

import pytest
import torch
from moshi.models.lm import LMModel
from moshi.modules.lora import replace_all_linear_with_lora

from models.moshi_checkpoint import load, read, save
from models.moshi_config import Config, build
from tests.models.test_moshi_checkpoint import text_logits
from tests.models.tiny_moshi import CARD, CODEBOOKS
from training.moshi_preset import Shape
from training.moshi_tokenizer import train
from training.moshi_vocabulary import SwapRefused, swap_vocabulary

SWAPPED = ("text_emb.weight", "depformer_text_emb.weight", "text_linear.weight")
OLD, NEW = 60, 500


@pytest.fixture
def config() -> Config:
    return Shape(32, 2, 2, 24, 16, 1, 2).config(OLD, CODEBOOKS, CARD)


@pytest.fixture
def lm(config: Config) -> LMModel:
    torch.manual_seed(4)
    return build(config)


def test_only_the_three_parts_change(lm: LMModel, config: Config) -> None:
    before = {name: value.clone() for name, value in lm.state_dict().items()}
    swapped = swap_vocabulary(lm, config, NEW)
    assert swapped == config | {"text_card": NEW}
    assert config["text_card"] == OLD
    after = lm.state_dict()
    assert list(after) == list(before)
    for name, value in before.items():
        if name not in SWAPPED:
            assert torch.equal(after[name], value), name
    for name in SWAPPED:
        assert len(after[name]) == NEW + (name != "text_linear.weight")
        for id_ in (0, 3):
            assert torch.equal(after[name][id_], before[name][id_]), (name, id_)
    for name in SWAPPED[:2]:  # the start token, one past the last piece
        assert torch.equal(after[name][NEW], before[name][OLD])
    assert (lm.text_card, lm.text_initial_token_id) == (NEW, NEW)


def test_new_rows_lie_around_the_mean_of_the_old(lm: LMModel, config: Config) -> None:
    before = {name: lm.state_dict()[name].clone() for name in SWAPPED}
    swap_vocabulary(lm, config, NEW)
    for name in SWAPPED:
        new = lm.state_dict()[name][4:NEW]
        distance = (new - before[name].mean(0)).norm(dim=1)
        spread = (before[name] - before[name].mean(0)).norm(dim=1).mean()
        assert 0 < distance.mean() < 0.01 * spread
        assert len(new.unique(dim=0)) == len(new)


def test_the_swapped_model_runs_saves_and_loads(
    lm: LMModel, config: Config, tmp_path: Path
) -> None:
    swapped = swap_vocabulary(lm, config, NEW)
    logits = text_logits(lm)
    assert logits.shape[-1] == NEW
    tokenizer = tmp_path / "tokenizer_spm_1k_te.model"
    tokenizer.write_bytes(train(["నాకు పని ఉంది", "మీకు ఇల్లు కావాలి"], NEW))
    folder = save(lm, swapped, tokenizer, tmp_path / "swapped", dtype=torch.float32)
    assert torch.equal(text_logits(load(read(folder))), logits)


def test_the_seed_decides(lm: LMModel, config: Config) -> None:
    others = [copy.deepcopy(lm) for _ in range(2)]
    swap_vocabulary(lm, config, NEW, seed=1)
    swap_vocabulary(others[0], config, NEW, seed=1)
    swap_vocabulary(others[1], config, NEW, seed=2)
    assert torch.equal(lm.text_linear.weight, others[0].text_linear.weight)
    assert not torch.equal(lm.text_linear.weight, others[1].text_linear.weight)


def test_a_model_with_adapters_is_refused(lm: LMModel, config: Config) -> None:
    replace_all_linear_with_lora(lm, 2, 2.0)
    with pytest.raises(SwapRefused, match="before adding"):
        swap_vocabulary(lm, config, NEW)
