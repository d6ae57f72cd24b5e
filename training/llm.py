"""Trains the starter language model: a small Llama on the authored Telugu dialogues.

    maata train llm --preset starter [--out runs/llm] [--resume]

Conversations are composed while training, never twice the same; the loss counts the assistant's
tokens only. Presets: `starter` (one CPU core, an hour and a half), `gpu`, `tiny` (tests). Writes
checkpoints every few minutes, `run.json`, `metrics.jsonl`, `learning_curve.svg`, `quality.json` and
`export/`, a directory that transformers, vLLM and CTranslate2 load. Interrupt it whenever you like:
`--resume` goes on with the very next batch. Knows nothing about serving.
"""

from pathlib import Path

from training.device import choose_device
from training.interruptible import require_place
from training.llm_preset import PRESETS
from training.llm_run import LlmRecipe
from training.llm_score import report
from training.record import write_settings
from training.run import carry_out
from training.schedule import choose


def main(
    preset: str = "starter",
    out: Path | str = "runs/llm",
    *,
    resume: bool = False,
    steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> Path:
    """Trains, exports and, when it is finished, evaluates; returns the exported directory.

    Args:
        preset: a name of PRESETS.
        out: the run's directory.
        resume: go on with the checkpoint in `out`.
        steps: another number of steps than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, a finished run without `resume`, or the
            checkpoint of another preset.
    """
    chosen = choose(PRESETS, preset, steps=steps)
    folder, device = Path(out), choose_device(device)
    require_place(folder, resume=resume)
    write_settings(folder, chosen, device)
    recipe = LlmRecipe(chosen, folder, device=device)
    run = carry_out(recipe, chosen, folder, resume=resume, stop_after=stop_after)
    exported = recipe.export()
    if run.step == chosen.steps:
        report(exported, folder / "quality.json")
    return exported
