"""One step of SpeechT5's decoder for all rows at once: tensors in, tensors out.

Computes what `SpeechT5ForTextToSpeech.generate_speech` does, but keeps keys and values between
steps and runs the prenet on the newest frame alone. Everything it reads and writes lies in tensors
that never move, and no number in them is looked at on the way, so that a GPU can record a step and
play it back (`speecht5_graphs`). Knows nothing of who the rows belong to.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SpeechT5ForTextToSpeech
from transformers.models.speecht5.modeling_speecht5 import (
    SpeechT5Decoder,
    SpeechT5DecoderLayer,
    SpeechT5SpeechDecoderPrenet,
)

from models.speecht5_voices import Decoding


@dataclass(frozen=True)
class State:
    """What lies between two steps, for R rows of at most T steps and S characters."""

    frames: Tensor  # float32 [R, BANDS], the last that each row made
    places: Tensor  # int64 [R], steps made, 0..T - 1
    letters: Tensor  # int64 [R], characters, at least 1
    at: Tensor  # float32 [R], the character its attention was at
    kept: Tensor  # float32 [R, layers, units], the units of the prenet that this step keeps
    speakers: Tensor  # float32 [R, D], of unit length
    past: Tensor  # float32 [L, 2, R, H, T, C / H], keys and values of the steps
    text: Tensor  # float32 [L, 2, R, H, S, C / H], of the characters

    def move(self, source: int, target: int) -> None:
        """A row's place changes."""
        for tensor in (self.frames, self.places, self.letters, self.at, self.speakers):
            tensor[target] = tensor[source]
        for cache in (self.past, self.text):
            cache[:, :, target] = cache[:, :, source]


@dataclass(frozen=True)
class Stepped:
    """What a step made of n rows."""

    frames: Tensor  # float32 [n, R, BANDS], before the postnet
    told: Tensor  # float32 [n, 2]: sum of the stop probabilities, character looked at
    attention: Tensor  # float32 [n, S]


class Step:
    """The decoder's weights and its state."""

    def __init__(
        self,
        model: SpeechT5ForTextToSpeech,
        decoding: Decoding,
        *,
        rows: int,
        steps: int,
        characters: int,
    ) -> None:
        config = model.config
        self._config, self._decoding = config, decoding
        decoder = model.speecht5.decoder
        self._prenet = cast(SpeechT5SpeechDecoderPrenet, decoder.prenet)
        layers = cast(SpeechT5Decoder, decoder.wrapped_decoder).layers
        self._layers = [cast(SpeechT5DecoderLayer, layer) for layer in layers]
        self._postnet = model.speech_decoder_postnet
        self._heads = config.decoder_attention_heads
        self._width = config.hidden_size // self._heads
        # Upstream leads two heads of each layer along the text; ours leads all of them.
        self._led = self._heads if decoding.ahead else config.guided_attention_loss_num_heads
        self._joined = [_joined(layer) for layer in self._layers]
        device = next(model.parameters()).device
        shape = (len(self._layers), 2, rows, self._heads)
        units = (config.speech_decoder_prenet_layers, config.speech_decoder_prenet_units)
        self.state = State(
            frames=torch.zeros(rows, config.num_mel_bins, device=device),
            places=torch.zeros(rows, dtype=torch.long, device=device),
            letters=torch.ones(rows, dtype=torch.long, device=device),
            at=torch.zeros(rows, device=device),
            kept=torch.zeros(rows, *units, device=device),
            speakers=torch.zeros(rows, config.speaker_embedding_dim, device=device),
            past=torch.zeros(*shape, steps, self._width, device=device),
            text=torch.zeros(*shape, characters, self._width, device=device),
        )
        self._numbers = torch.arange(max(rows, steps, characters), device=device)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.state.past.device

    def read(self, row: int, states: Tensor) -> None:
        """Takes the encoder's states [S, C] of a row's text; the row begins."""
        state, count = self.state, len(states)
        for layer, cache in zip(self._layers, state.text, strict=True):
            for kind, project in enumerate((layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)):
                split = project(states).view(count, self._heads, self._width)
                cache[kind, row, :, :count] = split.transpose(0, 1)
        state.frames[row], state.at[row], state.places[row] = 0.0, 0.0, 0
        state.letters[row] = count

    def __call__(self, count: int, keys: int, letters: int) -> Stepped:
        """Moves the first `count` rows on, which look at `keys` steps and `letters` characters.

        Both may be more than any row has: what lies behind is shut. Places are counted by whoever
        calls; frames and attention go on by themselves.
        """
        state, config = self.state, self._config
        places, numbers = state.places[:count], self._numbers[:count]
        late = self._numbers[None, :keys] > places[:, None]  # [n, keys]
        apart = self._shut(count, letters)
        hidden = self._enter(count)  # [n, C]
        looks: list[Tensor] = []
        for layer, (weight, bias), past, text in zip(
            self._layers, self._joined, state.past, state.text, strict=True
        ):
            query, key, value = (
                F.linear(hidden, weight, bias).view(count, 3, self._heads, self._width).unbind(1)
            )
            past[0, numbers, :, places], past[1, numbers, :, places] = key, value
            seen, _ = _attend(query, past[0, :count, :, :keys], past[1, :count, :, :keys], late)
            hidden = layer.self_attn_layer_norm(hidden + layer.self_attn.out_proj(seen))
            query = layer.encoder_attn.q_proj(hidden) * layer.encoder_attn.scaling
            query = query.view(count, self._heads, self._width)
            heard, look = _attend(
                query, text[0, :count, :, :letters], text[1, :count, :, :letters], apart
            )
            looks.append(look[:, : self._led])
            hidden = layer.encoder_attn_layer_norm(hidden + layer.encoder_attn.out_proj(heard))
            hidden = layer.final_layer_norm(hidden + layer.feed_forward(hidden))
        frames = self._postnet.feat_out(hidden).view(count, config.reduction_factor, -1)
        stops = self._postnet.prob_out(hidden).sigmoid().sum(1)
        attention = torch.stack(looks).mean((0, 2))  # [n, S]
        at = self._looked(attention)
        state.frames[:count] = frames[:, -1]
        state.at[:count] = at
        return Stepped(frames, torch.stack([stops, at], 1), attention)

    def _enter(self, count: int) -> Tensor:
        """The prenet on each row's newest frame, [n, C].

        Its dropout is on when speaking, too: without it the decoder hears itself too well and
        stops listening to the text (Tacotron 2, arXiv 1712.05884, section 2.2).
        """
        prenet, state = self._prenet, self.state
        hidden = state.frames[:count]
        scale = 1.0 / (1.0 - self._config.speech_decoder_prenet_dropout)
        for number, layer in enumerate(prenet.layers):
            hidden = F.relu(layer(hidden)) * (state.kept[:count, number] * scale)
        hidden = prenet.final_layer(hidden)
        encoding = prenet.encode_positions
        hidden = hidden + encoding.alpha * encoding.pe[0, state.places[:count]]
        joined = torch.cat([hidden, state.speakers[:count]], 1)
        return F.relu(prenet.speaker_embeds_layer(joined))

    def _shut(self, count: int, letters: int) -> Tensor:
        """Which characters a row may not look at, bool [n, S]."""
        place = self._numbers[None, :letters]
        shut = place >= self.state.letters[:count, None]
        if self._decoding.ahead:
            at = self.state.at[:count, None].round()
            shut = shut | (place < at - self._decoding.behind)
            shut = shut | (place > at + self._decoding.ahead)
        return shut

    def _looked(self, attention: Tensor) -> Tensor:
        """The character each row of [n, S] looked at: its centre where it is held together."""
        if not self._decoding.ahead:
            return attention.argmax(1).float()
        return attention @ self._numbers[: attention.shape[1]].to(attention.dtype)


def _joined(layer: SpeechT5DecoderLayer) -> tuple[Tensor, Tensor]:
    """Query, key and value of the self-attention as one matrix, the query scaled already."""
    attention = layer.self_attn
    parts: list[nn.Linear] = [attention.q_proj, attention.k_proj, attention.v_proj]
    scales = (attention.scaling, 1.0, 1.0)
    weights = [part.weight.detach() * scale for part, scale in zip(parts, scales, strict=True)]
    biases = [part.bias.detach() * scale for part, scale in zip(parts, scales, strict=True)]
    return torch.cat(weights), torch.cat(biases)


def _attend(query: Tensor, keys: Tensor, values: Tensor, shut: Tensor) -> tuple[Tensor, Tensor]:
    """One query a row: [n, H, D], [n, H, K, D] twice, bool [n, K] -> [n, H * D] and [n, H, K]."""
    scores = (keys @ query[..., None])[..., 0].masked_fill(shut[:, None], float("-inf"))
    shares = scores.softmax(-1)
    return (shares[:, :, None] @ values)[:, :, 0].flatten(1), shares
