"""Dialogues of noise with words in them, and a tiny real codec on disk: quick to encode."""

from pathlib import Path

import numpy as np
import torch

from models import codec
from tests.training.words import WORDS
from training.codec_preset import PRESETS
from training.duplex_dialogue import FRAME, Exchange, SpokenDialogue, Word


def write_codec(folder: Path, seed: int = 1) -> Path:
    """A codec of 8 codebooks of 16 entries, filled with noise (the library's are all zero)."""
    torch.manual_seed(seed)
    config = PRESETS["tiny"].shape.config()
    mimi = codec.build(config)
    for name, buffer in mimi.named_buffers():
        if name.endswith("embedding_sum"):
            buffer.normal_()
        elif name.endswith("cluster_usage"):
            buffer.fill_(1.0)
    for parameter in mimi.parameters():
        parameter.requires_grad_(False)
        parameter.mul_(2.0)  # untrained layers at their default scale give next to no sound
    return codec.save(mimi, config, folder)


INTENTS = ("greet.hello", "sum.add")  # authored ones


class NoiseDialogues:
    """`frames` of the user's noise, then as much of the agent's, three words on each side."""

    def __init__(self, frames: int = 16) -> None:
        self.frames = frames

    def dialogue(self, number: int) -> SpokenDialogue:
        rng = np.random.default_rng((5, number))
        half = self.frames // 2 * FRAME
        channels = np.zeros((2, 2 * half), np.int16)
        channels[0, half:] = rng.normal(0, 3_000, half)
        channels[1, :half] = rng.normal(0, 3_000, half)
        said = [WORDS[i] for i in rng.choice(len(WORDS), 6, replace=False)]
        step = half // 3
        spans = [Word(word, i * step, (i + 1) * step) for i, word in enumerate(said)]
        texts = (" ".join(said[:3]), " ".join(said[3:]))
        times = (0, half, half, 2 * half)
        return SpokenDialogue(
            agent=channels[0],
            user=channels[1],
            agent_words=tuple(spans[3:]),
            user_words=tuple(spans[:3]),
            voice=("priya", "ravi")[number % 2],
            emotion="calm",
            exchanges=(Exchange(INTENTS[number % 2], *texts, {}, *times),),
        )
