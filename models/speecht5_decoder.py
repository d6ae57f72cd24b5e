"""SpeechT5's decoder, one step at a time, for every clause that is being spoken at once.

Rows join and leave between steps: a row costs little beside the weights, which are read once a step
for all. The caches are allocated once. Knows nothing of what a step computes (`speecht5_step`), nor
of text, vocoders or time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import SpeechT5ForTextToSpeech

from models.speecht5_graphs import Graphs, graphs
from models.speecht5_step import Step
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
    generator: torch.Generator
    steps: int = 0
    masks: Tensor | None = None  # float32 [_DRAWN, prenet layers, units]


@dataclass(frozen=True)
class Made:
    """What one step made of one row."""

    frames: Tensor  # float32 [R, BANDS], before the postnet
    stop: float  # sum of the probabilities that a frame is the last, 0..R
    at: float  # character the attention was at
    attention: Tensor  # float32, S characters and maybe zeros behind them


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
        fixed: bool | None = None,
    ) -> None:
        """`fixed`: compute in few shapes only; default where a GPU has recorded them."""
        config = model.config
        self._model = model
        self.reduction: int = config.reduction_factor
        self.steps = min(steps, config.max_speech_positions)
        self.characters = min(characters, config.max_text_positions)
        self._step = Step(model, decoding, rows=rows, steps=self.steps, characters=self.characters)
        self._fixed = graphs(self._step) if fixed is None else None
        if fixed:
            self._fixed = Graphs(self._step)
        self._rows: list[Row] = []
        self._capacity = rows

    @property
    def recorded(self) -> bool:
        """Whether a GPU plays its steps back instead of being told each of them."""
        return self._fixed is not None and self._fixed.recorded

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
        generator = torch.Generator().manual_seed(seed)
        row = Row(len(self._rows), len(ids), min(limit, self.steps), generator)
        device = self._step.device
        encoder = self._model.speecht5.encoder
        states = encoder(input_values=torch.tensor([ids], device=device))[0]  # [1, S, C]
        self._step.read(row.index, states[0])
        self._step.state.speakers[row.index] = F.normalize(speaker.to(device), dim=0)
        self._rows.append(row)
        return row

    @torch.inference_mode()
    def leave(self, row: Row) -> None:
        """Gives a row back; the last one moves into its place."""
        last = self._rows.pop()
        if last is not row:
            self._step.state.move(last.index, row.index)
            self._rows[row.index] = last
            last.index = row.index

    @torch.inference_mode()
    def step(self) -> list[tuple[Row, Made]]:
        """Moves every row on by one step, `reduction` frames. No row may be at its limit."""
        rows, state = self._rows, self._step.state
        if not rows:
            return []
        count = len(rows)
        state.places[:count] = torch.tensor([row.steps for row in rows])
        state.kept[:count] = torch.stack([self._kept(row) for row in rows])
        keys = max(row.steps for row in rows) + 1
        if self._fixed:
            stepped = self._fixed(count, keys)
        else:
            stepped = self._step(count, keys, max(row.characters for row in rows))
        made = []
        for row, frames, (stop, at), attention in zip(
            rows, stepped.frames, stepped.told.tolist(), stepped.attention, strict=True
        ):
            row.steps += 1
            made.append((row, Made(frames, stop, at, attention)))
        return made

    def postnet(self, frames: Tensor) -> Tensor:
        """[F, BANDS] before the postnet -> [F, BANDS] after it."""
        with torch.inference_mode():
            return self._model.speech_decoder_postnet.postnet(frames[None])[0]

    @property
    def postnet_reach(self) -> int:
        """Frames to either side that a frame of `postnet` depends on."""
        config = self._model.config
        return config.speech_decoder_postnet_layers * (config.speech_decoder_postnet_kernel // 2)

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
