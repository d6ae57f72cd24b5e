"""The shipped speech-to-speech model: it speaks Telugu, in time, and says what it writes.

How often it answers what was asked is in its card, and not held here.
"""

from pathlib import Path

import pytest
import torch

from models import codec, moshi_checkpoint
from models.moshi_text import MoshiText
from models.telugu.standard import script_fidelity
from models.whisper import Recognizer
from training.moshi_score import ask, questions, score

WEIGHTS = Path(__file__).parents[2] / "weights" / "starter"

pytestmark = [
    pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the starter weights are not here"),
    pytest.mark.slow,
]


def test_it_speaks_telugu_soon_after_the_question() -> None:
    torch.set_num_threads(1)
    info = moshi_checkpoint.read(WEIGHTS / "s2s")
    mimi = codec.load(WEIGHTS / "codec")
    moshi_checkpoint.require_codec(
        info,
        codebooks=mimi.num_codebooks,
        cardinality=mimi.cardinality,
        codec_id=moshi_checkpoint.fingerprint(WEIGHTS / "codec" / codec.WEIGHTS),
    )
    text = MoshiText.load(info.tokenizer)
    asked = questions(8, "held_out", seed=3)
    answers = ask(mimi, moshi_checkpoint.load(info), text, asked, seconds=5.0)
    written = [answer.text for answer in answers if answer.text.strip()]
    assert len(written) >= 4
    assert sum(bool(answer.named) for answer in answers) >= 4  # what was asked for, before it
    assert min(script_fidelity(line) or 1.0 for line in written) > 0.9
    recognizer = Recognizer.load(WEIGHTS / "asr", threads=1)
    figures = score(answers, lambda pcm: recognizer.transcribe(pcm).text)
    assert figures["cer_speech"] < 0.6  # 0.25 on 64 others
    assert 0 < figures["response_ms"] < 1_000  # 0.31 s
