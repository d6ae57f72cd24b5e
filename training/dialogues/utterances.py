"""What callers say, as an ASR writes it: sampled from the paraphrase templates, split for honesty.

A template belongs to one split for good, chosen by its own text and not by its place in the file:
adding a template moves no other one.
"""

import hashlib
import random
from typing import Literal

from training.dialogues.intents import Intent, expand, fill, load
from training.dialogues.slots import Slots, draw, moment

Split = Literal["train", "held_out"]

_HELD_OUT_SHARE = 0.1
_TRIES_PER_TEMPLATE = 24


def split_of(template: str) -> Split:
    """The split of a paraphrase template: about one in ten is held out."""
    digest = hashlib.sha256(template.encode()).digest()
    return "held_out" if digest[0] < 256 * _HELD_OUT_SHARE else "train"


def templates(intent: Intent, split: Split) -> tuple[str, ...]:
    """The paraphrase templates of `intent` in `split`; an intent never loses its only template."""
    chosen = tuple(text for text in intent.user if split_of(text) == split)
    return intent.user if split == "train" and not chosen else chosen


def wording(template: str, slots: Slots, rng: random.Random) -> str:
    """One thing said: the template expanded and filled, now and then with a courtesy around it."""
    said = fill(expand(template, rng), slots)
    chance = rng.random()
    if chance < 0.10:
        return f"{slots['lead']} {said}"
    return f"{said} {slots['tail']}" if chance < 0.15 else said


def _sample(split: Split, seed: int) -> set[str]:
    said: set[str] = set()
    for intent in load().values():
        if not intent.spoken:
            continue
        for template in templates(intent, split):
            rng = random.Random(f"{seed} {template}")
            for _ in range(_TRIES_PER_TEMPLATE):
                slots = draw(rng, moment(rng), invented=0.1)
                said.add(wording(template, slots, rng))
    return said


def user_utterances(split: Split, seed: int = 0) -> list[str]:
    """Distinct user utterances, sorted; Telugu script without punctuation or digits.

    `held_out` holds wordings of templates that `train` never samples, and no sentence of it.
    """
    said = _sample(split, seed)
    if split == "held_out":
        said -= _sample("train", seed)
    return sorted(said)
