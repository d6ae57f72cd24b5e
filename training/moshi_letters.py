"""The letters of the user's words and when they are said, for a model that learns to listen.

A word's text tokens name it once, after it is over, and three thousand of them are rare; its few
letters come back in every other word, and each is asked for while it sounds. Knows nothing of
networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.asr_tokenizer import letter_ids
from training.codec_letters import A_FRAME
from training.duplex_dialogue import FRAME
from training.moshi_codes import CodedDialogue

LAG = 3  # frames after a word's end in which its last letters may still come


def spelled(dialogues: Sequence[CodedDialogue]) -> tuple[Tensor, Tensor]:
    """Every word of the users: letters int64 [N, L], 0 after the last; int64 [N, 4].

    The four are row, first letter step, one past the last, letters; a frame has `A_FRAME` steps.
    A step of the model has read the frame before it, so everything is one frame late.
    """
    words: list[tuple[list[int], tuple[int, int, int, int]]] = []
    for row, dialogue in enumerate(dialogues):
        frames = dialogue.codes.shape[1]
        for word in dialogue.user_words:
            letters = letter_ids(word.text)
            first = word.start // FRAME + 1
            end = min(frames, (word.end - 1) // FRAME + 2 + LAG)
            if letters and len(letters) <= (end - first) * A_FRAME:
                words.append((letters, (row, first * A_FRAME, end * A_FRAME, len(letters))))
    longest = max((len(letters) for letters, _ in words), default=1)
    spelling = torch.zeros(len(words), longest, dtype=torch.int64)
    for place, (letters, _) in enumerate(words):
        spelling[place, : len(letters)] = torch.tensor(letters)
    return spelling, torch.tensor([span for _, span in words], dtype=torch.int64).reshape(-1, 4)
