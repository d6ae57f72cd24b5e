"""What decides a run of the language model's recipe: shape, rates, counts."""

from dataclasses import dataclass

from training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Preset(Schedule):
    """Everything that decides the weights."""

    steps: int = 2600
    warmup: int = 100  # steps
    decay: float = 0.25
    report_every: int = 10
    eval_every: int = 100
    seed: int = 0
    vocabulary: int = 3072
    width: int = 320
    layers: int = 6
    heads: int = 5
    inner: int = 864
    context: int = 512  # tokens
    batch: int = 16  # conversations
    turns: int = 10  # of a conversation, at most
    short_share: float = 0.4  # of the steps come first, with conversations of one or two turns:
    # which words decide the answer is found much sooner when there are few to choose from
    weight_decay: float = 0.05
    ema: float = 0.995  # of the averaged weights that are exported
    intent_weight: float = 0.3  # of naming what the caller wants, beside the answer's words
    piece_dropout: float = 0.1  # BPE merges skipped on the caller's side
    int8: bool = False  # the export in 8 bits, half of fp16; stock tools do not read that
    threads: int = 1  # on a CPU

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")

    def fall(self, left: float) -> float:
        """Along a straight line."""
        return left


PRESETS = {
    "starter": Preset(int8=True),
    "gpu": Preset(steps=12_000, batch=64),
    "tiny": Preset(
        steps=4,
        warmup=1,
        report_every=1,
        eval_every=2,
        vocabulary=640,
        width=32,
        layers=2,
        heads=2,
        inner=64,
        context=256,
        batch=2,
        turns=2,
    ),
}
