"""What the users want, asked of a model at the moment it begins to answer.

Which of an intent's many answers follows is chance, so the answer's words say little about what
should have been understood; the intent says it outright (docs/decisions.md). Knows nothing of
networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.dialogues import intent_numbers
from training.duplex_dialogue import FRAME
from training.moshi_codes import CodedDialogue


def wanted(dialogues: Sequence[CodedDialogue]) -> Tensor:
    """int64 [N, 3]: row, step, intent; each step from a question's end to its answer's start.

    A step of the model has read the frame before it, and writes its own. Intents that nobody
    authored are left out.
    """
    known = intent_numbers()
    found = [
        (row, step, known[asked.intent])
        for row, dialogue in enumerate(dialogues)
        for asked in dialogue.asked
        if asked.intent in known
        for step in _steps(asked.end // FRAME + 1, asked.answer // FRAME)
    ]
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 3)


def _steps(first: int, last: int) -> range:
    """At least the last one: an answer may begin in the very next frame."""
    return range(min(first, last), last + 1)
