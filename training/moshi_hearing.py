"""How well a Moshi that only listens understands: heard questions in, written answers out.

While a model is not yet taught to speak, its answers cannot be examined as in a call: its own
speech would disturb it. Here it reads the caller's codes alone, and writes freely for a while.
Knows nothing of training.
"""

import statistics

import numpy as np
import torch
from moshi.models.compression import MimiModel
from moshi.utils.compile import no_compile
from torch import Tensor

from models import codec as codecs
from models.audio import to_float32
from models.moshi_text import PADDING, MoshiText
from models.telugu.wer import Errors
from training.duplex_dialogue import FRAME
from training.moshi_codes import TAIL
from training.moshi_exam import TESTS
from training.moshi_network import BEYOND, Trainee
from training.moshi_score import Answer, Question, questions

ANSWER = 70  # frames in which most answers are written
_SHOWN = 3


class HearingExam:
    """The questions, spoken and encoded when they are first needed."""

    def __init__(self, count: int, mimi: MimiModel) -> None:
        self._count, self._mimi = count, mimi
        self._asked: dict[str, tuple[list[Question], list[np.ndarray]]] = {}

    def sit(self, network: Trainee, text: MoshiText, *, say=print) -> dict[str, float]:
        """Share of the written answers that do not fit, and their CER against the nearest right
        one, of each test."""
        figures: dict[str, float] = {}
        for name, wordings in TESTS.items():
            if name not in self._asked:
                asked = questions(self._count, wordings)
                self._asked[name] = asked, [self._codes(question) for question in asked]
            asked, codes = self._asked[name]
            written = write(network, codes)
            answers = [
                Answer(question, text.decode(tokens), np.zeros(0, np.float32))
                for question, tokens in zip(asked, written, strict=True)
            ]
            errors = sum((answer.errors for answer in answers), Errors())
            figures[f"cer_written_{name}"] = round(errors.rate, 4)
            figures[f"unfitting_written_{name}"] = round(
                1 - statistics.fmean(answer.fit for answer in answers), 4
            )
            for answer in answers[:_SHOWN]:
                say(f"  {answer.question.text} → {answer.text}")
        return figures

    def _codes(self, question: Question) -> np.ndarray:
        """int64 [K, S], some silence behind the last word, as in training."""
        size = (len(question.pcm) // FRAME + TAIL) * FRAME
        pcm = np.pad(question.pcm, (0, max(0, size - len(question.pcm))))[:size]
        return codecs.codes_of(self._mimi, to_float32(pcm))


@torch.no_grad()
def write(network: Trainee, heard: list[np.ndarray]) -> list[list[int]]:
    """Text tokens that the model finds likeliest, from the first frame until `ANSWER` after.

    Who has written nothing when the codes are over is made to begin: what is examined is what was
    understood, and a beginning that may come in any of ten frames is likeliest in none.

    Args:
        network: in evaluation mode.
        heard: the codes of each question, int64 [K, S].
    """
    lm = network.lm
    longest = max(codes.shape[1] for codes in heard) + ANSWER
    codes = torch.full((len(heard), lm.num_codebooks, longest), BEYOND)
    for row, question in zip(codes, heard, strict=True):
        row[1 + lm.dep_q :, : question.shape[1]] = torch.from_numpy(question)
    given = network.delayed(codes.to(lm.device))
    nobody = (None,) * len(heard)
    conditions = network.conditions(nobody, nobody)
    fused = None if conditions is None or lm.fuser is None else lm.fuser.get_sum(conditions)
    over = torch.tensor([question.shape[1] for question in heard], device=lm.device)
    begun = torch.zeros_like(over, dtype=torch.bool)
    tokens: list[Tensor] = []
    with no_compile(), lm.transformer.streaming(len(heard)):
        for step in range(longest):
            _, logits = lm.forward_text(given[:, :, step : step + 1], fused)
            likely = logits[:, 0, 0].clone()  # [N, card]
            likely[(step >= over) & ~begun, PADDING] = float("-inf")
            tokens.append(likely.argmax(-1))
            begun |= (tokens[-1] != PADDING) & (step >= over - TAIL)
            given[:, 0, step + 1] = tokens[-1]
    return torch.stack(tokens, 1).tolist()
