"""Utterances nobody has trained on, in voices nobody has trained on, as WAVs for a real call.

    python -m training.unseen_callers OUT [--n 30] [--seed 0]

Sentences come from held-out wordings of the dialogues (`user_utterances("held_out")`), voices from
espeak-ng variants that no recipe uses (`HELD_OUT_VARIANTS`). Writes OUT/NNN.wav (16 kHz mono) and
OUT/manifest.jsonl, one {"wav", "text", "variant"} a line; the seed fixes sentences and voices.
"""

import argparse
import json
import random
from pathlib import Path

from models.audio import write_wav
from training.dialogues import user_utterances
from training.samples import RATE, spoken
from training.utterances import HELD_OUT_VARIANTS, voice_for

WORDS = range(2, 10)  # a single word is an acknowledgement, not a turn


def make(out: Path, n: int, seed: int) -> None:
    """Writes `n` utterances and their manifest into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    sentences = [t for t in user_utterances("held_out") if len(t.split()) in WORDS]
    lines = []
    for number, text in enumerate(random.Random(seed).sample(sentences, n)):
        voice = voice_for(text, f"unseen callers {seed}", HELD_OUT_VARIANTS)
        name = f"{number:03d}.wav"
        write_wav(out / name, spoken(text, voice), RATE)
        lines.append({"wav": name, "text": text, "variant": voice.variant})
    manifest = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (out / "manifest.jsonl").write_text(manifest, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make unseen utterances for a real call.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make(arguments.out, arguments.n, arguments.seed)
