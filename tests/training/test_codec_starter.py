"""The shipped codec: the agent is understood through it, and silence stays silent."""

from pathlib import Path

import numpy as np
import pytest

from models import codec
from models.audio import resample, to_float32
from models.espeak import synthesize, voice_settings
from models.telugu.wer import cer
from models.whisper import Recognizer

WEIGHTS = Path(__file__).parents[2] / "weights" / "starter"
ESPEAK_RATE = 22_050
SENTENCES = (
    "మీకు ఈ రోజు ఎలా సహాయం చేయగలను",
    "సరే రేపు ఉదయం మళ్ళీ మాట్లాడుకుందాం",
    "మీ పేరు చాలా బాగుంది",
    "ఇంటి దగ్గర వాన పడుతోంది గొడుగు తీసుకెళ్ళండి",
)

pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the starter weights are not here")


def test_the_agents_speech_survives_eight_codes_a_frame() -> None:
    mimi = codec.load(WEIGHTS / "codec")
    recognizer = Recognizer.load(WEIGHTS / "asr", threads=1)
    pairs = []
    for number, sentence in enumerate(SENTENCES):
        settings, _ = voice_settings(("arjun", "ravi", "priya", "lakshmi")[number])
        said = resample(to_float32(synthesize(sentence, settings)), ESPEAK_RATE, codec.SAMPLE_RATE)
        made = codec.pcm_of(mimi, codec.codes_of(mimi, said))
        heard = recognizer.transcribe(resample(made, codec.SAMPLE_RATE, 16_000)).text
        pairs.append((sentence, heard))
    assert cer(pairs).rate < 0.25, pairs  # 8 % on a hundred others


def test_silence_in_is_nearly_silence_out() -> None:
    mimi = codec.load(WEIGHTS / "codec")
    made = codec.pcm_of(mimi, codec.codes_of(mimi, np.zeros(25 * 1_920, np.float32)))
    assert np.abs(made[4 * 1_920 :]).max() < 0.004  # -48 dBFS, where the gate before a caller opens
