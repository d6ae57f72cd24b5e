"""What decides a run of the Moshi recipe: shape, loss weights, rates, counts."""

from dataclasses import dataclass, field

from models.moshi_config import Config, published_config, with_conditioners
from training.schedule import Schedule


@dataclass(frozen=True)
class Shape:
    """A Moshi of its own, in the published architecture."""

    dim: int = 256
    layers: int = 6
    heads: int = 8
    context: int = 375  # frames the model remembers: 30 s
    depformer_dim: int = 128
    depformer_layers: int = 2
    depformer_heads: int = 4

    def config(self, text_card: int, codebooks: int, cardinality: int) -> Config:
        """The library's config for a text vocabulary and a codec; acoustic codes one frame late."""
        delays = [0] + [1] * (codebooks - 1)
        return with_conditioners(
            published_config()
            | {
                "dim": self.dim,
                "text_card": text_card,
                "card": cardinality,
                "n_q": 2 * codebooks,
                "dep_q": codebooks,
                "delays": [0, *delays, *delays],
                "num_heads": self.heads,
                "num_layers": self.layers,
                "context": self.context,
                "depformer_dim": self.depformer_dim,
                "depformer_dim_feedforward": int(4.125 * self.depformer_dim),
                "depformer_num_heads": self.depformer_heads,
                "depformer_num_layers": self.depformer_layers,
                "depformer_context": codebooks,
            }
        )


@dataclass(frozen=True)
class LossWeights:
    """The published weights (Kyutai's moshi-finetune), and ours for training alone."""

    # Of the agent's text against its codes, in which it would drown: a dozen words decide whether
    # an answer fits, two hundred frames of eight codes how it sounds.
    text: float = 1.0
    first_codebook: float = 100.0  # against 1 for each of the others
    text_padding: float = 0.5  # against 1 for a token of text
    # Silence, where the caller cut in, against 1 for every other frame, see moshi_stops.
    stopping: float = 1.0
    hearing: float = 0.5  # naming the user's words, which is dropped on export
    user: float = 0.1  # foretelling the user's next first code, dropped on export
    letters: float = 1.0  # spelling the user's words while they are said, dropped on export
    taught: float = 0.5  # spelling as the codec's own head does, where the codec brings one
    intent: float = 1.0  # naming what the user wants when they have said it, dropped on export


@dataclass(frozen=True)
class Lora:
    """Adapters on every linear layer; the text embeddings and the text head train in full."""

    rank: int = 128
    scaling: float = 2.0


@dataclass(frozen=True)
class Listening:
    """The first part of a run: questions are heard, answers written, nothing is said.

    Half of a dialogue's sound is silence, most of the rest the agent's own voice, and the codes of
    it cost more to learn than everything else: of one dialogue's time ten questions are heard.
    """

    sets: int = 0  # none: the run begins with whole dialogues
    size: int = 2_000  # questions of a set
    # Epochs in a row that hear one set. In three, two thousand questions are known by their voices
    # (intent 0.03 nats, 2.6 on unheard ones), and nothing more is learnt of hearing.
    repeats: int = 1
    hidden: float = 0.0  # share of the input tokens that are left out, where sets come back
    # New questions that are heard beside each set of dialogues, in every epoch of it: what is only
    # spoken with is soon known by heart (docs/decisions.md).
    beside: int = 0
    # Frames of an answer's text that are learnt: how it begins says the most. Of one that repeats
    # or computes with what was asked, all are.
    answer: int = 24
    frames_per_batch: int = 1_600


@dataclass(frozen=True, kw_only=True)
class Preset(Schedule):
    """Everything that decides a run, but for data and place."""

    report_every: int = 10  # steps
    shape: Shape = field(default_factory=Shape)  # of a model trained from scratch
    base: str = ""  # weights address of a Moshi to start from, instead of `shape`
    # Steps in which only the heads learn that no export has: untaught ones would pull at a base
    # that has been taught.
    heads_first: int = 0
    lora: Lora | None = None
    pieces: int = 3_000  # of the text tokenizer
    announce: bool = True  # a new tokenizer has a piece for every intent besides, see moshi_streams
    weights: LossWeights = field(default_factory=LossWeights)
    hearing_delay: int = 2  # frames after the end of a word in which it must be known
    # Share of the input tokens of dialogues that are left out: a model that has its whole history
    # learns the answers of a set by heart before it learns to listen.
    hidden: float = 0.15
    no_voice: float = 0.2  # share of dialogues that name no voice
    no_emotion: float = 0.2
    seconds: int = 20  # that a dialogue lasts at most
    set_size: int = 1_000  # dialogues of an epoch
    # Batches of answers as text alone beside each epoch of dialogues, see moshi_written.
    written: int = 0
    repeats: int = 2  # epochs in a row that hear one set, while the next is encoded
    sets: int = 40  # of them before the first one is heard again
    listening: Listening = field(default_factory=Listening)
    frames_per_batch: int = 3_200
    accumulate: int = 1  # batches a step
    # Share of a batch's frames whose codes the depformer learns: it costs more than all the rest.
    depth_share: float = 1.0
    weight_decay: float = 0.05
    ema: float = 0.998
    checkpointing: bool = False  # recompute activations on the way back: less memory, more time
    eval_questions: int = 48
    answer_seconds: float = 8.0  # that an answer is waited for
    int8: bool = False  # store the weights in 8 bits, for a model that travels with the code
    encode_processes: int = 1
    reading_processes: int = 0  # that make batches; without any the trainer does
    ahead: bool = True  # encode what is heard later while this trains


_HUB = Preset(
    steps=2_000,
    base="hf://kyutai/moshiko-pytorch-bf16",
    lora=Lora(),
    pieces=32_000,
    announce=False,
    weights=LossWeights(hearing=0.2, user=0.0, letters=0.0, taught=0.0, intent=0.0),
    hidden=0.0,
    seconds=100,  # as published
    set_size=4_000,
    frames_per_batch=1_280,
    accumulate=16,
    learning_rate=2e-5,
    warmup=100,
    weight_decay=0.1,
    ema=0.99,
    checkpointing=True,
    encode_processes=12,
)

_SMALL = LossWeights(text=5.0)

PRESETS = {
    "starter": Preset(
        steps=5_400,
        weights=_SMALL,
        sets=9,
        written=40,
        listening=Listening(sets=25),
        frames_per_batch=1_600,
        depth_share=0.3,
        learning_rate=2e-3,
        eval_every=500,
        int8=True,
    ),
    # From the shipped weights on, for as long as one likes (`--minutes`), on two CPU cores: one
    # trains, one speaks and encodes; everything is heard twice.
    "starter-more": Preset(
        steps=20_000,
        base="starter/s2s",
        heads_first=150,
        weights=LossWeights(text=4.0, stopping=4.0),
        set_size=500,
        sets=12,
        written=60,
        listening=Listening(beside=4_000, hidden=0.1, frames_per_batch=3_200),
        depth_share=0.5,
        learning_rate=8e-4,
        warmup=100,
        eval_every=20_000,
        int8=True,
        seed=6,
    ),
    # The starter's shape on a rented GPU with 16 cores, in minutes (`--minutes`): nearly every core
    # speaks and encodes, and a set comes back so often that the next one is there by then.
    "starter-gpu": Preset(
        steps=20_000,
        weights=_SMALL,
        set_size=10_000,
        repeats=10,
        sets=5,
        written=20,
        listening=Listening(
            sets=2,
            size=25_000,
            repeats=6,
            hidden=0.15,
            beside=20_000,
            frames_per_batch=24_000,
        ),
        frames_per_batch=32_000,
        depth_share=0.5,
        learning_rate=2e-3,
        eval_every=20_000,
        int8=True,
        encode_processes=12,
        reading_processes=3,
    ),
    "gpu": Preset(
        steps=60_000,
        weights=_SMALL,
        shape=Shape(512, 12, 8, 750, 256, 4, 8),
        pieces=4_000,
        seconds=40,
        set_size=10_000,
        sets=20,
        written=20,
        listening=Listening(sets=20, size=20_000, frames_per_batch=16_000),
        frames_per_batch=32_000,
        learning_rate=6e-4,
        warmup=500,
        eval_every=2_000,
        eval_questions=200,
        encode_processes=12,
        reading_processes=4,
    ),
    "tiny": Preset(
        steps=4,
        shape=Shape(32, 2, 2, 100, 16, 1, 2),
        pieces=2_000,
        seconds=10,
        set_size=4,
        repeats=1,
        sets=1,
        written=1,
        listening=Listening(sets=1, size=4, frames_per_batch=320),
        frames_per_batch=320,
        warmup=1,
        report_every=1,
        eval_every=2,
        eval_questions=2,
        answer_seconds=0.8,
        ahead=False,
    ),
    "hub": _HUB,
}
