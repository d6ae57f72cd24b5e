"""The order of a run's calls: interleaved, complete, the same every time."""

from dataclasses import dataclass

from benchmarks.suite.schedule import plan, scheduled


@dataclass(frozen=True)
class Talk:
    id: str
    turns: tuple[str, ...]


TALKS = [Talk("a", ("x", "y")), Talk("b", ("x",)), Talk("c", ("x", "y", "z"))]


def test_engines_take_turns_in_abba_order():
    calls = plan(("s2s", "cascade"), TALKS)
    assert [(c.engine, c.conversation) for c in calls] == [
        ("s2s", "a"),
        ("cascade", "a"),
        ("cascade", "b"),
        ("s2s", "b"),
        ("s2s", "c"),
        ("cascade", "c"),
    ]
    assert [c.order for c in calls] == list(range(6))


def test_neither_engine_comes_first_more_often():
    calls = plan(("s2s", "cascade"), TALKS, repeats=2)
    first = [c.engine for c in calls[::2]]
    assert first.count("s2s") == first.count("cascade") == 3
    assert sum(c.order for c in calls if c.engine == "s2s") == 33  # of 66: the mean time is equal
    assert [c.repeat for c in calls] == [0] * 6 + [1] * 6


def test_every_turn_is_known_beforehand():
    calls = plan(("s2s", "cascade"), iter(TALKS), repeats=3)
    assert scheduled(calls) == {"s2s": 18, "cascade": 18}
    assert calls == plan(("s2s", "cascade"), TALKS, repeats=3)


def test_a_warm_up_is_the_first_turn_of_the_call_after_it():
    call = plan(("s2s",), TALKS)[2]
    warmup = call.first_turns()
    assert (warmup.warmup, warmup.turns, warmup.conversation) == (True, 1, "c")
    assert warmup.order == call.order
