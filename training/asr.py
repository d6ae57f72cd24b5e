"""Trains the starter recogniser: a small Whisper on synthetic Telugu speech.

    maata train asr --preset starter --data DIR [--out runs/asr] [--resume]

Speaks the sentences of `corpus.py` with espeak-ng in many voices, damages the audio as rooms and
telephones do, and trains encoder, decoder and a CTC head together. Presets: `starter` (two CPU
cores, two hours), `gpu` (larger, minutes on one GPU), `tiny` (tests). Writes checkpoints every few
minutes, `run.json`, `metrics.jsonl`, `learning_curve.svg` and `export/`, the weights in
transformers' layout.
Interrupt it whenever you like: `--resume` goes on with the very next batch.
"""

from pathlib import Path

from training import corpus
from training.asr_preset import PRESETS
from training.asr_run import AsrRecipe
from training.device import choose_device
from training.interruptible import require_place
from training.record import write_settings
from training.run import carry_out
from training.schedule import choose


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
    chosen = choose(PRESETS, preset, steps=steps)
    root, folder, device = corpus.data_root(data), Path(out), choose_device(device)
    require_place(folder, resume=resume)
    write_settings(folder, chosen, device)
    recipe = AsrRecipe(chosen, root, folder, device=device)
    carry_out(recipe, chosen, folder, resume=resume, stop_after=stop_after)
    return recipe.export()
