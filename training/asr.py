"""Trains the starter recogniser: a small Whisper on synthetic Telugu speech.

    maata train asr --preset starter --data DIR [--out runs/asr] [--resume]

Speaks the sentences of `corpus.py` with espeak-ng in many voices, damages the audio as rooms and
telephones do, and trains encoder, decoder and a CTC head together. Presets: `starter` (two CPU
cores, two hours), `gpu` (larger, minutes on one GPU), `tiny` (tests). Writes checkpoints every few
minutes, `metrics.jsonl`, `learning_curve.svg` and `export/`, the weights in transformers' layout.
Interrupt it whenever you like: `--resume` goes on with the very next batch.
"""

import dataclasses
from pathlib import Path

import torch

from training import corpus
from training.asr_export import export
from training.asr_preset import PRESETS
from training.asr_run import Run
from training.interruptible import ended_by_signals, require_place


def main(
    preset: str = "starter",
    data: Path | str | None = None,
    out: Path | str = "runs/asr",
    *,
    resume: bool = False,
    steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> Path:
    """Trains and exports; returns the directory of the exported weights.

    Args:
        preset: a name of PRESETS.
        data: directory with `text/`; default `MAATA_DATA`, then `data/`.
        out: the run's directory.
        resume: go on with the checkpoint in `out`.
        steps: another number of steps than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, or a finished run without `resume`.
        corpus.DataMissing: no text where `data` says.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    if steps:
        chosen = dataclasses.replace(chosen, steps=steps)
    root, folder = corpus.data_root(data), Path(out)
    require_place(folder, resume=resume)
    run = Run(chosen, root, folder, device=device or _device())
    if resume:
        run.load()

    with ended_by_signals(run):
        run.train(stop_after)
    return export(run.average, run.tokenizer, run.speech.letter_lm, folder / "export")


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
