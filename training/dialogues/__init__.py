"""Authored Telugu dialogues: what callers say, what the assistant answers, which answers fit.

The text is this project's own. `intents` reads it, `utterances` samples what callers say (the
recogniser trains on that), `compose` makes whole conversations (the language model trains on
those), `unseen` holds 200 independently worded sentences for the evaluation and `tuning` 200 that
may be looked at beforehand.
"""

from training.dialogues.compose import SYSTEM_PROMPT, Composer, Conversation
from training.dialogues.intents import (
    DialogueError,
    Intent,
    fits,
    intent_numbers,
    load,
    template_words,
)
from training.dialogues.utterances import Split, user_utterances

__all__ = [
    "SYSTEM_PROMPT",
    "Composer",
    "Conversation",
    "DialogueError",
    "Intent",
    "Split",
    "fits",
    "intent_numbers",
    "load",
    "template_words",
    "user_utterances",
]
