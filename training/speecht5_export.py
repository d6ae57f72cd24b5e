"""A trained voice as a directory: acoustic model, vocabulary, voices, vocoder and card.

Both parts are exported apart, since they train apart, and put together when both are there. Written
whole or not at all.
"""

import json
import shutil
from pathlib import Path

from models.speecht5_layout import (
    SpeechT5Parts,
    load,
    load_acoustic,
    load_vocoder,
    read_floor,
    save,
    write_half,
)
from models.speecht5_text import FILE, Characters
from models.speecht5_voices import Voices
from models.voices import EMOTIONS, VOICES
from training.speecht5_preset import Preset
from training.speecht5_run import Run
from training.speecht5_speech import FLOOR


def write_acoustic(run: Run) -> Path:
    """Writes the averaged acoustic model, its vocabulary and voices to `export/`."""
    folder = run.out / "export"
    scratch = folder.with_name("export.part")
    shutil.rmtree(scratch, ignore_errors=True)
    network = run.averaged()
    write_half(network.acoustic, scratch)
    network.voices().save(scratch)
    shutil.copyfile(run.vocabulary(), scratch / FILE)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return folder


def put_together(out: Path, preset: Preset) -> Path:
    """`out`/acoustic and `out`/vocoder as one voice in `out`/export, with its card.

    Raises:
        SpeechT5Invalid, VocabularyMissing, VoicesMissing: a part has not been exported.
    """
    acoustic, vocoder = out / "acoustic" / "export", out / "vocoder" / "export"
    parts = SpeechT5Parts(
        load_acoustic(acoustic),
        load_vocoder(vocoder),
        Characters.load(acoustic),
        Voices.load(acoustic),
    )
    folder = save(parts, out / "export", vocabulary=acoustic / FILE, floor=FLOOR, int8=preset.int8)
    load(folder)  # what was written can be read
    assert read_floor(folder) == FLOOR
    (folder / "README.md").write_text(card(parts, out, preset), encoding="utf-8")
    return folder


def card(parts: SpeechT5Parts, out: Path, preset: Preset) -> str:
    """What the voice is, how it was made, what it scored and what it cannot do."""
    counts = {
        "acoustic model": sum(p.numel() for p in parts.acoustic.parameters()),
        "vocoder": sum(p.numel() for p in parts.vocoder.parameters()),
    }
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in counts.items())
    stored = "8 bits a weight (`models/int8_rows.py`)" if preset.int8 else "fp16"
    lines = [
        "# Telugu SpeechT5, four voices",
        "",
        "SpeechT5 (transformers' `SpeechT5ForTextToSpeech` and `SpeechT5HifiGan`) at "
        f"{sizes} parameters, 16 kHz, {stored}. Voices: {', '.join(v.name for v in VOICES)}; "
        f"emotions: {', '.join(EMOTIONS)}.",
        "",
        "| made by | |",
        "|---|---|",
        "| command | `maata train speecht5` with `--part acoustic`, `vocoder`, `voice` |",
        f"| started from | {preset.start or 'random weights'} |",
        f"| seed | {preset.seed} |",
        "| data | answers of the project's own dialogues (CC0), IndicVoices prompts and Pratham "
        "Books sentences (CC-BY-4.0), Common Voice sentences (CC0), cut into clauses of at most "
        f"{preset.words} words and spoken by espeak-ng in the four voices |",
    ]
    for name in ("acoustic", "vocoder"):
        lines += [f"| {name} | {line} |" for line in _told(out / name / "metrics.jsonl")]
    lines += [
        "",
        "The error rates are those of the starter recogniser on clauses that were never trained "
        "on (`cer`), beside what it makes of the synthesizer's own speech (`cer_original`).",
        "",
        "**What it cannot do.** It learnt from a formant synthesizer and sounds like one; it says "
        "nothing about human speech. Clauses longer than it was trained on are cut. English words "
        "are spoken as Telugu spells them. Pitch cannot be set.",
        "",
    ]
    return "\n".join(lines)


def _told(metrics: Path) -> list[str]:
    """Steps, hours and the last scores of a run."""
    if not metrics.is_file():
        return ["trained elsewhere"]
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    last = rows[-1]
    scores = [row for row in rows if "cer" in row or "log_mel" in row or "faults" in row]
    kept = {k: v for k, v in scores[-1].items() if k not in ("step", "seconds")} if scores else {}
    figures = ", ".join(f"{name} {value:.4g}" for name, value in kept.items())
    return [f"{last['step']} steps, {last['seconds'] / 3600:.1f} h", figures or "not scored"]
