"""The codec as it is trained: a Mimi, and two heads that ask its first codebook for words.

A call needs neither of the heads (a projection towards the teacher's states, a letter head). Until
the codebooks are made, latents pass through the quantizer's projections unquantized: codebooks
clustered from an encoder that already hears something lose fewer of their entries than the
library's, which start on the first batch. Knows nothing of data or optimisation.
"""

import random
from dataclasses import dataclass
from typing import cast

import torch
from moshi.models.compression import MimiModel
from moshi.modules.conv import StreamingConv1d, StreamingConvTranspose1d
from moshi.modules.seanet import SEANetDecoder, SEANetEncoder, SEANetResnetBlock
from torch import Tensor, nn

from models.codec import build, codebooks, quantizers
from training.codec_batches import Batch
from training.codec_letters import LetterHead
from training.codec_losses import SpectralDistance, direction_loss, word_loss
from training.codec_preset import Shape, Weights

FRAME_RATE = 12  # Hz; the library only reports a bit rate by it
# On a CPU; activations of more rows than this outgrow what the allocator keeps for reuse
# (`codec_memory.py`), and twelve rows take 0.52 s instead of 0.32.
ROWS_AT_ONCE = 6
CHECK_EVERY = 5  # steps between two searches for codes that nobody uses


@dataclass(frozen=True)
class Coded:
    """What came of a batch."""

    sound: Tensor  # of the first rows, [R, 1, T]
    semantic: Tensor  # output of the first quantizer, [B, width, S]
    codes: Tensor | None  # int64 [B, K, S]; None before there are codebooks
    commitment: Tensor  # mean squared distance of latents to their centroids


@dataclass(frozen=True)
class Losses:
    """Means of a batch; `total` has the gradient."""

    total: Tensor
    log_mel: Tensor  # nats
    commitment: Tensor
    direction: Tensor  # 1 - cosine
    letters: Tensor  # nats a letter


class TrainedCodec(nn.Module):
    """A Mimi with its training heads; `teacher_width` is that of the states to point at."""

    def __init__(self, shape: Shape, teacher_width: int) -> None:
        super().__init__()
        self.mimi = build(shape.config())
        balance(self.mimi)
        self.pointer = nn.Conv1d(shape.width, teacher_width, 1)
        self.letter_head = LetterHead(shape.width)
        self.spectral = SpectralDistance()

    @property
    def quantized(self) -> bool:
        """Whether the codebooks are made."""
        return all(book.initialized for book in codebooks(*quantizers(self.mimi)))

    def encode(self, heard: Tensor) -> Tensor:
        """[B, 1, T] -> latents [B, width, S]."""
        assert self.mimi.encoder_transformer is not None
        at_once = ROWS_AT_ONCE if heard.device.type == "cpu" else len(heard)
        latents = torch.cat([self.mimi.encoder(rows) for rows in heard.split(at_once)])
        (latents,) = self.mimi.encoder_transformer(latents)
        return self.mimi._to_framerate(latents)

    def forward(self, heard: Tensor, spoken: int) -> Coded:
        """Sound [B, 1, T] through the codec, with gradients; T a multiple of 1,920.

        Only the first `spoken` rows are decoded: words take more examples to learn than sounds,
        and the decoder costs more than the encoder.
        """
        latent = self.encode(heard)
        first, rest = quantizers(self.mimi)
        if self.quantized:
            semantic, acoustic = first(latent, FRAME_RATE), rest(latent, FRAME_RATE)
            codes = torch.cat([semantic.codes, acoustic.codes], 1)
            # Every codebook counts the same, however many are in use.
            used = acoustic.codes.shape[1]
            commitment = (semantic.penalty + used * acoustic.penalty) / (1 + used)
            said, detail = semantic.x, acoustic.x
        else:
            said = first.output_proj(first.input_proj(latent))
            detail = rest.output_proj(rest.input_proj(latent))
            codes, commitment = None, latent.new_zeros(())
        chosen = (said + detail)[:spoken]
        assert self.mimi.decoder_transformer is not None
        (slow,) = self.mimi.decoder_transformer(self.mimi._to_encoder_framerate(chosen))
        return Coded(self.mimi.decoder(slow), said, codes, commitment)

    def losses(self, batch: Batch, weights: Weights, spoken: int) -> tuple[Losses, Coded]:
        """All but the adversary's; `spoken` as of `forward`."""
        coded = self(batch.heard, spoken)
        spectral, log_mel = self.spectral(coded.sound[:, 0], batch.said[:spoken, 0])
        pointed = self.pointer(coded.semantic).transpose(1, 2)
        direction = direction_loss(pointed, batch.states, batch.known)
        letters = word_loss(self.letter_head(coded.semantic), batch.letters, batch.spans)
        total = (
            spectral
            + weights.commitment * coded.commitment
            + weights.distillation * direction
            + weights.letters * letters
        )
        return Losses(total, log_mel, coded.commitment, direction, letters), coded

    def set_step(self, step: int, seed: int, dropout: float) -> None:
        """Makes what the library draws at random a function of seed and step alone.

        The number of acoustic codebooks in use comes from a generator of the quantizer's own, and
        unused codes are looked for by a counter: neither is part of its state.
        """
        torch.manual_seed(seed * 1_000_003 + step)
        first, rest = quantizers(self.mimi)
        rest.rng_dropout = random.Random(f"{seed} {step}")
        rest.q_dropout = rest.rng_dropout.random() < dropout
        for book in codebooks(first, rest):
            book._next_unused_check = 1 if step % CHECK_EVERY == 0 else CHECK_EVERY

    @torch.no_grad()
    def make_codebooks(self, latents: Tensor) -> None:
        """Clusters codebooks one after the other from latents [N, width, S] of many batches."""
        for part in quantizers(self.mimi):
            residual = part.input_proj(latents).transpose(1, 2).flatten(0, 1)  # [N * S, code_width]
            for book in codebooks(part):
                book._init_embedding(residual)
                book.register_buffer("_embedding", None, persistent=False)
                residual = residual - book.decode(book.encode(residual))

    @torch.no_grad()
    def perplexity(self) -> list[float]:
        """Codes in use, of each codebook: e to the entropy of its running counts."""
        found = []
        for book in codebooks(*quantizers(self.mimi)):
            share = book.cluster_usage / book.cluster_usage.sum()
            found.append(float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum())))
        return found


@torch.no_grad()
def balance(mimi: MimiModel) -> None:
    """Start values that keep the signal's size through the layers.

    The library starts from the weights of a trained codec; with torch's default values every layer
    makes the sound a third as loud, and the first thousand steps go into finding it.
    """
    for module in mimi.modules():
        if isinstance(module, StreamingConv1d):
            conv = module.conv.conv
            # ELU keeps 0.645 of a normal variable's power.
            _draw(conv, conv.weight[0].numel())
        elif isinstance(module, StreamingConvTranspose1d):
            conv = module.convtr.convtr
            # Kernels are two strides long: two input frames meet in every output sample.
            _draw(conv, 2 * conv.weight.shape[0] // conv.groups)
    for part in quantizers(mimi):
        for proj in (part.input_proj, part.output_proj):
            nn.init.orthogonal_(cast(nn.Conv1d, proj).weight[:, :, 0])
    for module in mimi.modules():
        if isinstance(module, SEANetResnetBlock):
            _scale(module.block[-1], 0.5)  # each block adds to what it was given
    _scale(cast(SEANetEncoder, mimi.encoder).model[0], 10.0)  # speech has an RMS of 0.1
    _scale(cast(SEANetDecoder, mimi.decoder).model[-1], 0.05)


def _draw(conv: nn.Conv1d | nn.ConvTranspose1d, fan_in: int) -> None:
    conv.weight.normal_(0.0, (1.5 / fan_in) ** 0.5)
    if conv.bias is not None:
        conv.bias.zero_()


def _scale(module: nn.Module, factor: float) -> None:
    cast(StreamingConv1d, module).conv.conv.weight.mul_(factor)
