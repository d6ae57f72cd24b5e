"""Muon in float32 does what the library's does in bfloat16, and can go on from its state."""

import copy

import pytest
import torch
from torch import nn

import training.optimizer as optimizers
from training.muon import Muon32, orthogonal
from training.optimizer import MuonAdamW

QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024


def matrices() -> nn.ParameterList:
    torch.manual_seed(0)
    return nn.ParameterList(torch.randn(*shape) for shape in ((24, 24), (16, 40), (40, 16)))


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_singular_values_end_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(*shape)
    found = orthogonal(matrix, QUINTIC, 5, 1e-7)
    assert found.shape == matrix.shape
    assert torch.linalg.svdvals(found).max() < 1.3
    assert torch.linalg.svdvals(found)[:-1].min() > 0.5
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ found @ v.T  # diagonal where the directions are the matrix's own
    assert (turned - torch.diag(turned.diag())).abs().max() < 1e-3


def test_it_steps_as_the_library_does() -> None:
    ours, theirs = matrices(), matrices()
    kind = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    steppers = [(ours, Muon32(ours, **kind)), (theirs, torch.optim.Muon(theirs, **kind))]
    for number in range(4):
        for weights, stepper in steppers:
            torch.manual_seed(number)
            for weight in weights:
                weight.grad = torch.randn_like(weight)
            stepper.step()
    begun = matrices()
    for a, b, start in zip(ours, theirs, begun, strict=True):
        moved = (b - start).norm()
        assert (a - b).norm() < 0.02 * moved  # bfloat16 has eight bits
    again = Muon32(theirs, **kind)
    again.load_state_dict(copy.deepcopy(steppers[1][1].state_dict()))
    assert torch.equal(
        again.state[theirs[0]]["momentum_buffer"],
        steppers[1][1].state[theirs[0]]["momentum_buffer"],
    )


def test_a_weight_without_a_gradient_stays() -> None:
    weights = matrices()
    weights[0].grad = torch.ones_like(weights[0])
    before = [weight.detach().clone() for weight in weights]
    Muon32(weights, lr=0.1, adjust_lr_fn="match_rms_adamw").step()
    assert [torch.equal(a, b) for a, b in zip(weights, before, strict=True)] == [False, True, True]


@pytest.mark.parametrize(("native", "kind"), [(True, torch.optim.Muon), (False, Muon32)])
def test_bfloat16_is_for_processors_that_have_it(
    native: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizers, "multiplies_bfloat16", lambda _: native)
    assert type(MuonAdamW(nn.Linear(4, 4), 1e-3, outer=())._muon) is kind
