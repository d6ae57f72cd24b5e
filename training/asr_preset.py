"""What decides a run of the recogniser's recipe: sizes, rates, counts."""

import dataclasses
from dataclasses import dataclass

from training.asr_network import Size
from training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Preset(Schedule):
    """Everything that decides a run, but for data and place."""

    warmup: int = 250  # steps
    size: Size = dataclasses.field(default_factory=Size)
    pieces: int = 640  # text pieces of the vocabulary
    frames_per_batch: int = 6_000  # mel frames, padding included
    smoothing: float = 0.05
    guided: int = 9_000  # steps, over which leading the decoder's attention fades out
    ema: float = 0.998
    rendition_sets: int = 5  # voices each sentence gets before the first one is heard again
    dialogue_share: int = 9_000  # sentences of our own dialogues an epoch takes
    language_seeds: int = 4  # times our dialogues are composed for the letter model
    eval_sentences: int = 100  # of each test
    loader_processes: int = 1
    render_processes: int = 2


PRESETS = {
    "tiny": Preset(
        steps=2,
        size=Size(32, 2, 1, 1),
        pieces=128,
        frames_per_batch=1_500,
        warmup=1,
        eval_every=2,
        eval_sentences=2,
        rendition_sets=1,
        loader_processes=0,
        render_processes=1,
    ),
    "starter": Preset(steps=6_000),
    "gpu": Preset(
        steps=30_000,
        size=Size(384, 6, 6, 3),
        pieces=1_000,
        frames_per_batch=60_000,
        rendition_sets=12,
        loader_processes=12,
        render_processes=12,
    ),
}
