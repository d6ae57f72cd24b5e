"""What tests ask of a run: the losses it noted, and to be killed in a given step."""

import json
from pathlib import Path
from typing import Any

import pytest


def rows(out: Path) -> list[dict[str, Any]]:
    """What the run in `out` noted."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> dict[int, float]:
    """By step; of a step done twice, the second."""
    return {row["step"]: row["loss"] for row in rows(out) if "loss" in row}


def kill_in(patch: pytest.MonkeyPatch, recipe: type, number: int) -> None:
    """Step `number` moves the weights and ends as abruptly as by a signal nobody handles."""
    honest = recipe.step

    def step(self: Any, batch: Any, at: int, rate: float) -> Any:
        figures = honest(self, batch, at, rate)
        if at == number:
            raise KeyboardInterrupt
        return figures

    patch.setattr(recipe, "step", step)
