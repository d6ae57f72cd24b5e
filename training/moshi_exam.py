"""Examines a speech-to-speech model: seen and unseen wordings, all from voices it never heard.

    python -m training.moshi_exam weights/starter/s2s [--codec ADDRESS] [--questions N] [--turns N]

Prints some answers and, last, one JSON object. `cer_text`: the text against the nearest right
answer; `cer_speech`: what the starter recogniser hears against the model's own text; `unfitting`:
by the written key; `misnamed`: it wrote another intent before it; `early`: it spoke before the
question ended; the rest as in `moshi_score.py` and `moshi_turns.py`.
Knows nothing of training.
"""

import argparse
import json
from pathlib import Path

from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models import codec as codecs
from models import moshi_checkpoint
from models.moshi_text import MoshiText
from models.weights import WeightsMissing, resolve
from models.whisper import Recognizer
from training.dialogues import Split
from training.moshi_score import Question, Transcribe, ask, questions, score
from training.moshi_turns import take_turns

TESTS: dict[str, Split] = {"seen": "train", "unseen": "held_out"}
_SHOWN = 3  # answers of each test


class Exam:
    """The questions, spoken when they are first needed, and the recogniser that listens."""

    def __init__(self, count: int, seconds: float) -> None:
        """`count` questions a test, and how long an answer is waited for."""
        self._count, self._seconds = count, seconds
        self._questions: dict[str, list[Question]] = {}

    def sit(self, mimi: MimiModel, lm: LMModel, text: MoshiText, *, say=print) -> dict[str, float]:
        """All figures, each with its test's name at the end. Both models in evaluation mode."""
        transcribe = _transcriber()
        figures: dict[str, float] = {}
        for name, wordings in TESTS.items():
            if name not in self._questions:
                self._questions[name] = questions(self._count, wordings)
            answers = ask(mimi, lm, text, self._questions[name], seconds=self._seconds)
            found = score(answers, transcribe)
            figures |= {f"{key}_{name}": value for key, value in found.items()}
            for answer in answers[:_SHOWN]:
                say(f"  {answer.question.text} → {answer.text}")
        return figures


def _transcriber() -> Transcribe | None:
    """The starter recogniser; None where its weights are not."""
    try:
        recognizer = Recognizer.load(resolve("starter/asr"), threads=1)
    except WeightsMissing:
        return None
    return lambda pcm: recognizer.transcribe(pcm).text


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Examine a speech-to-speech model.")
    parser.add_argument("model", help="weights address of the language model")
    parser.add_argument("--codec", default="starter/codec", help="weights address of the codec")
    parser.add_argument("--questions", type=int, default=200, help="of each test")
    parser.add_argument("--turns", type=int, default=100, help="pauses, and as many cut-ins")
    parser.add_argument("--seconds", type=float, default=8.0, help="that an answer is waited for")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    info = moshi_checkpoint.read(resolve(given.model))
    folder: Path = resolve(given.codec)
    mimi = codecs.load(folder, device=given.device)
    moshi_checkpoint.require_codec(
        info,
        codebooks=mimi.num_codebooks,
        cardinality=mimi.cardinality,
        codec_id=moshi_checkpoint.fingerprint(folder / codecs.WEIGHTS),
    )
    lm = moshi_checkpoint.load(info, device=given.device)
    exam = Exam(given.questions, given.seconds)
    figures = exam.sit(mimi, lm, MoshiText.load(info.tokenizer))
    if given.turns:
        figures |= take_turns(mimi, lm, given.turns)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
