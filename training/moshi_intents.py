"""What the users want, asked of a model when it begins to answer, and while it answers.

Which of an intent's many answers follows is chance, so the answer's words say little about what
should have been understood; the intent says it outright. Asked at the beginning alone a model names
it and then says something else (docs/decisions.md). Knows nothing of networks.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from training.dialogues import intent_numbers
from training.duplex_dialogue import FRAME
from training.moshi_codes import Asked, CodedDialogue

KEPT = 4  # frames from one step of the answer that is asked to the next: the beginning counts more


def wanted(dialogues: Sequence[CodedDialogue], frames: Sequence[int]) -> Tensor:
    """int64 [N, 3]: row, step, intent, of rows of so many `frames`.

    A step of the model has read the frame before it, and writes its own. Intents that nobody
    authored are left out.
    """
    known = intent_numbers()
    found = [
        (row, step, known[asked.intent])
        for row, dialogue in enumerate(dialogues)
        for asked in dialogue.asked
        if asked.intent in known
        for step in (*_before(asked), *_during(asked, dialogue))
        if step < frames[row]
    ]
    return torch.tensor(found, dtype=torch.int64).reshape(-1, 3)


def _before(asked: Asked) -> range:
    """From a question's end to its answer's start, which may be the very next frame."""
    first, last = asked.end // FRAME + 1, asked.answer // FRAME
    return range(min(first, last), last + 1)


def _during(asked: Asked, dialogue: CodedDialogue) -> range:
    """Every few steps of the answer, until the caller speaks again."""
    again = min((w.start for w in dialogue.user_words if w.start >= asked.end), default=math.inf)
    said = (w.end for w in dialogue.agent_words if asked.answer <= w.start < again)
    last = int(min(max(said, default=0), again))
    return range(asked.answer // FRAME + KEPT, last // FRAME, KEPT)
