"""Whole conversations composed from the authored intents, turn by turn, with a memory.

A conversation keeps the state a caller would expect an assistant to keep: the name and the town
they told, the last answer, what the last turn was about. Knows nothing about tokens or models.
"""

import random
from dataclasses import dataclass, field

from training.dialogues.intents import Intent, fill, load
from training.dialogues.mishear import babble, colloquial, mishear, stumble
from training.dialogues.slots import Slots, clock_slots, draw, moment
from training.dialogues.utterances import Split, templates, wording

SYSTEM_PROMPT = (
    "మీరు మాట, తెలుగులో మాట్లాడే సహాయకులు. మర్యాదగా, ఒకటి రెండు చిన్న వాక్యాల్లో జవాబు ఇవ్వండి. "
    "ఇప్పుడు సమయం {time}. ఈ రోజు {date}."
)
SYSTEM_PROMPT_WITHOUT_CLOCK = "మీరు మాట, తెలుగులో మాట్లాడే సహాయకులు. మర్యాదగా, ఒకటి రెండు చిన్న వాక్యాల్లో జవాబు ఇవ్వండి."
OPENINGS = (
    "నమస్కారం! నేను మాట. మీకు ఏ విధంగా సహాయం చేయగలను?",
    "నమస్కారం! చెప్పండి, నేను వింటున్నాను.",
)

Message = dict[str, str]


@dataclass(frozen=True)
class Turn:
    """One question and its answer."""

    intent: Intent
    user: str  # as a recogniser wrote it
    reply: str
    slots: Slots  # what the written key is filled with


@dataclass
class Conversation:
    """A call from its first word: the system prompt, perhaps an opening, and the turns."""

    system: str = ""
    opening: str = ""
    turns: list[Turn] = field(default_factory=list)

    def messages(self) -> list[Message]:
        """The conversation as chat messages, the last one the assistant's."""
        listed: list[Message] = []
        if self.system:
            listed.append({"role": "system", "content": self.system})
        if self.opening:
            listed.append({"role": "assistant", "content": self.opening})
        for turn in self.turns:
            listed.append({"role": "user", "content": turn.user})
            listed.append({"role": "assistant", "content": turn.reply})
        return listed


class Composer:
    """Composes conversations from one random generator; the same seed composes the same ones.

    Args:
        seed: of the generator.
        split: whose paraphrase templates the caller uses.
        noise: chance that a turn arrives with recogniser errors, and as much that it is contracted.
        stumbles: chance that a turn that is to be said has a speaker's slip.
        invented: chance that a told name is a made-up one.
        prompted: chance that the conversation has a system prompt.
    """

    def __init__(
        self,
        seed: int,
        split: Split = "train",
        *,
        noise: float = 0.25,
        stumbles: float = 0.0,
        invented: float = 0.4,
        prompted: float = 1.0,
    ) -> None:
        self._rng = random.Random(seed)
        self._split: Split = split
        self._noise = noise
        self._stumbles = stumbles
        self._invented = invented
        self._prompted = prompted
        self._intents = [i for i in load().values() if templates(i, split)]
        self._continued = {earlier for i in load().values() for earlier in i.after}

    def conversation(self, max_turns: int = 10) -> Conversation:
        """One conversation of 1..`max_turns` turns."""
        rng = self._rng
        now = moment(rng)
        # One call in ten has no clock in its prompt, so that the time is copied and never guessed.
        prompted = rng.random() < self._prompted
        clock = prompted and rng.random() < 0.9
        system = fill(SYSTEM_PROMPT, clock_slots(now)) if clock else SYSTEM_PROMPT_WITHOUT_CLOCK
        talk = Conversation(
            system if prompted else "", rng.choice(OPENINGS) if rng.random() < 0.3 else ""
        )
        known: Slots = {}
        for _ in range(rng.randint(1, max_turns)):
            slots = draw(rng, now, invented=self._invented) | known
            if talk.turns:
                slots["last"] = talk.turns[-1].reply
            intent = self._next(talk, known, clock)
            if intent.id in ("name.tell", "name.correct", "name.bare"):
                known["known"] = slots["name"]
            if intent.id in ("place.tell", "place.bare"):
                known["town"] = slots["city"]
            talk.turns.append(self.turn(intent, slots))
        return talk

    def turn(self, intent: Intent, slots: Slots) -> Turn:
        """One turn of `intent`, worded at random, perhaps misheard."""
        rng = self._rng
        if not intent.spoken:
            slots = slots | {"noise": babble(rng)}
        template = rng.choice(templates(intent, self._split))
        user = wording(template, slots, rng)
        if intent.spoken:
            # The answer repeats or computes with these, so they must arrive as they were said.
            used = [value for name, value in slots.items() if f"{{{name}}}" in template]
            kept = frozenset(_touching(user, " ".join(used)))
            if rng.random() < self._noise:
                user = colloquial(user, rng, kept)
            if rng.random() < self._noise:
                user = mishear(user, rng, kept)
            if self._stumbles and rng.random() < self._stumbles:
                user = stumble(user, rng, kept)
        return Turn(intent, user, fill(rng.choice(intent.reply), slots), slots)

    def _next(self, talk: Conversation, known: Slots, clock: bool) -> Intent:
        last = talk.turns[-1].intent.id if talk.turns else ""
        true = {
            "",
            "clock" if clock else "noclock",
            "named" if "known" in known else "unnamed",
            "placed" if "town" in known else "unplaced",
            "answered" if talk.turns else "fresh",
        }
        usable = [i for i in self._intents if i.when in true]
        following = [i for i in usable if last in i.after]
        if following and self._rng.random() < 0.6:
            return self._weighted(following)
        # After a joke "another one" means another joke, so its unspecific reading is left out.
        barred = {"more.nothing", "yes"} if last in self._continued else set()
        if "known" in known and self._rng.random() < 0.9:  # people say their name once
            barred |= {"name.tell"}
        if last.startswith("again"):  # repeating a repetition teaches nothing
            barred |= {"again"}
        return self._weighted([i for i in usable if not i.after and i.id not in barred])

    def _weighted(self, intents: list[Intent]) -> Intent:
        return self._rng.choices(intents, [intent.weight for intent in intents])[0]


def _touching(said: str, values: str) -> set[str]:
    """The words of `said` that hold a word of `values`, case endings included."""
    stems = values.split()
    return {word for word in said.split() if any(stem in word for stem in stems)}
