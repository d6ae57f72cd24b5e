"""When a model is asked what the caller wants: as it begins to answer, and while it does."""

import numpy as np

from training.dialogues import intent_numbers
from training.duplex_dialogue import FRAME, Word
from training.moshi_codes import Asked, CodedDialogue
from training.moshi_intents import KEPT, wanted

HELLO = "greet.hello"


def answered(*user: tuple[int, int], intent: str = HELLO) -> CodedDialogue:
    """A question in frames 2 to 9, its answer in frames 12 to 32, and what else the user says."""
    spoken = [Word("నమస్తే", 2 * FRAME, 10 * FRAME - 1)]
    spoken += [Word("హా", first * FRAME, last * FRAME) for first, last in user]
    said = [Word("మాట", at * FRAME, (at + 4) * FRAME) for at in range(12, 32, 4)]
    codes = np.zeros((16, 40), np.uint16)
    asked = Asked(intent, 10 * FRAME - 1, 12 * FRAME)
    return CodedDialogue(codes, tuple(said), tuple(spoken), "priya", "calm", (asked,))


def steps(dialogue: CodedDialogue, frames: int = 40) -> list[int]:
    rows = wanted([dialogue], [frames])
    assert rows[:, 0].eq(0).all()
    assert rows[:, 2].eq(intent_numbers()[HELLO]).all()
    return rows[:, 1].tolist()


def test_every_step_before_the_answer_and_a_few_of_it() -> None:
    assert steps(answered()) == [10, 11, 12, *range(12 + KEPT, 32, KEPT)]


def test_no_longer_than_the_row() -> None:
    assert steps(answered(), frames=18) == [10, 11, 12, 16]


def test_not_once_the_caller_speaks_again() -> None:
    assert steps(answered((22, 24))) == [10, 11, 12, 16, 20]


def test_what_nobody_authored_is_not_asked_for() -> None:
    assert wanted([answered(intent="nobody.knows")], [40]).shape == (0, 3)
