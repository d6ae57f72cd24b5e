"""What decides a run of the codec's recipe: shape, losses, rates, counts."""

import copy
import dataclasses
from dataclasses import dataclass

from moshi.models import loaders

from models.codec import CODEBOOKS, SAMPLE_RATE, Config
from training.schedule import Schedule

FRAME = 1_920  # samples; 80 ms, 12.5 Hz


@dataclass(frozen=True)
class Shape:
    """A Mimi. Ratios are the decoder's, from slow to fast; their product is 960 (25 Hz)."""

    filters: int = 16  # channels at 24 kHz, doubled by every ratio
    # Mimi's [8, 6, 5, 4] the other way round: the sound leaves the sample rate in one step of 8,
    # which on a CPU halves the work and costs nothing that could be heard.
    ratios: tuple[int, ...] = (4, 5, 6, 8)
    width: int = 192  # of the latent and of the transformers, at 25 Hz
    heads: int = 3
    layers: int = 3  # of each transformer
    context: int = 32  # 25 Hz steps; shorter than a crop, so that a long call holds nothing new
    bins: int = 1_024  # of each codebook
    code_width: int = 64

    def config(self) -> Config:
        """As `models.codec.build` takes it."""
        config = copy.deepcopy(loaders._mimi_config)
        config["sample_rate"], config["codebooks"] = SAMPLE_RATE, CODEBOOKS
        config["seanet"].update(
            dimension=self.width, n_filters=self.filters, ratios=list(self.ratios)
        )
        config["quantizer"].update(
            dimension=self.code_width,
            n_q=CODEBOOKS,
            bins=self.bins,
            input_dimension=self.width,
            output_dimension=self.width,
        )
        config["transformer"].update(
            d_model=self.width,
            num_heads=self.heads,
            num_layers=self.layers,
            dim_feedforward=4 * self.width,
            context=self.context,
            # Mimi's 0.01 keeps the layers out of the way for the first thousands of steps.
            layer_scale=None,
            input_dimension=self.width,
            output_dimensions=[self.width],
        )
        return config


@dataclass(frozen=True)
class Weights:
    """Of the losses, beside the spectral one at 1.

    At these the gradients that reach the latents from sound and from words are of one size
    (norms of 0.005, 0.005 and 0.0025 after 80 steps).
    """

    commitment: float = 0.25
    distillation: float = 3.0
    letters: float = 1.0
    adversary: float = 0.0  # of the MS-STFT discriminator; 0 trains none
    features: float = 2.0  # of matching the discriminator's features, times `adversary`


@dataclass(frozen=True, kw_only=True)
class Preset(Schedule):
    """Everything that decides a run, but for data and place."""

    learning_rate: float = 3e-3
    warmup: int = 30  # steps
    decay: float = 0.4
    shape: Shape = dataclasses.field(default_factory=Shape)
    weights: Weights = dataclasses.field(default_factory=Weights)
    rows: int = 16  # crops of a batch
    spoken_rows: int = 6  # of them, the first, are decoded too; the others are callers'
    crop_frames: int = 26  # of 80 ms
    continuous: int = 300  # steps before the codebooks are made of what the encoder says
    codebook_batches: int = 120  # whose latents those first codebooks are clustered from
    # Of the spoken rows are in one of the agent's voices. A codec that says nothing else has only
    # those four voices to learn; callers are understood all the same.
    agent_share: float = 1.0
    silence_share: float = 0.05  # of the crops hold no speech
    sentences: int = 2_500  # callers say in a set of recordings
    replies: int = 1_500  # the agent says in a set
    sets: int = 3
    steps_per_set: int = 1_000
    eval_sentences: int = 60
    quantizer_dropout: float = 0.5  # of the steps use fewer acoustic codebooks, 1 to 6
    threads: int = 1  # on a CPU
    loader_processes: int = 1
    render_processes: int = 1


PRESETS = {
    "tiny": Preset(
        steps=4,
        shape=Shape(2, (4, 5, 6, 8), 16, 2, 1, 12, 16, 8),
        rows=3,
        spoken_rows=2,
        crop_frames=12,
        warmup=1,
        continuous=2,
        codebook_batches=2,
        sentences=4,
        replies=4,
        sets=1,
        report_every=1,
        eval_every=4,
        eval_sentences=2,
        loader_processes=0,
    ),
    "starter": Preset(steps=3_000),
    "gpu": Preset(
        steps=60_000,
        shape=Shape(64, (8, 6, 5, 4), 512, 8, 8, 80, 2_048, 256),
        weights=Weights(adversary=1.0),
        rows=96,
        spoken_rows=48,
        crop_frames=50,  # recordings are three to eight seconds long
        agent_share=0.5,
        learning_rate=8e-4,
        warmup=1_000,
        continuous=2_000,
        sentences=20_000,
        replies=10_000,
        sets=4,
        steps_per_set=8_000,
        eval_every=5_000,
        loader_processes=12,
        render_processes=12,
    ),
}
