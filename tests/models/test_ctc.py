"""Spelling from a CTC head: the search against all paths, the letter model against arithmetic."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from models.ctc import BLANK, Search, Speller
from models.letter_lm import LetterLM

LETTERS = 4  # the blank and three


def lm_of(texts: list[list[int]], order: int = 3) -> LetterLM:
    return LetterLM.count(texts, LETTERS, order)


def text_log_prob(lm: LetterLM, text: tuple[int, ...]) -> tuple[float, float]:
    """ln p of the letters, and of the end after them."""
    context = (BLANK,) * (lm.order - 1)
    total = 0.0
    for letter in text:
        total += float(lm.log_probs(context)[letter])
        context = (*context, letter)[1:]
    return total, float(lm.log_probs(context)[BLANK])


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    """CTC's rule: repeats are one, blanks are nothing."""
    return tuple(letter for letter, _ in itertools.groupby(path) if letter != BLANK)


@pytest.mark.parametrize("seed", range(8))
def test_wide_search_finds_what_trying_every_path_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet([0.5] * LETTERS, 6))
    lm = lm_of([[1, 2, 3], [1, 2], [3, 3, 1]])
    search = Search(beams=10_000, lm_weight=0.7, letter_bonus=0.9, unlikely=-1e9)
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(LETTERS), repeat=len(log_probs)):
        p = math.exp(sum(log_probs[t, letter] for t, letter in enumerate(path)))
        totals[spelled(path)] = totals.get(spelled(path), 0.0) + p

    def rank(text: tuple[int, ...]) -> float:
        letters, end = text_log_prob(lm, text)
        return math.log(totals[text]) + 0.7 * (letters + end) + 0.9 * len(text)

    wanted = max(totals, key=rank)
    found = Speller(lm, search).best(log_probs)
    assert tuple(found.letters) == wanted
    assert found.log_prob == pytest.approx(math.log(totals[wanted]))


def test_narrow_search_without_a_model_is_the_best_path() -> None:
    clear = np.full((7, LETTERS), -9.0)
    for t, letter in enumerate((0, 1, 1, 0, 1, 2, 0)):
        clear[t, letter] = -0.001
    found = Speller(lm_of([[1]]), Search(beams=2, lm_weight=0.0, letter_bonus=0.0)).best(clear)
    assert found.letters == [1, 1, 2]


def test_model_decides_between_what_sounds_alike() -> None:
    alike = np.log(np.array([[0.02, 0.9, 0.04, 0.04], [0.02, 0.04, 0.47, 0.47]]))
    for heard, texts in ((2, [[1, 2]] * 5), (3, [[1, 3]] * 5)):
        assert Speller(lm_of(texts), Search()).best(alike).letters == [1, heard]


def test_nothing_heard_is_no_text() -> None:
    silent = np.log(np.tile([0.997, 0.001, 0.001, 0.001], (20, 1)))
    assert Speller(lm_of([[1, 2]]), Search()).best(silent).letters == []
    assert Speller(lm_of([[1, 2]]), Search()).best(np.zeros((0, LETTERS))).letters == []


def test_model_is_a_distribution_after_any_context() -> None:
    lm = lm_of([[1, 2, 3], [2, 2, 1], [3]], order=4)
    for context in itertools.product(range(LETTERS), repeat=3):
        assert np.exp(lm.log_probs(context)).sum() == pytest.approx(1.0)


def test_model_interpolates_as_written_by_witten_and_bell() -> None:
    lm = lm_of([[1, 2], [1, 1]], order=2)
    # Next letters altogether: 1 three times, 2 once, the end twice: 3 kinds in 6.
    one = np.array([2, 3, 1, 0]) / 9 + 3 / 9 / LETTERS
    assert np.exp(lm.log_probs((3,))) == pytest.approx(one)  # 3 was never met: order 1
    # After 1: 2, 1 and the end once each.
    two = np.array([1, 1, 1, 0]) / 6 + 3 / 6 * one
    assert np.exp(lm.log_probs((1,))) == pytest.approx(two)


def test_model_survives_its_file(tmp_path: Path) -> None:
    lm = lm_of([[1, 2, 3, 1], [2]], order=4)
    lm.save(tmp_path / "letters.npz")
    again = LetterLM.load(tmp_path / "letters.npz")
    assert again.order == 4
    for context in itertools.product(range(LETTERS), repeat=3):
        np.testing.assert_array_equal(again.log_probs(context), lm.log_probs(context))


def test_model_says_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        LetterLM.count([[1]], 200, 3)
    with pytest.raises(ValueError, match="64 bits"):
        LetterLM.count([[1]], 10, 10)
