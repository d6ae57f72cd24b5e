"""Whether a clause is being spoken as it is written: the decoder's attention, watched step by step.

A decoder that loses its place skips words, says them again, stays on one or never stops. Each shows
in where its attention lies, before it is heard. Knows nothing of sound.
"""

from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["", "skipped", "repeated", "stuck", "runaway"]

STOP = 0.5  # sum of the stop probabilities of a step's frames, as upstream
LINGER = 12  # steps (0.4 s) at the end without a stop, before it is taken for one
TAIL = 3.0  # characters before the end from which a stop is believed: the mark and the end itself
_STEPS_A_CHARACTER = 6  # twice what the slowest voice needs
_STEPS_BESIDE = 30  # for silence before and behind


def step_limit(characters: int) -> int:
    """Steps a clause may take; more is a decoder that does not stop."""
    return _STEPS_BESIDE + _STEPS_A_CHARACTER * characters


@dataclass(frozen=True)
class Limits:
    """What attention may do."""

    leap: float  # characters forward in one step: a word is 7
    back: float  # characters behind where it was, for three steps, without saying a word again
    stuck: int  # steps on one character


FREE = Limits(12.0, 8.0, 40)  # 1.3 s; a long vowel of the slowest voice takes 12 steps
# Of a model that is held to the text (`speecht5_voices`): it cannot leap far, it runs or stays. In
# 1,090 clauses of the starter, said well in all voices and emotions, the most was 2.1 forward, 0.2
# back and 8 steps; in 134 of random letters 2.1, 2.2 and 22 (`python -m benchmarks.voice --watch`).
HELD = Limits(6.0, 4.0, 30)


@dataclass
class Watch:
    """One clause. `held`: its attention cannot go far between steps (`speecht5_voices`)."""

    characters: int  # the end included
    limit: int  # steps
    held: bool
    path: list[float] = field(default_factory=list)  # character looked at, a step each
    fault: Fault = ""
    over: bool = False
    _farthest: float = 0.0
    _since: int = 0  # steps since it came any farther
    _behind: int = 0  # steps in a row that lay far behind

    @property
    def limits(self) -> Limits:
        """Those that hold for it."""
        return HELD if self.held else FREE

    def step(self, at: float, stop: float) -> None:
        """One step was made, looking at character `at`; sets `over` or `fault`."""
        self.path.append(at)
        leapt = at - self._farthest
        if leapt > 0.5:
            self._farthest, self._since = at, 0
        else:
            self._since += 1
        self._behind = self._behind + 1 if leapt < -self.limits.back else 0
        last = self.characters - 1
        near = self._farthest >= last - TAIL
        if stop >= STOP and (near or not self.held):
            self.over = True
            self.fault = "" if near else "skipped"
        elif leapt > self.limits.leap:
            self.fault = "skipped"
        elif self._behind >= 3:
            self.fault = "repeated"
        elif near and self._since >= LINGER and self.held:
            self.over = True
        elif self._since >= self.limits.stuck:
            self.fault = "stuck"
        elif len(self.path) >= self.limit:
            self.fault = "runaway"
