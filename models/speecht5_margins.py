"""How near a voice comes to its guards: texts decoded, and what the watch saw of each clause.

The watch (`speecht5_watch`) ends a clause whose attention leaps, stays or runs away. How often it
does, and how far from its limits good clauses stay, is a property of trained weights; this says it.
Sound is not made. Knows nothing of who asks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.speecht5_clauses import WORDS, split
from models.speecht5_decoder import Decoder, Row
from models.speecht5_layout import SpeechT5Parts
from models.speecht5_watch import LINGER, TAIL, Watch, step_limit

ROWS = 8  # clauses decoded together


@dataclass(frozen=True)
class Text:
    """One to decode, clause by clause."""

    text: str
    voice: str
    emotion: str
    seed: int


@dataclass(frozen=True)
class Margins:
    """What the watch saw of one clause; lengths in characters and steps."""

    fault: str  # empty: said to its end
    leap: float  # the farthest that attention went forward in one step
    back: float  # the farthest behind where it had been
    stayed: int  # most steps without coming farther, before the end was near
    used: float  # share of the steps it might take
    stopped: bool  # the model said that it was over, and was not only taken to be
    steps: int
    characters: int


def margins(watch: Watch) -> Margins:
    """Of a clause that is over, or was given up."""
    last = watch.characters - 1
    farthest, since = 0.0, 0
    leap = back = 0.0
    stayed = 0
    for at in watch.path:
        leap, back = max(leap, at - farthest), max(back, farthest - at)
        if at > farthest + 0.5:
            farthest, since = at, 0
        else:
            since += 1
        if farthest < last - TAIL:
            stayed = max(stayed, since)
    return Margins(
        fault=watch.fault,
        leap=round(leap, 2),
        back=round(back, 2),
        stayed=stayed,
        used=round(len(watch.path) / max(1, watch.limit), 3),
        stopped=watch.over and since < LINGER,
        steps=len(watch.path),
        characters=watch.characters,
    )


def limits(watch: Watch) -> dict[str, float]:
    """What its guards allow, under the names of `Margins`."""
    most = watch.limits
    return {"leap": most.leap, "back": most.back, "stayed": float(most.stuck), "used": 1.0}


def decode(
    parts: SpeechT5Parts, texts: Sequence[Text], *, words: int = WORDS, rows: int = ROWS
) -> Iterator[dict[str, Any]]:
    """A row for each clause of at most `words` words, as it is over; JSON-ready.

    A clause is decoded once: what a second attempt would have said is not asked.

    Raises:
        UnknownVoice: no such voice or emotion.
    """
    clauses = [(text, clause) for text in texts for clause in split(text.text, words)]
    encoded = [parts.characters.encode(clause) for _, clause in clauses]
    longest = max(map(len, encoded), default=1)
    decoder = Decoder(parts.acoustic, parts.voices.decoding, rows=rows, characters=longest)
    held = bool(parts.voices.decoding.ahead)
    waiting = list(range(len(clauses)))
    speaking: dict[int, tuple[Row, Watch]] = {}
    while waiting or speaking:
        while waiting and decoder.free:
            number = waiting.pop(0)
            text, ids = clauses[number][0], encoded[number]
            speaker = parts.voices.embedding(text.voice, text.emotion)
            limit = min(step_limit(len(ids)), decoder.steps)
            row = decoder.join(ids, speaker, seed=text.seed, limit=limit)
            speaking[number] = row, Watch(len(ids), row.limit, held)
        made = {id(row): step for row, step in decoder.step()}
        for number, (row, watch) in list(speaking.items()):
            step = made[id(row)]
            watch.step(step.at, step.stop)
            if watch.over or watch.fault:
                decoder.leave(row)
                del speaking[number]
                text, clause = clauses[number]
                found = {"clause": clause, **asdict(margins(watch)), "limits": limits(watch)}
                yield asdict(text) | found
