"""Trains the speech-to-speech model: a Moshi that hears Telugu and answers in Telugu.

    maata train moshi --preset starter|starter-more|starter-gpu|gpu|tiny|hub --codec DIR --data DIR
        [--out runs/moshi] [--dialogues MANIFEST] [--minutes N] [--resume]

Trains the text tokenizer, holds it against the text budget, encodes what is heard with the codec
and trains: first on single questions whose answers are only written, then on full-duplex dialogues.
Presets: `starter` (two CPU cores), `starter-more` (from the shipped weights on, as long as one
likes), `starter-gpu` (the same model in minutes on a GPU), `gpu`
(larger, from scratch), `hub` (LoRA on Kyutai's 7B with a Telugu vocabulary), `tiny` (tests). Both
are spoken by espeak-ng unless a stereo dataset in moshi-finetune's format is given, which is heard
from the first step on. Writes checkpoints, `run.json`, `metrics.jsonl`, `learning_curve.svg` and
`export/`. Interrupt it whenever you like: `--resume` goes on with the very next batch.
"""

from pathlib import Path

from models.weights import resolve
from training import corpus
from training.device import choose_device
from training.interruptible import require_place
from training.moshi_preset import PRESETS
from training.moshi_run import MoshiRecipe
from training.run import carry_out
from training.schedule import choose


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
    minutes: float | None = None,
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
        minutes: of training at most, the rate falling to zero at their end.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, or a finished run without `resume`.
        TextBudgetExceeded: the text does not fit into 12.5 tokens a second.
        WeightsMissing, CodecError, CheckpointInvalid: codec or base cannot be used.
        corpus.DataMissing: no text where `data` says.
    """
    chosen = choose(PRESETS, preset, steps=steps, base=base)
    root, folder, device = corpus.data_root(data), Path(out), choose_device(device)
    require_place(folder, resume=resume)
    recipe = MoshiRecipe(chosen, root, resolve(codec), folder, manifest=dialogues, device=device)
    carry_out(recipe, chosen, folder, resume=resume, stop_after=stop_after, minutes=minutes)
    return recipe.export()
