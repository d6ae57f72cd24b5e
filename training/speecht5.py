"""Trains SpeechT5 to speak Telugu in the agent's four voices: the acoustic model, then the vocoder.

    maata train speecht5 --preset starter --data DIR [--part acoustic|vocoder|voice]
        [--out runs/speecht5] [--dry-run] [--resume] [--tensorboard] [--no-dnsmos]

Clauses of the project's own dialogues and of open text are spoken by espeak-ng in four voices and
nine emotions; since it tells when each word begins, attention is led along the true times. `--part
acoustic` and `--part vocoder` are runs of their own, in `OUT/acoustic` and `OUT/vocoder`, and may
train side by side, one core each; `--part voice` puts both exports together in `OUT/export`, the
directory that `models.speecht5_layout` and transformers load, with its card. Presets: `starter`
(two cores, an hour), `hub` (from microsoft/speecht5_tts and _hifigan, one GPU), `tiny` (tests).
`--dry-run` times three steps and says what the run will take. Each run writes checkpoints,
`metrics.jsonl`, `learning_curve.svg` and `samples/` with sounds and pictures of the attention, and
with `--tensorboard` all of them for TensorBoard (`tensorboard --logdir OUT`). Interrupt it whenever
you like: `--resume` goes on with the very next batch.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import torch

from training import corpus
from training.interruptible import ended_by_signals, require_place
from training.speecht5_budget import estimate
from training.speecht5_export import put_together, write_acoustic
from training.speecht5_log import Rater
from training.speecht5_preset import PRESETS, Preset
from training.speecht5_run import Run
from training.speecht5_vocoder import VocoderRun

ASR = Path("weights/starter/asr")
Part = Literal["acoustic", "vocoder", "voice"]


def main(
    preset: str = "starter",
    data: Path | str | None = None,
    out: Path | str = "runs/speecht5",
    *,
    part: Part = "acoustic",
    asr: Path | str | None = ASR,
    resume: bool = False,
    dry_run: bool = False,
    steps: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
    start: str | None = None,
    rate: Rater | None = None,
    tensorboard: bool = False,
) -> Path:
    """Trains one part and exports it; returns the directory of what was exported.

    Args:
        preset: a name of PRESETS.
        data: directory with `text/`; default `MAATA_DATA`, then `data/`.
        out: the directory of all parts' runs.
        part: what to train, or `voice` to put what was trained together.
        asr: the recogniser that listens to samples; None for no error rates.
        resume: go on with the part's checkpoint.
        dry_run: time three steps, say what all will take, and leave everything as it was.
        steps: another number of steps than the preset's.
        stop_after: end this call after so many steps, checkpoint written.
        device: `cpu` or `cuda`; default whichever is there.
        start: weights address to start from, instead of the preset's.
        rate: gives figures of a sound, which stand beside the error rates at every evaluation.
        tensorboard: write its files, too.

    Raises:
        ValueError: unknown preset or part, nothing to resume, a finished run without `resume`, or
            no TensorBoard installed.
        corpus.DataMissing: no text where `data` says.
        models.espeak.EspeakMissing: no synthesizer installed.
        models.weights.WeightsMissing, models.speecht5_layout.SpeechT5Invalid: no start.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}: choose {', '.join(PRESETS)}")
    if part not in ("acoustic", "vocoder", "voice"):
        raise ValueError(f"no part {part!r}: choose acoustic, vocoder or voice")
    folder = Path(out)
    if part == "voice":
        return put_together(folder, PRESETS[preset])
    chosen = _changed(PRESETS[preset], part, steps, start)
    root = corpus.data_root(data)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    listener = Path(asr) if asr else None
    if not dry_run:
        require_place(folder / part, resume=resume)
    # Both parts say the same clauses: whoever comes first speaks them.
    looks = {"asr": listener, "rate": rate, "tensorboard": tensorboard and not dry_run}
    run = _run(part, chosen, root, folder, device, looks)
    if dry_run:
        print(estimate(run))
        return folder / part
    if resume:
        run.load()

    with ended_by_signals(run):
        run.train(stop_after)
    return write_acoustic(run) if isinstance(run, Run) else run.export()


def _changed(preset: Preset, part: Part, steps: int | None, start: str | None) -> Preset:
    if part == "acoustic":
        acoustic = dataclasses.replace(preset.acoustic, steps=steps or preset.acoustic.steps)
        return dataclasses.replace(preset, acoustic=acoustic, start=start or preset.start)
    vocoder = dataclasses.replace(preset.vocoder, steps=steps or preset.vocoder.steps)
    return dataclasses.replace(preset, vocoder=vocoder, start_vocoder=start or preset.start_vocoder)


def _run(
    part: Part, preset: Preset, data: Path, out: Path, device: str, looks: dict[str, Any]
) -> Run | VocoderRun:
    if part == "vocoder":
        return VocoderRun(preset, data, out / part, device=device, **looks)
    vocoder = out / "vocoder" / "export"
    there = vocoder if (vocoder / "config.json").is_file() else None
    return Run(preset, data, out / part, vocoder=there, device=device, **looks)
