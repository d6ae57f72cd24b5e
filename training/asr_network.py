"""The recogniser as it is trained: a small Whisper, with a CTC head on its encoder.

The CTC head makes the encoder learn where each piece of text is heard within minutes, long before
attention alone would (Watanabe et al. 2017, hybrid CTC/attention); it is dropped at export. Windows
have any length up to Whisper's 30 s. Knows nothing of data or optimisation.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import WhisperConfig, WhisperForConditionalGeneration

from models.mel import BANDS
from training.asr_align import astray, letter_moments

IGNORE = -100


@dataclass(frozen=True)
class Size:
    """The shape of a Whisper."""

    width: int = 256
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 2


def whisper_config(size: Size, vocabulary: int, end: int, start: int) -> WhisperConfig:
    """A config with the official windows (1,500 encoder and 448 decoder positions)."""
    return WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=BANDS,
        d_model=size.width,
        encoder_layers=size.encoder_layers,
        encoder_attention_heads=size.heads,
        encoder_ffn_dim=4 * size.width,
        decoder_layers=size.decoder_layers,
        decoder_attention_heads=size.heads,
        decoder_ffn_dim=4 * size.width,
        max_source_positions=1500,
        max_target_positions=448,
        dropout=0.0,
        init_std=0.04,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


@dataclass(frozen=True)
class Batch:
    """B utterances of similar length."""

    mel: Tensor  # [B, bands, T], T even
    frames: Tensor  # of audio and not padding, int64 [B]
    tokens: Tensor  # decoder inputs, int64 [B, U]
    targets: Tensor  # what follows each, int64 [B, U]; IGNORE where nothing is asked
    letters: Tensor  # the text in single characters, int64 [B, L], 0 after its end
    letter_counts: Tensor  # int64 [B]
    spans: Tensor  # letters [from, to) of the piece each position writes, int64 [B, U, 2]

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


@dataclass(frozen=True)
class Losses:
    """Means of a batch; `total` has the gradient."""

    total: Tensor
    attention: Tensor  # nats a token
    ctc: Tensor  # nats a letter
    astray: Tensor  # nats, attention away from what is heard; 0 where it was not asked for


class HybridWhisper(nn.Module):
    """Whisper, and a CTC head over `letters` single characters (0 is the blank)."""

    def __init__(self, config: WhisperConfig, letters: int, *, ctc_weight: float = 0.5) -> None:
        super().__init__()
        self.whisper = WhisperForConditionalGeneration(config)
        self.ctc_head = nn.Linear(config.d_model, letters)
        self.ctc_weight = ctc_weight
        self.end = int(config.eos_token_id)  # pyright: ignore[reportArgumentType]
        self._balance()

    @torch.no_grad()
    def _balance(self) -> None:
        """Lets the sound be heard beside the positions from the first step on.

        With the library's initial values the convolutions' output is a twentieth of the sinusoids
        added to it, and the network spends its first thousand steps finding it.
        """
        encoder = self.whisper.model.encoder
        for convolution in (encoder.conv1, encoder.conv2):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        encoder.embed_positions.weight.mul_(0.3)

    def encode(self, mel: Tensor) -> Tensor:
        """[B, bands, T] -> [B, T // 2, width]; T even. As WhisperEncoder, for any length."""
        encoder = self.whisper.model.encoder
        x = F.gelu(encoder.conv1(mel))
        x = F.gelu(encoder.conv2(x)).transpose(1, 2)
        x = x + encoder.embed_positions.weight[: x.shape[1]]
        for layer in encoder.layers:
            x = layer(x, None)
        return encoder.layer_norm(x)

    def decode(self, tokens: Tensor, encoded: Tensor) -> Tensor:
        """[B, U], [B, S, width] -> logits [B, U, vocabulary]."""
        decoder = self.whisper.model.decoder
        hidden = decoder(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False)
        return self.whisper.proj_out(hidden.last_hidden_state)

    def _decode_watched(self, tokens: Tensor, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Logits as `decode`, and the attention of half the heads [layers, B, heads, U, S]."""
        seen = self.whisper.model.decoder(
            input_ids=tokens, encoder_hidden_states=encoded, use_cache=False, output_attentions=True
        )
        looks = torch.stack([w[:, : w.shape[1] // 2] for w in seen.cross_attentions])
        return self.whisper.proj_out(seen.last_hidden_state), looks.float()

    def losses(self, batch: Batch, smoothing: float = 0.0, guide: float = 0.0) -> Losses:
        """Hybrid loss of a batch.

        `smoothing` is the label smoothing of the attention branch, `guide` the weight of looking
        where CTC hears the text (needs eager attention in the decoder).
        """
        encoded = self.encode(batch.mel)
        log_probs = self.ctc_head(encoded).float().log_softmax(-1).transpose(0, 1)  # [S, B, V]
        heard = (batch.frames + 1) // 2
        ctc = F.ctc_loss(
            log_probs,
            batch.letters,
            heard,
            batch.letter_counts,
            reduction="sum",
            zero_infinity=True,
        ) / batch.letter_counts.sum().clamp(min=1)
        if guide > 0:
            logits, looks = self._decode_watched(batch.tokens, encoded)
            moments = letter_moments(log_probs, batch.letters, batch.letter_counts, heard)
            away = astray(looks, moments, batch.spans)
        else:
            logits, away = self.decode(batch.tokens, encoded), encoded.new_zeros(())
        attention = F.cross_entropy(
            logits.float().flatten(0, 1),
            batch.targets.flatten(),
            ignore_index=IGNORE,
            label_smoothing=smoothing,
        )
        total = (1.0 - self.ctc_weight) * attention + self.ctc_weight * ctc
        return Losses(total + guide * away, attention, ctc, away)

    @torch.no_grad()
    def transcribe(self, mel: Tensor, prompt: list[int], limit: int) -> list[list[int]]:
        """Greedy token ids of every row of [B, bands, T], without prompt and end."""
        encoded = self.encode(mel)
        tokens = torch.tensor(prompt, device=mel.device).repeat(len(mel), 1)  # [B, U]
        ended = torch.zeros(len(mel), dtype=torch.bool, device=mel.device)
        for _ in range(limit):
            # Text or the end: what follows the end in the vocabulary is never written.
            following = self.decode(tokens, encoded)[:, -1, : self.end + 1].argmax(-1)
            following = torch.where(ended, self.end, following)
            tokens = torch.cat([tokens, following[:, None]], 1)
            ended |= following == self.end
            if bool(ended.all()):
                break
        rows = tokens[:, len(prompt) :].tolist()
        return [row[: row.index(self.end)] if self.end in row else row for row in rows]
