"""The figures of answers: what fits by the key, with and without slots, and what was named."""

import numpy as np
import pytest

from training.moshi_score import Answer, Question, score

SILENCE = np.zeros(24_000, np.float32)


def question(intent: str, reply: str, **slots: str) -> Question:
    return Question(np.zeros(24_000, np.int16), "ఎంత", intent, (reply,), slots)


def test_questions_with_slots_are_counted_apart() -> None:
    add = question("sum.add", "ఆరు, రెండు కలిపితే ఎనిమిది.", plus="ఎనిమిది")
    rain = question("weather.ask", "వాతావరణ సమాచారం నా దగ్గర లేదు అండి.")
    answers = [
        Answer(add, "ఆరు, రెండు కలిపితే ఎనిమిది.", SILENCE, "sum.add"),
        Answer(add, "ఆరు, రెండు కలిపితే తొమ్మిది.", SILENCE, "sum.add"),
        Answer(add, "", SILENCE, ""),
        Answer(rain, rain.replies[0], SILENCE, "weather.rain"),
    ]
    figures = score(answers, None)
    assert figures["unfitting"] == 0.5
    assert figures["slots_unfitting"] == pytest.approx(2 / 3, abs=1e-3)
    assert figures["plain_unfitting"] == 0.0
    assert figures["misnamed"] == 0.5  # another one, and none
    assert figures["silent"] == 1.0
    assert "response_ms" not in figures
    assert "cer_speech" not in figures


def test_a_model_that_names_nothing_misnames_nothing() -> None:
    add = question("sum.add", "ఆరు, రెండు కలిపితే ఎనిమిది.", plus="ఎనిమిది")
    figures = score([Answer(add, "ఆరు, రెండు కలిపితే ఎనిమిది.", SILENCE)], None)
    assert "misnamed" not in figures
    assert "plain_unfitting" not in figures
    assert figures["slots_unfitting"] == 0.0
