"""What decides a run of SpeechT5's recipe: shapes, losses, rates, counts."""

import dataclasses
from dataclasses import dataclass

from transformers import SpeechT5Config, SpeechT5HifiGanConfig

from models.speecht5_mel import BANDS, SAMPLE_RATE


@dataclass(frozen=True)
class Shape:
    """An acoustic model. The hub's: 768 wide, 12 + 6 layers, speakers of 512 numbers."""

    width: int = 256
    heads: int = 4
    layers: tuple[int, int] = (3, 4)  # encoder, decoder
    inner: int = 768  # of the feed-forward layers
    prenet: int = 192
    postnet: int = 160
    speaker: int = 64  # numbers of a speaker embedding

    def config(self, vocabulary: int) -> SpeechT5Config:
        """As transformers builds it; two frames a decoder step, like the hub's."""
        return SpeechT5Config(
            vocab_size=vocabulary,
            hidden_size=self.width,
            encoder_layers=self.layers[0],
            decoder_layers=self.layers[1],
            encoder_attention_heads=self.heads,
            decoder_attention_heads=self.heads,
            encoder_ffn_dim=self.inner,
            decoder_ffn_dim=self.inner,
            encoder_layerdrop=0.0,
            decoder_layerdrop=0.0,
            # A quarter of a step went into random numbers; the prenet has a dropout of its own.
            positional_dropout=0.0,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            num_mel_bins=BANDS,
            speech_decoder_prenet_units=self.prenet,
            speech_decoder_postnet_units=self.postnet,
            speech_decoder_postnet_dropout=0.0,
            speaker_embedding_dim=self.speaker,
            encoder_max_relative_position=32,
            max_text_positions=600,
            guided_attention_loss_num_heads=self.heads,
        )


@dataclass(frozen=True)
class VocoderShape:
    """A HiFi-GAN generator. The hub's: 512 channels, [4, 4, 4, 4], kernels 3, 7, 11."""

    channels: int = 192
    rates: tuple[int, ...] = (8, 8, 4)  # their product is the hop, 256
    kernels: tuple[int, ...] = (3, 7)
    dilations: tuple[int, ...] = (1, 3)

    def config(self) -> SpeechT5HifiGanConfig:
        """As transformers builds it."""
        return SpeechT5HifiGanConfig(
            model_in_dim=BANDS,
            sampling_rate=SAMPLE_RATE,
            upsample_initial_channel=self.channels,
            upsample_rates=list(self.rates),
            upsample_kernel_sizes=[2 * rate for rate in self.rates],
            resblock_kernel_sizes=list(self.kernels),
            resblock_dilation_sizes=[list(self.dilations) for _ in self.kernels],
        )


@dataclass(frozen=True)
class Acoustic:
    """How the acoustic model trains."""

    steps: int = 8_000
    shape: Shape = dataclasses.field(default_factory=Shape)
    rows: int = 32  # of a batch, at most
    frames: int = 2_200  # of a batch, padding included: long clauses come in smaller batches
    learning_rate: float = 1e-3
    warmup: int = 200  # steps
    decay: float = 0.3  # the last part of the steps, in which the rate falls to zero
    short_first: int = 2_000  # steps until the longest clauses have come in
    guide: float = 1.0  # weight of the attention loss at first
    guide_end: float = 0.2  # and from `guided` steps on
    guided: int = 3_000
    width: float = 6.0  # frames of the attention's band, 96 ms
    stop: float = 0.2  # weight of the stop loss
    # Speaking, the decoder hears its own frames and not the true ones; a model that may copy those
    # does not listen to the text (1,100 steps: CER 0.40 on true frames, 0.93 on its own).
    forget: float = 0.4  # share of the frames it hears in training that are zero
    noise: float = 0.2  # spread of what is added to the others, log10 of magnitudes
    ema: float = 0.998  # of the averaged weights that are exported
    frozen_encoder: bool = False  # from the hub: train the decoder alone


@dataclass(frozen=True)
class Vocoder:
    """How the vocoder trains."""

    steps: int = 9_500
    shape: VocoderShape = dataclasses.field(default_factory=VocoderShape)
    rows: int = 8  # crops of a batch
    crop: int = 40  # frames, 640 ms
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.5
    adversary: float = 0.0  # weight of the discriminators' loss; 0 trains none
    features: float = 2.0  # of matching their features, times `adversary`
    ema: float = 0.998


@dataclass(frozen=True)
class Preset:
    """Everything that decides both runs, but for data and place."""

    acoustic: Acoustic = dataclasses.field(default_factory=Acoustic)
    vocoder: Vocoder = dataclasses.field(default_factory=Vocoder)
    start: str = ""  # weights address of an acoustic model to start from
    start_vocoder: str = ""
    words: int = 6  # of a clause, at most: the service synthesises clause by clause
    answers: int = 6_000  # sentences of our dialogues' answers, cut into clauses
    sentences: int = 6_000  # others
    report_every: int = 20  # steps
    eval_every: int = 500
    eval_clauses: int = 24
    checkpoint_seconds: float = 180.0
    threads: int = 1  # on a CPU
    loader_processes: int = 0
    render_processes: int = 1
    seed: int = 1
    int8: bool = False  # the finished voice in 8 bits, half of fp16; stock tools do not read that


_HUB = Preset(
    acoustic=Acoustic(
        steps=60_000,
        rows=64,
        frames=24_000,
        learning_rate=1e-4,
        warmup=2_000,
        short_first=10_000,
        guided=20_000,
        ema=0.9995,
    ),
    vocoder=Vocoder(
        steps=100_000, rows=32, crop=64, learning_rate=2e-4, warmup=1_000, adversary=1.0
    ),
    start="hf://microsoft/speecht5_tts",
    start_vocoder="hf://microsoft/speecht5_hifigan",
    words=12,
    answers=30_000,
    sentences=60_000,
    eval_every=5_000,
    eval_clauses=100,
    loader_processes=8,
    render_processes=12,
)

PRESETS = {
    "tiny": Preset(
        acoustic=Acoustic(
            steps=4,
            shape=Shape(16, 2, (1, 1), 32, 16, 16, 8),
            rows=2,
            frames=400,
            warmup=1,
            short_first=2,
            guided=2,
        ),
        vocoder=Vocoder(steps=4, shape=VocoderShape(8, (8, 8, 4), (3,), (1,)), rows=2, crop=12),
        answers=6,
        sentences=6,
        report_every=1,
        eval_every=4,
        eval_clauses=2,
    ),
    "starter": Preset(int8=True),
    "hub": _HUB,
    "hub-decoder": dataclasses.replace(  # the encoder's layers stay as they were in English
        _HUB, acoustic=dataclasses.replace(_HUB.acoustic, frozen_encoder=True)
    ),
}
