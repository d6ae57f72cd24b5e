"""What a run notes beside its weights: `run.json`, `metrics.jsonl`, `learning_curve.svg`.

Knows nothing of what the figures mean.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from models.weights import ROOT
from training.curve import draw_curve
from training.schedule import Schedule


class Record:
    """Of one run in a directory."""

    def __init__(self, out: Path) -> None:
        self._rows, self._curve = out / "metrics.jsonl", out / "learning_curve.svg"

    def figures(self, step: int, seconds: float, values: Mapping[str, Any]) -> None:
        """A line of figures after `step` steps."""
        row = {"step": step, "seconds": round(seconds), **values}
        with self._rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def draw(self, curves: tuple[str, ...]) -> None:
        """The columns that begin like that, from all lines there are."""
        draw_curve(self._rows, self._curve, curves)


def write_settings(out: Path, preset: Schedule, device: str, **more: Any) -> None:
    """What decides a run, in `run.json`."""
    settings = {
        "preset": asdict(preset),
        **more,
        "git": git_sha(),
        "torch": torch.__version__,
        "device": device,
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    (out / "run.json").write_text(text + "\n", encoding="utf-8")


def git_sha() -> str:
    """The commit of this code, "unknown" outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
