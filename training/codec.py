"""Trains the starter codec: a small Mimi on synthetic Telugu speech.

    maata train codec --preset starter --data DIR [--asr DIR] [--out runs/codec] [--resume]

Hears callers in many espeak-ng voices, noises and rooms, and the agent in its own four voices, and
learns to say them again from eight codes every 80 ms. The first code of a frame is taught to carry
words: it points at the states of a recogniser (`--asr`) and spells the letters that are said.
Presets: `starter` (one CPU core, an hour), `gpu` (Mimi's own size, with an adversary), `tiny`
(tests). Writes checkpoints every few minutes, `run.json`, `metrics.jsonl`, `learning_curve.svg`,
`samples/` and `export/`, the codec as `models.codec` loads it. Interrupt it whenever you like:
`--resume` goes on with the very next batch. What the codes carry is measured by
`python -m training.codec_probe`.
"""

from pathlib import Path

from moshi.utils.compile import no_compile

from training import corpus
from training.codec_preset import PRESETS
from training.codec_run import CodecRecipe
from training.device import choose_device
from training.interruptible import require_place
from training.record import write_settings
from training.run import carry_out
from training.schedule import choose

ASR = Path("weights/starter/asr")


def main(
    preset: str = "starter",
    data: Path | str | None = None,
    out: Path | str = "runs/codec",
    *,
    asr: Path | str = ASR,
    resume: bool = False,
    steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
) -> Path:
    """Trains and exports; returns the directory of the exported codec.

    Args:
        preset: a name of PRESETS.
        data: directory with `text/`; default `MAATA_DATA`, then `data/`.
        out: the run's directory.
        asr: a recogniser in transformers' layout: the teacher, and who judges the sound.
        resume: go on with the checkpoint in `out`.
        steps: another number of steps than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.

    Raises:
        ValueError: unknown preset, nothing to resume, or a finished run without `resume`.
        corpus.DataMissing: no text where `data` says.
        codec_teacher.TeacherMissing: no recogniser where `asr` says.
        models.espeak.EspeakMissing: no synthesizer installed.
    """
    chosen = choose(PRESETS, preset, steps=steps)
    root, folder, device = corpus.data_root(data), Path(out), choose_device(device)
    require_place(folder, resume=resume)
    write_settings(folder, chosen, device)
    recipe = CodecRecipe(chosen, root, Path(asr), folder, device=device)
    with no_compile():
        carry_out(recipe, chosen, folder, resume=resume, stop_after=stop_after)
    return recipe.export()
