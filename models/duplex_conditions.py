"""Voices and emotions of a Moshi: names (or mixtures of names) to the vector added to its input.

A model knows them when its config has LUT conditioners "voice" and "emotion" fused by sum. Knows
nothing of slots or calls; which names exist is the model's own business.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from moshi.conditioners.base import ConditionAttributes, ConditionTensors
from moshi.models.lm import LMModel


class UnknownCondition(ValueError):
    """The model was not trained with this voice or emotion."""


@dataclass(frozen=True)
class Choice:
    """A voice (names with weights that add up to 1; empty for none) and an emotion."""

    voice: tuple[tuple[str, float], ...] = ()
    emotion: str | None = None

    @staticmethod
    def of(voice: str | Mapping[str, float] | None, emotion: str | None) -> "Choice":
        """Raises UnknownCondition for a mixture that is empty or has a weight not above 0."""
        if voice is None:
            return Choice((), emotion)
        weights = {voice: 1.0} if isinstance(voice, str) else dict(voice)
        total = sum(weights.values())
        if not weights or not all(0 < w < float("inf") for w in weights.values()):
            raise UnknownCondition("the weights of a mixed voice must be positive numbers")
        return Choice(tuple((name, w / total) for name, w in sorted(weights.items())), emotion)


class Conditions:
    """The condition vectors of one language model; every asked-for one is kept."""

    def __init__(self, lm: LMModel) -> None:
        self._lm = lm
        self._provider = lm.condition_provider
        self._names = list(self._provider.conditioners) if self._provider is not None else []
        self._kept: dict[tuple[str | None, str | None], torch.Tensor] = {}

    def initial(self, slots: int) -> ConditionTensors | None:
        """What `LMGen` wants at its start: one neutral row a slot; None without conditioners."""
        if self._provider is None or self._lm.fuser is None:
            return None
        neutral = ConditionAttributes(text=dict.fromkeys(self._names))
        with torch.no_grad():
            return self._provider.prepare_and_provide([neutral] * slots)

    def embed(self, choice: Choice) -> torch.Tensor | None:
        """The vector `[1, 1, dim]` of a choice; None for a model without conditioners.

        Raises:
            UnknownCondition: a voice or emotion the model does not have.
        """
        for kind, given in (("voice", choice.voice), ("emotion", choice.emotion)):
            if given and kind not in self._names:
                raise UnknownCondition(f"this model has one {kind} only: leave the {kind} out")
        if not self._names:
            return None
        parts = choice.voice or ((None, 1.0),)
        # Conditions are fused by addition, so mixing whole vectors mixes the voices alone.
        mixed = sum(weight * self._vector(voice, choice.emotion) for voice, weight in parts)
        assert isinstance(mixed, torch.Tensor)
        return mixed

    def _vector(self, voice: str | None, emotion: str | None) -> torch.Tensor:
        if (voice, emotion) not in self._kept:
            assert self._provider is not None
            assert self._lm.fuser is not None
            asked = {"voice": voice, "emotion": emotion}
            attributes = ConditionAttributes(text={name: asked.get(name) for name in self._names})
            try:
                with torch.no_grad():
                    tensors = self._provider.prepare_and_provide([attributes])
            except ValueError as e:
                raise UnknownCondition(f"unknown voice or emotion: {e}") from e
            fused = self._lm.fuser.get_sum(tensors)
            assert fused is not None
            self._kept[voice, emotion] = fused.detach().to(self._lm.dtype)
        return self._kept[voice, emotion]
