"""Spoken words as a text stream: one token a frame, at the time each word is said.

A frame is 1,920 samples at 24 kHz (12.5 Hz). A word's first token lies in the frame in which the
word starts, the others follow frame by frame; between words there is padding (3), and the last
padding before a word says that one comes (0) (Défossez et al. 2024, "Moshi", section 3.4.4). Before
an answer it may say what the caller wants: written down, it is not forgotten while the answer is
(docs/decisions.md). Knows nothing of tokenizers' files or networks.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from models.moshi_text import END_OF_PADDING, PADDING, MoshiText

FRAME = 1920  # samples at 24 kHz


class TextDoesNotFit(ValueError):
    """A dialogue's text is longer than its sound; the sentence says what to do."""


class SpokenWord(Protocol):
    """A word and the samples (24 kHz) in which it is heard, `[start, end)`."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Answered(Protocol):
    """What was asked for, and the sample (24 kHz) in which the answer begins."""

    @property
    def intent(self) -> str: ...
    @property
    def answer(self) -> int: ...


@dataclass(frozen=True)
class TimedTokens:
    """The tokens of one word, and the frame its first one belongs to."""

    frame: int
    tokens: tuple[int, ...]
    announced: int = END_OF_PADDING  # by what id in the frame before


@dataclass(frozen=True)
class TextStream:
    """A text stream and how well it kept to the sound."""

    tokens: np.ndarray  # int64 [S]
    latest: int  # frames the most delayed word began after its sound
    unplaced: int  # tokens left over when the frames were used up


def said(
    words: Iterable[SpokenWord], text: MoshiText, asked: Iterable[Answered] = ()
) -> list[TimedTokens]:
    """Each word at the frame in which its sound begins: what the agent writes while it speaks.

    An answer's first word is announced by the piece of what was `asked`, where there is one.
    """
    timed = _timed((word.start // FRAME, word, text) for word in words)
    for one in asked:
        first = next((i for i, t in enumerate(timed) if t.frame >= one.answer // FRAME), None)
        if first is not None and one.intent in text.intents:
            timed[first] = replace(timed[first], announced=text.intents[one.intent])
    return timed


def heard(words: Iterable[SpokenWord], text: MoshiText, delay: int) -> list[TimedTokens]:
    """Each word once its sound is over: what can be known of the user's words, and when.

    The codes of the frame with the word's last sample reach the model one step later; `delay` is
    counted in frames from there.
    """
    return _timed(((word.end - 1) // FRAME + 1 + delay, word, text) for word in words)


def _timed(placed: Iterable[tuple[int, SpokenWord, MoshiText]]) -> list[TimedTokens]:
    timed = [TimedTokens(frame, tuple(text.encode(word.text))) for frame, word, text in placed]
    return sorted((item for item in timed if item.tokens), key=lambda item: item.frame)


def interleave(words: Sequence[TimedTokens], frames: int, *, announce: bool = True) -> TextStream:
    """The stream of `frames` tokens. Tokens that come too fast are shifted, never dropped.

    Args:
        words: sorted by frame.
        frames: length of the stream.
        announce: mark the padding before a word, as Moshi does for its own text.
    """
    tokens = np.full(frames, PADDING, np.int64)
    waiting: deque[tuple[int, int, int]] = deque()  # token, its frame, what announces it
    latest, at = 0, 0
    for frame in range(frames):
        while at < len(words) and words[at].frame <= frame:
            word, at = words[at], at + 1
            waiting.extend((t, word.frame + i, word.announced) for i, t in enumerate(word.tokens))
        if waiting:
            token, due, announced = waiting.popleft()
            latest = max(latest, frame - due)
            if announce and frame and tokens[frame - 1] == PADDING:
                tokens[frame - 1] = announced
            tokens[frame] = token
    return TextStream(tokens, latest, len(waiting) + sum(len(w.tokens) for w in words[at:]))


def whole(words: Sequence[TimedTokens], frames: int, *, announce: bool = True) -> np.ndarray:
    """`interleave` of a dialogue that must hold all its text, int64 [frames].

    Raises:
        TextDoesNotFit: tokens are left over.
    """
    stream = interleave(words, frames, announce=announce)
    if stream.unplaced:
        raise TextDoesNotFit(
            f"{stream.unplaced} tokens are left when the dialogue of {frames} frames ends: let the "
            "dialogues end with a second of silence, or use a tokenizer with longer pieces"
        )
    return stream.tokens


def dropped(words: Sequence[TimedTokens], frames: int) -> int:
    """Tokens that the published fine-tuner would lose on the same words.

    Its queue is replaced, not extended, when the next word starts (kyutai-labs/moshi-finetune,
    finetune/data/interleaver.py: `build_token_stream` with its default `keep_and_shift=False`).
    """
    waiting = lost = at = 0
    for frame in range(frames):
        while at < len(words) and words[at].frame <= frame:
            lost += waiting
            waiting = len(words[at].tokens)
            at += 1
        waiting = max(0, waiting - 1)
    return lost + waiting + sum(len(word.tokens) for word in words[at:])
