"""Whose turn it is by the bot's own word: whether it has said that it has finished its answer.

Reads types of RTVI messages. A bot that says none of them never gives the floor. Knows nothing of
sound or time.
"""

from dataclasses import dataclass

CUT = "bot-interrupted"


@dataclass
class Floor:
    """What the bot said of itself since the caller's turn began."""

    stopped: bool = False
    synthesizing: bool = False  # between two clauses it is silent, and has more to say

    @property
    def given(self) -> bool:
        """Whether it spoke, stopped, and has nothing left to synthesize."""
        return self.stopped and not self.synthesizing

    def hear(self, kind: str) -> None:
        """Takes the type of a message, `CUT` for an interruption."""
        if kind == "bot-stopped-speaking":
            self.stopped = True
        elif kind == "bot-started-speaking":
            self.stopped = False
        elif kind == "bot-tts-started":
            self.stopped, self.synthesizing = False, True
        elif kind in ("bot-tts-stopped", CUT):
            self.synthesizing = False
