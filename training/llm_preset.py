"""What decides a run of the language model's recipe: shape, rates, counts."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights."""

    vocabulary: int = 3072
    width: int = 320
    layers: int = 6
    heads: int = 5
    inner: int = 864
    context: int = 512  # tokens
    steps: int = 2600
    batch: int = 16  # conversations
    turns: int = 10  # of a conversation, at most
    short_share: float = 0.4  # of the steps come first, with conversations of one or two turns:
    # which words decide the answer is found much sooner when there are few to choose from
    rate: float = 1e-3
    warmup: int = 100  # steps
    cooldown: float = 0.25  # share of the steps over which the rate falls to nothing
    decay: float = 0.05
    average: float = 0.995  # of the exponential moving average that is exported
    intent_weight: float = 0.3  # of naming what the caller wants, beside the answer's words
    piece_dropout: float = 0.1  # BPE merges skipped on the caller's side
    save_every: int = 100  # steps
    seed: int = 0
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


PRESETS = {
    "starter": Recipe(),
    "gpu": replace(Recipe(), steps=12_000, batch=64, device="cuda"),
    "tiny": Recipe(640, 32, 2, 2, 64, 256, steps=4, batch=2, turns=2, warmup=1, save_every=2),
}
