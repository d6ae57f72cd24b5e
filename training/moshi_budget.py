"""The text-budget gate: does a language's text fit into 12.5 tokens a second?

A tokenizer that falls to bytes on Telugu needs more tokens than there are frames, and the published
fine-tuner drops the overflow without a word. So it is counted before training, and training is
refused above 1 %. Knows nothing of networks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.moshi_text import MoshiText
from training.moshi_streams import FRAME, SpokenWord, dropped, interleave, said

RATE = 24_000  # Hz
FRAMES_PER_SECOND = RATE / FRAME
LIMIT = 0.01  # share of tokens lost, above which no training starts


class TextBudgetExceeded(ValueError):
    """The tokenizer writes more than the text stream can carry."""


@dataclass(frozen=True)
class TextBudget:
    """What a tokenizer asks of the text stream, counted over aligned speech; add them to pool."""

    words: int = 0
    tokens: int = 0
    speaking: int = 0  # samples at 24 kHz inside words
    lost: int = 0  # tokens the published interleaver would drop
    latest: int = 0  # frames the most delayed token comes late when none is dropped

    def __add__(self, other: "TextBudget") -> "TextBudget":
        return TextBudget(
            self.words + other.words,
            self.tokens + other.tokens,
            self.speaking + other.speaking,
            self.lost + other.lost,
            max(self.latest, other.latest),
        )

    @property
    def tokens_per_word(self) -> float:
        """Text tokens a word needs."""
        return self.tokens / max(1, self.words)

    @property
    def tokens_per_second(self) -> float:
        """While somebody speaks; there is room for 12.5."""
        return self.tokens * RATE / max(1, self.speaking)

    @property
    def lost_share(self) -> float:
        """Of the tokens, 0..1."""
        return self.lost / max(1, self.tokens)

    def __str__(self) -> str:
        return (
            f"{self.words} words, {self.tokens_per_word:.2f} tokens a word, "
            f"{self.tokens_per_second:.1f} tokens a second of speech against "
            f"{FRAMES_PER_SECOND} frames, {self.lost_share:.2%} would be dropped, "
            f"the latest comes {self.latest} frames late"
        )


def measure(words: Sequence[SpokenWord], samples: int, text: MoshiText) -> TextBudget:
    """The budget of one dialogue's words in `samples` of sound at 24 kHz."""
    timed, frames = said(words, text), samples // FRAME
    return TextBudget(
        words=len(words),
        tokens=sum(len(word.tokens) for word in timed),
        speaking=sum(word.end - word.start for word in words),
        lost=dropped(timed, frames),
        latest=interleave(timed, frames).latest,
    )


def gate(
    dialogues: Iterable[tuple[Sequence[SpokenWord], int]],
    text: MoshiText,
    *,
    limit: float = LIMIT,
    say=print,
) -> TextBudget:
    """Counts (words, samples) of every dialogue, prints the figures, and lets training start.

    Raises:
        TextBudgetExceeded: more than `limit` of the tokens would be dropped, or there are none.
    """
    budget = sum((measure(words, samples, text) for words, samples in dialogues), TextBudget())
    say(f"text budget: {budget}")
    if not budget.tokens:
        raise TextBudgetExceeded("the dialogues have no aligned words: align them before training")
    if budget.lost_share > limit:
        raise TextBudgetExceeded(
            f"{budget.lost_share:.1%} of the text tokens would be dropped ({limit:.0%} is the "
            f"limit): this tokenizer needs {budget.tokens_per_word:.1f} tokens a word; train one "
            "on the language and swap the vocabulary"
        )
    return budget
