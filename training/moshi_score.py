"""How well a Moshi answers: questions in, speech and text out, as a call would have them.

Always by streaming generation through the duplex engine. Teacher-forced accuracy says little: the
right history answers half of the question. Text is held against the nearest of the right answers
and against the written key, speech (as the starter recogniser hears it) against the model's own
text. Knows nothing of training.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from moshi.models.compression import MimiModel
from moshi.models.lm import LMModel

from models.audio import first_audible, resample, to_float32
from models.duplex import DuplexEngine
from models.duplex_batch import Sampling
from models.duplex_call import Call
from models.moshi_text import MoshiText
from models.telugu.spoken import speakable
from models.telugu.standard import te_std
from models.telugu.wer import Errors, char_errors
from models.voices import EMOTIONS, VOICES
from training.dialogues import Split, fits, load
from training.dialogues.intents import fill
from training.duplex_dialogue import RATE, DialogueSource, Mix

SLOTS = 16
# A call's, of the starter profile, with the same dice for every model.
SAMPLING = Sampling(temperature=0.7, temperature_text=0.3, temperature_padding=0.6, seed=7)
Transcribe = Callable[[np.ndarray], str]  # float32 [T] at 16 kHz -> what is said


@dataclass(frozen=True, eq=False)
class Question:
    """A caller's first sentence in a quiet room, and what may be answered."""

    pcm: np.ndarray  # int16 [T] at 24 kHz, silence before it included, ends with the last word
    text: str
    intent: str
    replies: tuple[str, ...]  # every right one
    slots: dict[str, str]


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model made of a question."""

    question: Question
    text: str
    speech: np.ndarray  # float32 [T] at 24 kHz, from the question's first sample on
    named: str = ""  # the intent that was written before the answer, where one was

    @property
    def fit(self) -> bool:
        """By the written key of the question's intent."""
        return fits(load()[self.question.intent].fits, self.text, self.question.slots)

    @property
    def errors(self) -> Errors:
        """Characters of the text against the nearest right answer, both as spoken."""
        heard = _spoken(self.text)
        return min(
            (char_errors(_spoken(reply), heard) for reply in self.question.replies),
            key=lambda errors: errors.rate,
        )

    @property
    def response(self) -> int | None:
        """Samples from the end of the question to the first sound; negative if too early."""
        first = first_audible(self.speech, RATE)
        return None if first is None else first - len(self.question.pcm)


def questions(count: int, wordings: Split, seed: int = 0) -> list[Question]:
    """Single questions from voices that never trained, in wordings that did or did not."""
    source = DialogueSource(
        seed, 10 * RATE, wordings=wordings, callers="held_out", mix=Mix.plain(), turns=1
    )
    found: list[Question] = []
    number = 0
    while len(found) < count:
        dialogue = source.dialogue(number)
        number += 1
        for asked in dialogue.exchanges[:1]:
            replies = (fill(reply, asked.slots) for reply in _fillable(asked.intent, asked.slots))
            found.append(
                Question(
                    dialogue.user[: asked.question_end],
                    asked.question,
                    asked.intent,
                    (asked.reply, *replies),
                    asked.slots,
                )
            )
    return found


def _fillable(intent: str, slots: dict[str, str]) -> Iterable[str]:
    """Reply templates whose slots are known; the others are right too, but not known here."""
    for template in load()[intent].reply:
        try:
            fill(template, slots)
        except KeyError:
            continue
        yield template


def ask(
    mimi: MimiModel,
    lm: LMModel,
    text: MoshiText,
    asked: list[Question],
    *,
    seconds: float,
    sampling: Sampling = SAMPLING,
) -> list[Answer]:
    """Puts every question in a call of its own, several at once, and listens on for `seconds`.

    Voices and emotions of the answers take turns. Both models must be in evaluation mode.
    """
    answers: list[Answer] = []
    state = torch.get_rng_state()  # the engine seeds torch's generator
    engine = DuplexEngine(mimi, lm, slots=min(SLOTS, len(asked)), sampling=sampling)
    try:
        for first in range(0, len(asked), engine.slots):
            answers += _ask_together(engine, lm, text, asked[first : first + engine.slots], seconds)
    finally:
        engine.close()
        torch.set_rng_state(state)
    return answers


def join(engine: DuplexEngine, lm: LMModel, count: int) -> list[Call]:
    """So many calls; voices and emotions of the agent take turns, where `lm` has any."""
    known = [] if lm.condition_provider is None else list(lm.condition_provider.conditioners)
    if not {"voice", "emotion"} <= set(known):
        return [engine.join() for _ in range(count)]
    return [
        engine.join(VOICES[i % len(VOICES)].id, EMOTIONS[i % len(EMOTIONS)]) for i in range(count)
    ]


def _ask_together(
    engine: DuplexEngine, lm: LMModel, text: MoshiText, asked: list[Question], seconds: float
) -> list[Answer]:
    calls = join(engine, lm, len(asked))
    size, waiting = engine.frame_size, round(seconds * engine.sample_rate)
    ticks = max(-(-(len(question.pcm) + waiting) // size) for question in asked) + 1
    tokens: list[list[int]] = [[] for _ in asked]
    speech: list[list[np.ndarray]] = [[] for _ in asked]
    for tick in range(ticks):
        for call, question in zip(calls, asked, strict=True):
            frame = question.pcm[tick * size : (tick + 1) * size]
            call.push(np.pad(frame, (0, size - len(frame))))
        engine.tick()
        for place, call in enumerate(calls):
            for given in call.take():
                tokens[place].append(given.text_token)
                speech[place].append(given.pcm)
    for call in calls:
        call.leave()
    silence = np.zeros(0, np.float32)
    return [
        Answer(
            question,
            text.decode(tokens[i]),
            np.concatenate([silence, *speech[i]]),
            text.intent(tokens[i]),
        )
        for i, question in enumerate(asked)
    ]


def score(answers: list[Answer], transcribe: Transcribe | None) -> dict[str, float]:
    """The figures of a set of answers; rates are fractions, `response_ms` is the median.

    `slots_unfitting`: of the questions whose answers repeat or compute with what they say;
    `plain_unfitting`: of the others. `misnamed`: another intent than the question's was named, or
    none; of a model that names any. `cer_speech` needs a recogniser, and a text to be held against:
    it is 1 without any.
    """
    written = sum((answer.errors for answer in answers), Errors())
    figures = {
        "cer_text": round(written.rate, 4),
        "unfitting": _unfitting(answers),
        "silent": round(statistics.fmean(answer.response is None for answer in answers), 4),
    }
    for name, wanted in (("plain_unfitting", False), ("slots_unfitting", True)):
        if some := [answer for answer in answers if bool(answer.question.slots) == wanted]:
            figures[name] = _unfitting(some)
    if any(answer.named for answer in answers):
        wrong = (answer.named != answer.question.intent for answer in answers)
        figures["misnamed"] = round(statistics.fmean(wrong), 4)
    late = [answer.response for answer in answers if answer.response is not None]
    figures["early"] = round(sum(samples < 0 for samples in late) / len(answers), 4)
    if late:
        figures["response_ms"] = round(statistics.median(late) / RATE * 1000)
    if transcribe is not None:
        spoken = sum((_speech_errors(answer, transcribe) for answer in answers), Errors())
        figures["cer_speech"] = round(spoken.rate, 4) if spoken.length else 1.0
    return figures


def _unfitting(answers: list[Answer]) -> float:
    return round(1 - statistics.fmean(answer.fit for answer in answers), 4)


def _speech_errors(answer: Answer, transcribe: Transcribe) -> Errors:
    pcm = resample(to_float32(answer.speech), RATE, 16_000)
    return char_errors(_spoken(answer.text), te_std(transcribe(pcm)))


def _spoken(text: str) -> str:
    """As it is said: figures are words, marks are gone."""
    return te_std(speakable(text))
