"""The authored dialogues, read from the TOML files of this folder into plain values.

An intent is what a caller wants: how they word it, how the assistant answers, and the written key
that says which answers fit. Knows nothing about models or tokens.

Notation of a template:
    (a|b|)   one of the alternatives, the empty one allowed; may be nested
    <tell>   a macro of slots.toml, which is such an alternation
    {name}   a slot
"""

import random
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.dialogues import slots as slot_values
from training.dialogues.slots import Slots

_HERE = Path(__file__).parent
_INNERMOST = re.compile(r"\(([^()]*)\)")
_MACRO = re.compile(r"<([a-z_]+)>")
_SLOT = re.compile(r"\{([a-z_]+)\}")
# A case ending is written onto its word (రవికి); only after a virama does the gap stay, because
# joining there would make a conjunct that nobody reads (సురేష్ కి).
_ENDING = re.compile(r"(?<=[\u0C00-\u0C4C]) (కి|లో|ని|తో)(?= |$|[,.?!])")

WHEN = ("", "named", "unnamed", "placed", "unplaced", "clock", "noclock", "answered", "fresh")

Key = tuple[tuple[str, ...], ...]


class DialogueError(ValueError):
    """A dialogue file breaks its own rules; the message names the file, the intent and the rule."""


@dataclass(frozen=True)
class Intent:
    """One thing a caller wants."""

    id: str
    user: tuple[str, ...]  # paraphrase templates
    reply: tuple[str, ...]  # reply templates
    fits: Key  # any group of which every phrase occurs in the reply
    when: str = ""  # what must be true of the conversation, one of WHEN
    after: tuple[str, ...] = ()  # ids of which one must be the turn before
    spoken: bool = True  # False for garbled input nobody would say on purpose
    weight: float = 1.0  # how often, against the other intents
    topic: str = ""

    @property
    def filled(self) -> bool:
        """Whether every answer repeats or computes with something that was said, or is known."""
        return all(slot_names(reply) for reply in self.reply)


def expand(template: str, rng: random.Random) -> str:
    """One wording of `template` with its slots still in braces."""
    text = _MACRO.sub(lambda found: slot_values.macros()[found[1]], template)
    while _INNERMOST.search(text):
        text = _INNERMOST.sub(lambda found: rng.choice(found[1].split("|")), text)
    return " ".join(text.split())


def slot_names(template: str) -> list[str]:
    """The slots of a template in their order."""
    return _SLOT.findall(template)


def fill(text: str, slots: Slots) -> str:
    """`text` with every slot replaced. `KeyError` for a slot without a value."""
    return _ENDING.sub(r"\1", _SLOT.sub(lambda found: slots[found[1]], text))


def fits(key: Key, reply: str, slots: Slots) -> bool:
    """Whether `reply` contains every phrase of at least one group of the written key."""
    return any(all(fill(phrase, slots) in reply for phrase in group) for group in key)


def _lines(block: object) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(block).splitlines() if line.strip())


def _parse(path: Path, raw: dict[str, object]) -> Intent:
    known = {"id", "user", "like", "reply", "fits", "when", "after", "spoken", "weight"}
    where = f"{path.name}: intent {raw.get('id', '?')}"
    if unknown := set(raw) - known:
        raise DialogueError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    for needed in ("id", "reply", "fits"):
        if needed not in raw:
            raise DialogueError(f"{where}: {needed!r} is missing")
    when = str(raw.get("when", ""))
    if when not in WHEN:
        raise DialogueError(f"{where}: when = {when!r}; known are {', '.join(WHEN[1:])}")
    groups = raw["fits"]
    assert isinstance(groups, list)
    key = tuple((group,) if isinstance(group, str) else tuple(group) for group in groups)
    after = raw.get("after", [])
    assert isinstance(after, list)
    return Intent(
        id=str(raw["id"]),
        user=_lines(raw.get("user", "")),
        reply=_lines(raw["reply"]),
        fits=key,
        when=when,
        after=tuple(after),
        spoken=bool(raw.get("spoken", True)),
        weight=float(str(raw.get("weight", 1.0))),
        topic=path.stem,
    )


def intent_numbers() -> dict[str, int]:
    """The number of every intent, in the order of the files: a place in a row of logits."""
    return {id_: number for number, id_ in enumerate(load())}


@cache
def load() -> dict[str, Intent]:
    """Every intent by id, in the order of the files. `DialogueError` where a rule is broken."""
    raws: dict[str, tuple[Path, dict[str, object]]] = {}
    for path in sorted(_HERE.glob("*.toml")):
        if path.stem in ("slots", "tuning", "unseen"):
            continue
        for raw in tomllib.loads(path.read_text(encoding="utf-8"))["intent"]:
            if raw.get("id") in raws:
                raise DialogueError(f"{path.name}: intent {raw['id']} is there twice")
            raws[raw["id"]] = (path, raw)
    for _, raw in raws.values():
        if "like" in raw:  # a case of another intent: worded the same, answered otherwise
            raw["user"] = raws[str(raw["like"])][1]["user"]
    intents = {id_: _parse(path, raw) for id_, (path, raw) in raws.items()}
    for intent in intents.values():
        for earlier in intent.after:
            if earlier not in intents:
                raise DialogueError(f"{intent.topic}.toml: {intent.id}: no intent {earlier!r}")
    return intents


def template_words() -> frozenset[str]:
    """Every word of the templates that is no value of a slot."""
    words: set[str] = set()
    for intent in load().values():
        for template in (*intent.user, *slot_values.macros().values()):
            words |= set(re.sub(r"\{[a-z_]+\}|<[a-z_]+>|[()|]", " ", template).split())
    lists = slot_values.word_lists()
    values = {word for texts in lists.values() for text in texts for word in text.split()}
    return frozenset(words - values)
