"""A run that writes into a file says how far it is, now and then; one on a terminal has bars."""

import io

from rich.console import Console

from benchmarks.suite.progress import EVERY, Bars, Lines, bars


def test_a_file_gets_a_line_now_and_then() -> None:
    out, at = io.StringIO(), 100.0
    lines = Lines(Console(file=out, width=80), lambda: at)
    lines.show("turns", 0, 40)
    for done in range(1, 40):  # two seconds each
        at += 2.0
        lines.show("turns", done, 40)
    at += 2.0
    lines.show("turns", 40, 40)
    told = out.getvalue().splitlines()
    assert told == [
        "turns: 0 of 40",
        "turns: 15 of 40, about 50 s left",
        "turns: 30 of 40, about 20 s left",
        "turns: 40 of 40",
    ]
    assert EVERY == 30.0


def test_what_was_done_before_says_nothing_of_the_time_left() -> None:
    out, at = io.StringIO(), 0.0
    lines = Lines(Console(file=out, width=80), lambda: at)
    lines.show("[words]", 90, 100)  # a run goes on; the name is shown as it is
    at += 40.0
    lines.show("[words]", 94, 100)
    assert out.getvalue().splitlines() == [
        "[words]: 90 of 100",
        "[words]: 94 of 100, about 60 s left",
    ]


def test_a_terminal_has_bars() -> None:
    with bars(Console(file=io.StringIO(), force_terminal=True)) as shown:
        assert isinstance(shown, Bars)
    with bars(Console(file=io.StringIO())) as shown:
        assert isinstance(shown, Lines)
