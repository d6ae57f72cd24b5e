"""Trains the speech-to-speech model: a Moshi that hears Telugu and answers in Telugu.

    maata train moshi --preset starter|gpu|tiny|hub --codec DIR --data DIR [--out runs/moshi]
        [--dialogues MANIFEST] [--resume]

Trains the text tokenizer, holds it against the text budget, encodes full-duplex dialogues with the
codec and trains on them. Presets: `starter` (two CPU cores), `gpu` (larger, from scratch), `hub`
(LoRA on Kyutai's 7B with a Telugu vocabulary), `tiny` (tests). Dialogues are spoken by espeak-ng
unless a stereo dataset in moshi-finetune's format is given. Writes checkpoints, `run.json`,
`metrics.jsonl`, `learning_curve.svg` and `export/`. Interrupt it whenever you like: `--resume` goes
on with the very next batch.
"""

import dataclasses
from pathlib import Path

import torch

from models.weights import resolve
from training import corpus
from training.interruptible import ended_by_signals, require_place
from training.moshi_preset import PRESETS
from training.moshi_run import Run


def main(
    preset: str = "starter",
    data: Path | str | None = None,
    codec: str = "starter/codec",
    out: Path | str = "runs/moshi",
    *,
    dialogues: Path | None = None,
    resume: bool = False,
    steps: int | None = None,
    base: str | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> Path:
    """Trains and exports; returns the directory of the exported weights.

    Args:
        preset: a name of PRESETS.
        data: directory with `text/`; default `MAATA_DATA`, then `data/`.
        codec: weights address of the codec.
        out: the run's directory.
        dialogues: manifest of a stereo dataset, instead of dialogues made here.
        resume: go on with the checkpoint in `out`.
        steps: another number of steps than the preset's.
        base: weights address of another model to start from than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, or a finished run without `resume`.
        TextBudgetExceeded: the text does not fit into 12.5 tokens a second.
        WeightsMissing, CodecError, CheckpointInvalid: codec or base cannot be used.
        corpus.DataMissing: no text where `data` says.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose {', '.join(PRESETS)}")
    changes = {"steps": steps, "base": base}
    chosen = dataclasses.replace(PRESETS[preset], **{k: v for k, v in changes.items() if v})
    root, folder = corpus.data_root(data), Path(out)
    require_place(folder, resume=resume)
    run = Run(
        chosen,
        root,
        resolve(codec),
        folder,
        manifest=dialogues,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
    )
    if resume:
        run.load()

    with ended_by_signals(run):
        run.train(stop_after)
    return run.export()
