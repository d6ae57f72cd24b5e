"""The six sample utterances of the call page and the demo, spoken by espeak-ng.

    python -m training.samples [web/public/samples]

Writes one 16 kHz mono WAV a sentence and `samples.json` ([{id, text, english, url}], in the
order of a little conversation). The text is this project's own and stays inside what the starter
models know. The same command gives the same speech, though not the same bytes: espeak's voices have
a breath of noise. Knows nothing about how the page plays them.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from models.audio import write_wav
from models.espeak import Settings
from training.utterances import render

RATE = 16_000
LEAD_MS, TAIL_MS = 120, 200  # a recording starts a little before the voice and ends a little after

SENTENCES = {  # and what they mean, for whoever listens without Telugu
    "greeting": ("నమస్కారం నా పేరు అనిత", "Hello, my name is Anita"),
    "time": ("ఇప్పుడు టైం ఎంత అయింది", "What time is it now?"),
    "sum": ("పన్నెండు ప్లస్ ఎనిమిది ఎంత", "How much is twelve plus eight?"),
    "name": ("నా పేరు ఏమిటి", "What is my name?"),
    "ambulance": ("అంబులెన్స్ నంబర్ ఎంత", "What is the ambulance's number?"),
    "bye": ("చాలా ధన్యవాదాలు", "Thank you very much"),
}
# A woman's voice that is none of the bot's four, at an unhurried speed.
CALLER = Settings("f5", words_per_minute=155, pitch=55, pitch_range=55, word_gap=0)


def spoken(text: str, voice: Settings) -> np.ndarray:
    """int16 `[T]` at `RATE`: the sentence with a little silence around it."""
    around = [np.zeros(RATE * ms // 1000, np.int16) for ms in (LEAD_MS, TAIL_MS)]
    return np.concatenate((around[0], render(text, voice), around[1]))


def make(out: Path) -> None:
    """Writes the WAVs and their list into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, (text, english) in SENTENCES.items():
        write_wav(out / f"{name}.wav", spoken(text, CALLER), RATE)
        url = f"/samples/{name}.wav"
        listed.append({"id": name, "text": text, "english": english, "url": url})
    index = json.dumps(listed, ensure_ascii=False, indent=1) + "\n"
    (out / "samples.json").write_text(index, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the sample utterances of the call page.")
    parser.add_argument("out", nargs="?", type=Path, default=Path("web/public/samples"))
    make(parser.parse_args().out)
