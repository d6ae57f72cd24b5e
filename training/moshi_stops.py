"""Where an agent fell silent because the caller cut in: the moments that count several times.

In a minute of dialogue there are a few such frames and seven hundred others, and whether a model
gives way at once is decided in them alone. What it should do there is plain in the data; how much
that is worth against all the rest is not, and is the preset's. Knows nothing of networks.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.duplex_dialogue import FRAME, Word
from training.duplex_timing import LATE_STOPPING, MS
from training.moshi_codes import CodedDialogue

KEPT = 6  # frames of silence after a stop that count: who has stopped must also stay silent
_APART = 300 * MS  # samples between two words of which the second begins something new


def cut_ins(dialogue: CodedDialogue) -> Iterator[tuple[int, int]]:
    """Samples: the caller's first word into the agent's speech, and the agent's last sample.

    A dialogue whose agent goes on for longer was acknowledged, not interrupted. An answer that was
    at its end anyway is like one that was cut short.
    """
    before = -_APART
    for word in dialogue.user_words:
        at, new = word.start, word.start - before >= _APART
        before = word.end
        stop = _falls_silent(dialogue.agent_words, at) if new else None
        if stop is not None and at < stop <= at + LATE_STOPPING[1] * MS:
            yield at, stop


def _falls_silent(words: Sequence[Word], at: int) -> int | None:
    """The end of what the agent is saying at sample `at`; None where it says nothing."""
    end = None
    for word in words:
        running = word.start < at < word.end + _APART if end is None else word.start < end + _APART
        if running:
            end = word.end
    return end


def emphasis(dialogues: Sequence[CodedDialogue], width: int, weight: float) -> Tensor:
    """float32 [B, width], for every step of the rows: `weight` from a stop on for `KEPT` frames, 1
    elsewhere.

    A step writes its own frame's first code and the acoustic codes of the frame before, which was
    spoken to its end: what is silent begins with the next one.
    """
    found = torch.ones(len(dialogues), width)
    for row, dialogue in enumerate(dialogues):
        for _, stop in cut_ins(dialogue):
            first = -(-stop // FRAME)
            found[row, first : first + KEPT] = weight
    return found
