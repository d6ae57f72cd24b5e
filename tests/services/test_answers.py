"""The small processors around an answer: memory, apology, gate, word marks."""

from datetime import datetime

from pipecat.frames.frames import (
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
)
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame
from pipecat.tests.utils import SleepFrame, run_test

from services.answer_gate import AnswerGate
from services.apology import Apology
from services.llama import plain_messages
from services.memory import Memory
from services.phrases import NO_ANSWER
from services.speech import WordMarks


def conversation(turns: int) -> LLMContext:
    context = LLMContext()
    for i in range(turns):
        context.add_message({"role": "user", "content": f"question {i}"})
        context.add_message({"role": "assistant", "content": f"answer {i}"})
    return context


def test_memory_keeps_the_newest_turns_and_renews_the_prompt():
    memory = Memory(
        turns=3,
        system_prompt="సమయం {time}, తేదీ {date}.",
        now=lambda: datetime(2026, 11, 20, 9, 30),
    )
    context = conversation(8)
    context.add_message({"role": "user", "content": "question 8"})
    memory.trim(context)
    memory.trim(context)  # the next turn renews the prompt instead of adding another
    contents = [message["content"] for message in plain_messages(context)]
    assert contents[0].startswith("సమయం")
    assert "{" not in contents[0]
    assert contents[1:] == ["question 6", "answer 6", "question 7", "answer 7", "question 8"]


def test_memory_without_a_prompt_adds_none():
    context = conversation(1)
    Memory(turns=2, system_prompt="").trim(context)
    assert [m["role"] for m in plain_messages(context)] == ["user", "assistant"]


async def test_an_answer_without_a_word_becomes_an_apology():
    down, _ = await run_test(
        Apology(), frames_to_send=[LLMFullResponseStartFrame(), LLMFullResponseEndFrame()]
    )
    assert [f.text for f in down if isinstance(f, LLMTextFrame)] == [NO_ANSWER]


async def test_an_answer_with_words_and_an_interrupted_one_stay_as_they_are():
    spoken = [LLMFullResponseStartFrame(), LLMTextFrame("సరే"), LLMFullResponseEndFrame()]
    cut = [LLMFullResponseStartFrame(), SleepFrame(), InterruptionFrame(), SleepFrame()]
    down, _ = await run_test(Apology(), frames_to_send=[*spoken, *cut, LLMFullResponseEndFrame()])
    assert [f.text for f in down if isinstance(f, LLMTextFrame)] == ["సరే"]


def audio(context_id: str) -> TTSAudioRawFrame:
    return TTSAudioRawFrame(b"\0\0" * 10, 24000, 1, context_id=context_id)


async def test_the_gate_drops_what_belongs_to_an_interrupted_answer():
    begun: list[int] = []
    gate = AnswerGate(lambda: begun.append(1))
    down, _ = await run_test(
        gate,
        frames_to_send=[
            TTSStartedFrame(context_id="first"),
            audio("first"),
            SleepFrame(),
            InterruptionFrame(),
            SleepFrame(),
            audio("first"),  # a worker thread was still at it
            TTSStartedFrame(context_id="second"),
            audio("second"),
        ],
    )
    heard = [f.context_id for f in down if isinstance(f, TTSAudioRawFrame)]
    assert heard == ["first", "second"]
    assert gate.dropped == 1
    assert len(begun) == 2
    numbers = [f.data["id"] for f in down if isinstance(f, RTVIServerMessageFrame)]
    assert numbers == [1, 2]


def test_word_marks_come_once_each_and_in_order():
    marks = WordMarks("ఒకటి రెండు మూడు", samples_per_letter=100)
    assert marks.due(100) == []
    assert marks.due(500) == ["ఒకటి"]
    assert marks.due(500) == []
    assert marks.due(float("inf")) == ["రెండు", "మూడు"]
