"""Padding keeps a temperature of its own; the text among itself keeps the text's."""

import numpy as np
import pytest
import torch

from models.duplex import DuplexEngine
from models.duplex_batch import Sampling
from models.moshi_text import PADDING
from models.padding import reweigh_padding
from tests.models.tiny_moshi import tiny_lm, tiny_mimi


def drawn(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return (logits.double() / temperature).softmax(-1)


def rest(probabilities: torch.Tensor) -> torch.Tensor:
    text = torch.arange(probabilities.shape[-1]) != PADDING
    return probabilities[..., text] / probabilities[..., text].sum(-1, keepdim=True)


@pytest.mark.parametrize("padding", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0])
def test_odds_of_padding_and_shares_of_the_rest(temperature: float, padding: float) -> None:
    before = torch.randn(3, 1, 1, 50, generator=torch.Generator().manual_seed(1))
    before[..., PADDING] += 3.0
    after = before.clone()
    reweigh_padding(after, temperature=temperature, padding=padding)
    chance = drawn(after, temperature)
    believed = drawn(before, 1.0)[..., PADDING]
    odds = torch.logit(chance[..., PADDING])
    assert torch.allclose(odds, torch.logit(believed) / padding, atol=1e-4)
    assert torch.allclose(rest(chance), rest(drawn(before, temperature)), atol=1e-6)


def test_a_beginning_that_is_due_within_ten_frames_comes() -> None:
    logits = torch.zeros(50)
    logits[PADDING] = 6.0  # text has 11 %
    cold = 1 - drawn(logits, 0.3)[PADDING]
    reweigh_padding(logits, temperature=0.3, padding=1.0)
    apart = 1 - drawn(logits, 0.3)[PADDING]
    assert 1 - (1 - cold) ** 10 < 0.01
    assert 1 - (1 - apart) ** 10 > 0.6


def written(padding: float | None) -> int:
    """Text tokens of 60 frames of a model for which text has 11 % in each."""
    lm = tiny_lm()
    always = torch.nn.Linear(lm.dim, lm.text_card)
    always.weight.data.zero_()
    always.bias.data.zero_()[PADDING] = 6.0
    lm.text_linear = always
    sampling = Sampling(temperature_text=0.3, temperature_padding=padding, seed=1)
    engine = DuplexEngine(tiny_mimi().eval(), lm.eval(), slots=1, sampling=sampling)
    call = engine.join()
    tokens: list[int] = []
    for _ in range(60):
        call.push(np.zeros(engine.frame_size, np.int16))
        engine.tick()
        tokens += [frame.text_token for frame in call.take()]
    engine.close()
    return sum(token != PADDING for token in tokens)


def test_the_engine_begins_when_padding_has_its_own_temperature() -> None:
    assert written(None) == 0
    assert 1 <= written(1.0) <= 20
