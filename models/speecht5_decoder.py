"""SpeechT5's decoder, one step at a time, for every clause that is being spoken at once.

Computes what `SpeechT5ForTextToSpeech.generate_speech` does, but keeps keys and values between
steps, runs the prenet on the newest frame alone, and lets rows join and leave between steps: a row
costs little beside the weights, which are read once a step for all. The caches are allocated once.
Knows nothing of text, vocoders or time.
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

_DRAWN = 32  # steps of prenet dropout drawn at once


class DecoderFull(RuntimeError):
    """Every row is taken; try again when a clause has been spoken."""


@dataclass(eq=False)
class Row:
    """One clause on its way. `index` is its place in the caches and changes as others leave."""

    index: int
    characters: int  # S, the end included
    limit: int  # steps it may take
    speaker: Tensor  # float32 [D], of unit length
    generator: torch.Generator
    steps: int = 0
    heads_at: float = 0.0  # character the attention was at, mean over the heads that count
    frame: Tensor | None = None  # float32 [BANDS], the last one made
    masks: Tensor | None = None  # bool [_DRAWN, prenet layers, units]


@dataclass(frozen=True)
class Made:
    """What one step made of one row."""

    frames: Tensor  # float32 [R, BANDS], before the postnet
    stop: float  # sum of the probabilities that a frame is the last, 0..R
    at: float  # character the attention was at
    attention: Tensor  # float32 [S]


class Decoder:
    """Caches for `rows` clauses of at most `steps` steps and `characters` characters."""

    def __init__(
        self,
        model: SpeechT5ForTextToSpeech,
        decoding: Decoding,
        *,
        rows: int = 8,
        steps: int = 512,
        characters: int = 256,
    ) -> None:
        config = model.config
        self._model, self._decoding = model, decoding
        decoder = model.speecht5.decoder
        self._prenet = cast(SpeechT5SpeechDecoderPrenet, decoder.prenet)
        layers = cast(SpeechT5Decoder, decoder.wrapped_decoder).layers
        self._layers = [cast(SpeechT5DecoderLayer, layer) for layer in layers]
        self._postnet = model.speech_decoder_postnet
        self._heads = config.decoder_attention_heads
        self._width = config.hidden_size // self._heads
        # Upstream leads two heads of each layer along the text; ours leads all of them.
        self._led = self._heads if decoding.ahead else config.guided_attention_loss_num_heads
        self.reduction: int = config.reduction_factor
        self.steps = min(steps, config.max_speech_positions)
        self.characters = min(characters, config.max_text_positions)
        self._device = next(model.parameters()).device
        shape = (len(self._layers), 2, rows, self._heads)
        self._past = torch.zeros(*shape, self.steps, self._width, device=self._device)
        self._text = torch.zeros(*shape, self.characters, self._width, device=self._device)
        self._rows: list[Row] = []
        self._capacity = rows
        self._joined = [_joined(layer) for layer in self._layers]

    @property
    def free(self) -> int:
        """Rows that nobody uses."""
        return self._capacity - len(self._rows)

    @torch.inference_mode()
    def join(self, ids: list[int], speaker: Tensor, *, seed: int, limit: int) -> Row:
        """Encodes a clause and takes a row for it.

        Args:
            ids: of `Characters.encode`, at most `characters`.
            speaker: embedding [D].
            seed: of the prenet's dropout; the same seed speaks the same, whoever else speaks.
            limit: steps it may take at most.

        Raises:
            DecoderFull: no row is free.
            ValueError: too many characters.
        """
        if not self.free:
            raise DecoderFull(f"all {self._capacity} rows are speaking")
        if len(ids) > self.characters:
            raise ValueError(f"{len(ids)} characters in a clause: {self.characters} are possible")
        row = Row(
            len(self._rows),
            len(ids),
            min(limit, self.steps),
            F.normalize(speaker.to(self._device), dim=0),
            torch.Generator().manual_seed(seed),
        )
        encoder = self._model.speecht5.encoder
        states = encoder(input_values=torch.tensor([ids], device=self._device))[0]  # [1, S, C]
        for layer, cache in zip(self._layers, self._text, strict=True):
            for kind, project in enumerate((layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)):
                cache[kind, row.index, :, : len(ids)] = self._split(project(states)[0])
        self._rows.append(row)
        return row

    def leave(self, row: Row) -> None:
        """Gives a row back; the last one moves into its place."""
        last = self._rows.pop()
        if last is not row:
            self._past[:, :, row.index] = self._past[:, :, last.index]
            self._text[:, :, row.index] = self._text[:, :, last.index]
            self._rows[row.index] = last
            last.index = row.index

    @torch.inference_mode()
    def step(self) -> list[tuple[Row, Made]]:
        """Moves every row on by one step, `reduction` frames. No row may be at its limit."""
        rows = self._rows
        if not rows:
            return []
        count, places = len(rows), torch.tensor([row.steps for row in rows], device=self._device)
        keys = int(max(row.steps for row in rows)) + 1
        letters = max(row.characters for row in rows)
        reach = torch.arange(keys, device=self._device)[None] > places[:, None]  # [n, keys]
        hidden = self._enter(rows, places)  # [n, C]
        apart = self._shut(rows, letters)
        numbers = torch.arange(count, device=self._device)
        looks: list[Tensor] = []
        for layer, (weight, bias), past, text in zip(
            self._layers, self._joined, self._past, self._text, strict=True
        ):
            query, key, value = (
                F.linear(hidden, weight, bias).view(count, 3, self._heads, self._width).unbind(1)
            )
            past[0, numbers, :, places], past[1, numbers, :, places] = key, value
            seen, _ = _attend(query, past[0, :count, :, :keys], past[1, :count, :, :keys], reach)
            hidden = layer.self_attn_layer_norm(hidden + layer.self_attn.out_proj(seen))
            query = layer.encoder_attn.q_proj(hidden) * layer.encoder_attn.scaling
            query = query.view(count, self._heads, self._width)
            heard, look = _attend(
                query, text[0, :count, :, :letters], text[1, :count, :, :letters], apart
            )
            looks.append(look[:, : self._led])
            hidden = layer.encoder_attn_layer_norm(hidden + layer.encoder_attn.out_proj(heard))
            hidden = layer.final_layer_norm(hidden + layer.feed_forward(hidden))
        frames = self._postnet.feat_out(hidden).view(count, self.reduction, -1)
        stops = self._postnet.prob_out(hidden).sigmoid().sum(1).tolist()
        attention = torch.stack(looks).mean((0, 2))  # [n, S]
        at = self._looked(attention)
        made = []
        for number, row in enumerate(rows):
            row.steps += 1
            row.frame, row.heads_at = frames[number, -1], at[number]
            made.append((row, Made(frames[number], stops[number], at[number], attention[number])))
        return made

    def postnet(self, frames: Tensor) -> Tensor:
        """[F, BANDS] before the postnet -> [F, BANDS] after it."""
        with torch.inference_mode():
            return self._postnet.postnet(frames[None])[0]

    @property
    def postnet_reach(self) -> int:
        """Frames to either side that a frame of `postnet` depends on."""
        config = self._model.config
        return config.speech_decoder_postnet_layers * (config.speech_decoder_postnet_kernel // 2)

    def _enter(self, rows: list[Row], places: Tensor) -> Tensor:
        """The prenet on each row's newest frame, [n, C].

        Its dropout is on when speaking, too: without it the decoder hears itself too well and
        stops listening to the text (Tacotron 2, arXiv 1712.05884, section 2.2).
        """
        prenet, config = self._prenet, self._model.config
        silent = torch.zeros(config.num_mel_bins, device=self._device)
        hidden = torch.stack([silent if row.frame is None else row.frame for row in rows])
        kept = torch.stack([self._kept(row) for row in rows]).to(self._device)  # [n, layers, units]
        scale = 1.0 / (1.0 - config.speech_decoder_prenet_dropout)
        for number, layer in enumerate(prenet.layers):
            hidden = F.relu(layer(hidden)) * (kept[:, number] * scale)
        hidden = prenet.final_layer(hidden)
        encoding = prenet.encode_positions
        hidden = hidden + encoding.alpha * encoding.pe[0, places]
        speakers = torch.stack([row.speaker for row in rows])
        return F.relu(prenet.speaker_embeds_layer(torch.cat([hidden, speakers], 1)))

    def _kept(self, row: Row) -> Tensor:
        """Which units of the prenet this step keeps, float32 [layers, units].

        Upstream keeps a unit with the probability that is named dropout; at the hub's 0.5 that is
        one and the same.
        """
        config = self._model.config
        place = row.steps % _DRAWN
        if place == 0:
            layers, units = config.speech_decoder_prenet_layers, config.speech_decoder_prenet_units
            drawn = torch.rand(_DRAWN, layers, units, generator=row.generator)
            row.masks = (drawn < config.speech_decoder_prenet_dropout).float()
        assert row.masks is not None
        return row.masks[place]

    def _shut(self, rows: list[Row], letters: int) -> Tensor:
        """Which characters a row may not look at, bool [n, S]."""
        place = torch.arange(letters, device=self._device)[None]
        shut = place >= torch.tensor([[row.characters] for row in rows], device=self._device)
        if self._decoding.ahead:
            at = torch.tensor([[round(row.heads_at)] for row in rows], device=self._device)
            shut |= place < at - self._decoding.behind
            shut |= place > at + self._decoding.ahead
        return shut

    def _looked(self, attention: Tensor) -> list[float]:
        """The character each row of [n, S] looked at: its centre where it is held together."""
        if not self._decoding.ahead:
            return attention.argmax(1).float().tolist()
        place = torch.arange(attention.shape[1], device=self._device, dtype=attention.dtype)
        return (attention @ place).tolist()

    def _split(self, states: Tensor) -> Tensor:
        """[S, C] -> [H, S, C / H]."""
        return states.view(len(states), self._heads, self._width).transpose(0, 1)


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
