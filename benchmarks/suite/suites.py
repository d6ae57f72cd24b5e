"""The suites of `maata bench` as data: which conversations of which set, how often, how long.

An entry is never edited once results of it were published: another choice is another name. Times
are for both engines on two cores, where a turn takes five to nine seconds. Knows nothing about
engines or servers.
"""

from dataclasses import dataclass
from typing import Literal

from benchmarks.sets.turnset import Conversation, TurnSet

Kind = Literal["turns", "duplex", "load"]


class NoSuchSuite(ValueError):
    """The name is none of a suite; the sentence names those there are."""


@dataclass(frozen=True)
class Suite:
    """One suite; `duplex` brings its own stimuli and takes nothing from a set."""

    name: str
    kind: Kind
    turnset: str = ""  # name of the set, with its version, or of a subset
    conversations: tuple[str, ...] = ()  # their ids in this order; none: the whole set
    repeats: int = 1
    goal_s: float | None = None  # wall time with everything, on two cores and with two engines
    predictions: int | None = None  # DNSMOS of so many turns of each engine; None: of all
    size: str = ""  # why it is as large as it is, a sentence for who runs it


# Of the subset's ten, so many that two engines fit into the goal: 35 turns each.
STANDARD = ("greetings-1", "names-1", "memory-1", "clock-1", "sums-1", "talk-1", "home-1")
STANDARD_SIZE = (
    "standard is 35 turns with each engine, so that two engines fit into ten minutes on two cores: "
    "enough for the median and few for p95; --suite full has 245 turns with each, for figures that "
    "need 200 or more, and takes about an hour"
)
# DNSMOS takes most of the time after the calls, 0.9 s of a core an answer: of every third turn.
STANDARD_PREDICTIONS = 11
DEFAULT = "standard"
CORPUS = Suite("corpus", "turns")  # recorded speech of the user's
SUITES = {
    suite.name: suite
    for suite in (
        Suite("smoke", "turns", "te-v1:smoke", ("sums-1",), goal_s=60),
        Suite(
            "standard",
            "turns",
            "te-v1:standard",
            STANDARD,
            goal_s=600,
            predictions=STANDARD_PREDICTIONS,
            size=STANDARD_SIZE,
        ),
        Suite("full", "turns", "te-v1"),
        Suite("duplex", "duplex"),
        Suite("load", "load", "te-v1:standard"),
    )
}


def find(name: str) -> Suite:
    """The suite of that name. Raises NoSuchSuite."""
    if name not in SUITES:
        raise NoSuchSuite(f"no suite {name!r}: choose {', '.join(SUITES)}")
    return SUITES[name]


def chosen(suite: Suite, turnset: TurnSet) -> tuple[Conversation, ...]:
    """The suite's conversations.

    Raises:
        NoSuchSuite: the set lacks one of them.
    """
    there = {conversation.id: conversation for conversation in turnset.conversations}
    lacking = [id_ for id_ in suite.conversations if id_ not in there]
    if lacking:
        raise NoSuchSuite(
            f"the set {turnset.name} has no conversation {lacking[0]!r}, which the suite "
            f"{suite.name} needs; is the installation whole?"
        )
    return tuple(there[id_] for id_ in suite.conversations) or turnset.conversations
