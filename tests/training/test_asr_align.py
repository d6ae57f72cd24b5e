"""The best CTC path finds the letters, and attention is told how far off it looks."""

import itertools

import pytest
import torch

from training.asr_align import astray, letter_moments


def posteriors(path: list[int], labels: int = 10) -> torch.Tensor:
    """Log-probabilities [S, labels] that are nearly sure of `path`."""
    table = torch.full((len(path), labels), 0.01)
    table[range(len(path)), path] = 1.0
    return (table / table.sum(-1, keepdim=True)).log()


def test_letters_are_found_where_they_were_put() -> None:
    # Two equal letters with a blank between them, two unequal ones without.
    first = [0] * 5 + [3] * 3 + [0] * 2 + [3] * 2 + [4] * 4 + [0] * 4 + [5] * 2 + [0] * 8
    second = [7] * 2 + [8] * 2 + [0] * 6 + [9] * 20  # what comes after its end must not count
    moments = letter_moments(
        torch.stack([posteriors(first), posteriors(second)], 1),
        torch.tensor([[3, 3, 4, 5], [7, 8, 0, 0]]),
        torch.tensor([4, 2]),
        torch.tensor([30, 10]),
    )
    assert moments.tolist() == [[6.0, 10.5, 13.5, 20.5], [0.5, 2.5, 0.0, 0.0]]


def test_silence_has_no_letters() -> None:
    moments = letter_moments(
        posteriors([0] * 6)[:, None],
        torch.zeros(1, 3, dtype=torch.int64),
        *torch.tensor([[0], [6]]),
    )
    assert moments.tolist() == [[0.0, 0.0, 0.0]]


def best_by_trying_all(log_probs: torch.Tensor, text: list[int]) -> float:
    """The score of the best path of [S, V] that spells `text`, by enumeration."""

    def spelt(path: tuple[int, ...]) -> list[int]:
        return [label for label, _ in itertools.groupby(path) if label]

    every = itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
    scores = [sum(row[p] for row, p in zip(log_probs, path, strict=True)) for path in every
              if spelt(path) == text]  # fmt: skip
    return float(max(scores))


@pytest.mark.parametrize("seed", range(4))
def test_path_is_the_best_of_all(seed: int) -> None:
    torch.manual_seed(seed)
    log_probs = torch.randn(6, 3).log_softmax(-1)
    text = [1, 2] if seed % 2 else [1, 1]
    moments = letter_moments(
        log_probs[:, None], torch.tensor([text]), torch.tensor([2]), torch.tensor([6])
    )
    assert 0 <= moments[0, 0] < moments[0, 1] <= 5
    # The letters' own frames, put into the sum, can do no better than the best path.
    best = best_by_trying_all(log_probs, text)
    chosen = [0] * 6
    for letter, moment in zip(text, moments[0].tolist(), strict=True):
        chosen[round(moment)] = letter
    assert float(log_probs[range(6), chosen].sum()) <= best + 1e-5


def test_looking_there_costs_nothing_and_elsewhere_does() -> None:
    moments = torch.tensor([[10.0, 20.0, 30.0, 0.0]])
    spans = torch.tensor([[[0, 0], [0, 2], [2, 3], [0, 0]]])

    def looking_at(*frames: int) -> float:
        looks = torch.zeros(1, 1, 1, 4, 50)
        for position, frame in enumerate(frames):
            looks[..., position, frame] = 1.0
        return float(astray(looks, moments, spans))

    assert looking_at(0, 15, 30, 0) == pytest.approx(0.0, abs=1e-2)  # 15 lies between its letters
    assert looking_at(49, 15, 30, 49) == looking_at(0, 15, 30, 0)  # where nothing is written
    assert 0.1 < looking_at(0, 15, 34, 0) < looking_at(0, 15, 45, 0)
