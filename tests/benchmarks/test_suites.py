"""The suites as data: each one's conversations are there, and it is as long as it says."""

import pytest

from benchmarks.sets import turnset
from benchmarks.suite import suites
from benchmarks.suite.input import cache

TURNS = {"smoke": 3, "standard": 35, "full": 200}  # at least, of each engine
A_TURN_S = 8.0  # spoken, waited for, answered, with its pauses


@pytest.mark.parametrize("name", ["smoke", "standard", "full", "load"])
def test_a_suites_conversations_are_in_its_set(name):
    suite = suites.find(name)
    loaded = turnset.load(suite.turnset)
    chosen = suites.chosen(suite, loaded)
    turns = sum(len(c.turns) for c in chosen)
    assert turns >= TURNS.get(name, 1)
    assert suite.conversations == () or [c.id for c in chosen] == [*suite.conversations]
    if suite.goal_s is not None:
        assert 2 * turns * A_TURN_S < suite.goal_s
    if name != "smoke":
        assert all(len(c.turns) >= 5 for c in chosen)


def test_names_that_are_none_are_sentences():
    with pytest.raises(suites.NoSuchSuite, match="choose smoke, standard"):
        suites.find("big")
    lacking = suites.Suite("x", "turns", "te-v1", ("nobody",))
    with pytest.raises(suites.NoSuchSuite, match="has no conversation 'nobody'"):
        suites.chosen(lacking, turnset.load("te-v1"))


def test_the_cache_moves_with_its_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("MAATA_CACHE", str(tmp_path))
    assert cache() == tmp_path / "callers"
