"""The sentences the starter recogniser learns from, and those it is tested on: text only.

Reads the text files of a data directory (argument or `MAATA_DATA`, default `data/`), keeps what may
be trained into weights that are given away (CC0, CC-BY, our own dialogues; never share-alike), puts
it into the form in which it is spoken, and holds out a tenth by a hash of the sentence itself, so
that the split is the same whatever else changes. Knows nothing of voices or audio.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from models.telugu.spoken import speakable
from models.telugu.standard import te_std

Split = Literal["train", "held_out"]

HELD_OUT_SHARE = 0.1
MAX_WORDS = 16
MAX_LETTERS = 90  # code points; at the slowest voice about 8 s
_SPOKEN = re.compile(r"[\u0c00-\u0c7f ]+")
_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_SENTENCE_END = re.compile(r"(?<=[.?!।])\s+")


@dataclass(frozen=True)
class Source:
    """A file of the data directory. `limit`: sentences an epoch takes of it, None for all."""

    name: str
    file: str
    licence: str
    key: str = ""  # of the JSON object that holds the text; empty for plain text
    limit: int | None = None
    masked: bool = False  # expanded from templates: sentences that differ in digits only are one


# Credits: AI4Bharat, IndicVoices (CC-BY-4.0); Pratham Books, StoryWeaver (CC-BY-4.0, authors in the
# data's own list); Mozilla Common Voice (CC0-1.0). Not here, on purpose: OpenSLR 66, Dakshina,
# Wikipedia prompts and UD_Telugu-MTG are share-alike, the UDHR has no licence statement.
SOURCES = (
    Source("everyday", "indicvoices_everyday.txt", "CC-BY-4.0"),
    Source("questions", "indicvoices_questions.txt", "CC-BY-4.0", limit=400),
    Source("grocery", "indicvoices_grocery.txt", "CC-BY-4.0", limit=500, masked=True),
    Source("payments", "indicvoices_payments.txt", "CC-BY-4.0", limit=400, masked=True),
    Source("government", "indicvoices_government.txt", "CC-BY-4.0", limit=400, masked=True),
    Source("intents", "indicvoices_intent_templates.jsonl", "CC-BY-4.0", key="te"),
    Source("districts", "indicvoices_district_qa.jsonl", "CC-BY-4.0", "question_te", limit=100),
    Source("stories", "pratham_books_sentences.txt", "CC-BY-4.0", limit=1500),
    Source("commonvoice", "commonvoice_te_validated_sentences.txt", "CC0-1.0"),
)


class DataMissing(Exception):
    """The data directory or a file in it is not there; the message says what to give."""


def data_root(given: Path | str | None = None) -> Path:
    """The directory that holds `text/`: the argument, `MAATA_DATA`, or `data/`."""
    root = Path(given or os.environ.get("MAATA_DATA") or "data").expanduser()
    if not (root / "text").is_dir():
        raise DataMissing(
            f"no text/ in {root}: give the directory of the Telugu text with --data or MAATA_DATA"
        )
    return root


def split_of(sentence: str) -> Split:
    """The split of a sentence in te-std form, by its own hash: one in ten is held out."""
    digest = hashlib.sha256(f"maata held-out {sentence}".encode()).digest()
    return "held_out" if int.from_bytes(digest[:4]) < HELD_OUT_SHARE * 2**32 else "train"


def spoken(text: str) -> str:
    """What is said for a written sentence, in te-std form; empty if that is not Telugu speech."""
    said = te_std(speakable(text))
    if not _SPOKEN.fullmatch(said) or not 0 < len(said) <= MAX_LETTERS:
        return ""
    return said if len(said.split()) <= MAX_WORDS else ""


@lru_cache(maxsize=32)
def source_sentences(root: Path, source: Source) -> tuple[str, ...]:
    """All usable sentences of one source, distinct, in te-std form, in the file's order.

    Raises:
        DataMissing: the file is not in `root`/text.
    """
    path = root / "text" / source.file
    if not path.is_file():
        raise DataMissing(f"{path} is missing: the data directory is incomplete")
    seen: set[str] = set()
    kept: list[str] = []
    for line in _lines(path, source.key):
        for part in _SENTENCE_END.split(_ASIDE.sub(" ", line)):
            # Placeholders such as <CATEGORY> are Latin letters, which spoken() would spell out.
            said = "" if "<" in part else spoken(part)
            mark = _mask(part, said) if source.masked else said
            if said and mark not in seen:
                seen.add(mark)
                kept.append(said)
    return tuple(kept)


def _lines(path: Path, key: str) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)[key] if key else line.strip()


def _mask(written: str, said: str) -> str:
    return re.sub(r"\d+", "0", written) if re.search(r"\d", written) else said


def subsample(sentences: Iterable[str], limit: int | None, seed: int) -> list[str]:
    """At most `limit` sentences: those whose hash under `seed` is smallest."""
    listed = list(sentences)
    if limit is None or len(listed) <= limit:
        return listed
    return sorted(listed, key=lambda s: hashlib.sha256(f"{seed} {s}".encode()).digest())[:limit]


def dialogue_sentences(split: Split, seed: int = 0) -> list[str]:
    """What callers say in our own dialogues; `held_out` are templates `train` never samples."""
    from training.dialogues import user_utterances

    return [said for text in user_utterances(split, seed) if (said := spoken(text))]


def held_out(root: Path) -> dict[str, list[str]]:
    """The test sentences by source: never trained on, whichever source they come from."""
    lists = {
        source.name: [s for s in source_sentences(root, source) if split_of(s) == "held_out"]
        for source in SOURCES
    }
    return {"dialogues": dialogue_sentences("held_out"), **lists}


def training_sentences(root: Path, seed: int, dialogue_share: int = 6000) -> dict[str, list[str]]:
    """The training sentences by source; each seed takes another part of the limited ones."""
    forbidden = {s for sentences in held_out(root).values() for s in sentences}
    forbidden |= _human_test_sentences(root)
    lists = {source.name: source_sentences(root, source) for source in SOURCES}
    lists = {name: [s for s in all_ if split_of(s) == "train"] for name, all_ in lists.items()}
    chosen = {s.name: subsample(lists[s.name], s.limit, seed) for s in SOURCES}
    chosen["dialogues"] = subsample(dialogue_sentences("train", seed), dialogue_share, seed)
    return {name: [s for s in said if s not in forbidden] for name, said in chosen.items()}


def language_sentences(root: Path, dialogue_seeds: int) -> list[str]:
    """Everything a language model may learn from: no source limited, our dialogues many times."""
    forbidden = {s for sentences in held_out(root).values() for s in sentences}
    forbidden |= _human_test_sentences(root)
    said = [s for source in SOURCES for s in source_sentences(root, source)]
    talks = (dialogue_sentences("train", seed) for seed in range(dialogue_seeds))
    said += sorted({s for talk in talks for s in talk})
    return [s for s in said if s not in forbidden]


def _human_test_sentences(root: Path) -> set[str]:
    """The transcripts of the human clips the card reports: not to be learnt by heart either."""
    manifest = root / "speech" / "common_voice_te" / "manifest.jsonl"
    if not manifest.is_file():
        return set()
    return {te_std(text) for text in _lines(manifest, "text")}
