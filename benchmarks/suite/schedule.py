"""Which call comes when: every engine over the same conversations, interleaved, known beforehand.

With two engines A and B the calls go A B, B A, A B … (ABBA): a machine that grows warmer or busier
while the run lasts does so for both. A pure function of its arguments. Knows nothing about
servers, sounds or clocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

WARMUP_TURNS = 1
WARMUP_RULE = (
    "before an engine's first call after its server started (or, of a foreign server, after the "
    "bench began or went on), one call with only the first turn of the conversation that follows, "
    "left half a second into the answer; its row is marked warmup, belongs to no figure and is not "
    "among the scheduled turns"
)
ORDER_RULE = "every conversation on every engine; the engines' order turns round with each (ABBA)"


class HasTurns(Protocol):
    """What a schedule needs of a conversation."""

    @property
    def id(self) -> str: ...
    @property
    def turns(self) -> Sequence[object]: ...


@dataclass(frozen=True)
class Planned:
    """One call: a whole conversation with one engine."""

    order: int  # from 0, its place in the run
    engine: str
    conversation: str
    turns: int
    repeat: int  # from 0
    warmup: bool = False

    def first_turns(self) -> "Planned":
        """The warm-up call that goes before this one."""
        turns = min(self.turns, WARMUP_TURNS)
        return Planned(self.order, self.engine, self.conversation, turns, self.repeat, warmup=True)


def plan(
    engines: Sequence[str], conversations: Iterable[HasTurns], repeats: int = 1
) -> tuple[Planned, ...]:
    """All calls in order.

    Args:
        engines: their names; the first one begins.
        conversations: in their order; a repeat goes through all of them again.
        repeats: how often each conversation is held with each engine.
    """
    calls: list[Planned] = []
    held = tuple(conversations)
    pairs = [(repeat, conversation) for repeat in range(repeats) for conversation in held]
    for at, (repeat, conversation) in enumerate(pairs):
        for engine in engines if at % 2 == 0 else reversed(engines):
            turns = len(conversation.turns)
            calls.append(Planned(len(calls), engine, conversation.id, turns, repeat))
    return tuple(calls)


def scheduled(calls: Iterable[Planned]) -> dict[str, int]:
    """Turns of each engine: the denominator of its figures."""
    count: dict[str, int] = {}
    for call in calls:
        count[call.engine] = count.get(call.engine, 0) + call.turns
    return count
