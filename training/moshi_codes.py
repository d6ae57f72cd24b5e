"""Dialogues as codec codes on disk: encoded once, read many times while a Moshi trains.

Encoding a dialogue costs a small CPU three times what a training step spends on it, so it is done
ahead (`moshi_ahead.py`), set by set, each set read for several epochs. A shard's file is named
after everything that decides what is in it (the dialogues, the codec, the numbers) and lies there
whole or not at all. Words are kept with their times, not as tokens: another tokenizer needs no new
codes. Knows nothing of processes or networks.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import codec as codecs
from models.audio import to_float32
from models.moshi_checkpoint import fingerprint
from training.duplex_dialogue import FRAME, SpokenDialogue, Word
from training.utterances import Progress

SHARD = 50  # dialogues; a minute of work at most
_FORMAT = 2  # of the files
TAIL = 6  # frames of silence behind a dialogue, in which its last word's tokens have room
UNHEARD = 65_535  # in place of a code: nobody encoded it


class Dialogues(Protocol):
    """Where dialogues come from; `dialogue(n)` is a function of n alone."""

    def dialogue(self, number: int) -> SpokenDialogue: ...


@dataclass(frozen=True)
class Asked:
    """What a question was about, and when it was over and its answer began, in samples."""

    intent: str
    end: int
    answer: int


@dataclass(frozen=True, eq=False)
class CodedDialogue:
    """A dialogue of S frames as a Moshi reads it."""

    codes: np.ndarray  # uint16 [2 K, S]: the agent's codebooks, then the user's; or UNHEARD
    agent_words: tuple[Word, ...]
    user_words: tuple[Word, ...]
    voice: str  # "" when nobody knows
    emotion: str
    asked: tuple[Asked, ...] = ()  # where it is known

    @property
    def frames(self) -> int:
        """Until all is said; the codes may end before."""
        return _frames(self.codes.shape[1], [word.end for word in self.agent_words])


@dataclass(frozen=True)
class Encoder:
    """What turns dialogue numbers into files."""

    source: Dialogues
    name: str  # of the source: the same name stands for the same dialogues
    codec: Path
    folder: Path
    device: str = "cpu"
    question: bool = False  # the user's side alone, until the question is over

    def shards(self, numbers: range) -> list["Shard"]:
        """The files of `numbers`, encoded or not."""
        identity = fingerprint(self.codec / codecs.WEIGHTS)
        kind = "questions" if self.question else "dialogues"
        shards: list[Shard] = []
        for first in range(numbers.start, numbers.stop, SHARD):
            last = min(first + SHARD, numbers.stop)
            parts = [_FORMAT, self.name, identity, first, last, TAIL, self.question]
            digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
            path = self.folder / f"{kind}-{first:07d}-{digest}"
            shards.append(Shard(self, path, range(first, last)))
        return shards

    def encode(self, numbers: range, progress: Progress | None = None) -> list[Path]:
        """Encodes those that are not there yet; returns what `CodedDialogues` reads.

        Raises CodecError where the codec cannot be loaded.
        """
        shards = self.shards(numbers)
        missing = [shard for shard in shards if not shard.done]
        wanted, done = sum(len(shard.numbers) for shard in missing), 0
        for shard in missing:
            shard.make()
            done += len(shard.numbers)
            if progress:
                progress(done, wanted)
        return [shard.path for shard in shards]


@dataclass(frozen=True)
class Shard:
    """Dialogues that are encoded together."""

    encoder: Encoder
    path: Path  # without a suffix
    numbers: range

    @property
    def done(self) -> bool:
        return self.path.with_suffix(".json").exists()

    def make(self) -> None:
        """Encodes them. Raises CodecError where the codec cannot be loaded."""
        encoder = self.encoder
        mimi = _codec(encoder.codec, encoder.device)
        encoded = _question if encoder.question else _encoded
        made = [encoded(mimi, encoder.source.dialogue(number)) for number in self.numbers]
        encoder.folder.mkdir(parents=True, exist_ok=True)
        _write(self.path, made)


@lru_cache(maxsize=1)
def _codec(folder: Path, device: str) -> codecs.MimiModel:
    # A codec is built with random weights before its own are read. Whether one is built at all
    # depends on what was encoded before, and a run must start from the same numbers either way.
    with torch.random.fork_rng(devices=[]):
        return codecs.load(folder, device=device)


def _encoded(mimi: codecs.MimiModel, dialogue: SpokenDialogue) -> CodedDialogue:
    silence = np.zeros(TAIL * FRAME, np.int16)
    tracks = (np.concatenate([pcm, silence]) for pcm in (dialogue.agent, dialogue.user))
    codes = [codecs.codes_of(mimi, to_float32(pcm)) for pcm in tracks]
    return CodedDialogue(
        np.concatenate(codes).astype(np.uint16),
        dialogue.agent_words,
        dialogue.user_words,
        dialogue.voice,
        dialogue.emotion,
        _asked(dialogue),
    )


def _asked(dialogue: SpokenDialogue) -> tuple[Asked, ...]:
    return tuple(Asked(e.intent, e.question_end, e.reply_start) for e in dialogue.exchanges)


def _question(mimi: codecs.MimiModel, dialogue: SpokenDialogue) -> CodedDialogue:
    """The first question as it is heard, and its answer as it is written."""
    end = (dialogue.exchanges[0].question_end // FRAME + TAIL) * FRAME
    heard = codecs.codes_of(mimi, to_float32(dialogue.user[:end]))
    return CodedDialogue(
        np.concatenate([np.full_like(heard, UNHEARD), heard]).astype(np.uint16),
        dialogue.agent_words,
        dialogue.user_words,
        dialogue.voice,
        dialogue.emotion,
        _asked(dialogue),
    )


def _frames(codes: int, ends: list[int]) -> int:
    return max([codes, *(-(-end // FRAME) + TAIL for end in ends)])


def _write(path: Path, dialogues: list[CodedDialogue]) -> None:
    """Codes frame by frame in one file, everything else in a JSON, which comes last."""
    parts = [path.with_suffix(f".{os.getpid()}.{kind}.part") for kind in ("codes", "json")]
    parts[0].write_bytes(b"".join(d.codes.T.tobytes() for d in dialogues))
    index = [
        {
            "frames": d.codes.shape[1],
            "streams": d.codes.shape[0],
            "agent": [[w.text, w.start, w.end] for w in d.agent_words],
            "user": [[w.text, w.start, w.end] for w in d.user_words],
            "voice": d.voice,
            "emotion": d.emotion,
            "asked": [[a.intent, a.end, a.answer] for a in d.asked],
        }
        for d in dialogues
    ]
    parts[1].write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")
    parts[0].rename(path.with_suffix(".codes"))
    parts[1].rename(path.with_suffix(".json"))


class CodedDialogues(Sequence[CodedDialogue]):
    """Encoded dialogues, mapped into memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._rows: list[tuple[dict, np.memmap, int]] = []  # index entry, codes, first value
        for path in paths:
            index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            values = np.memmap(path.with_suffix(".codes"), np.uint16, "r")
            at = 0
            for entry in index:
                self._rows.append((entry, values, at))
                at += entry["frames"] * entry["streams"]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> CodedDialogue:  # pyright: ignore
        entry, values, at = self._rows[number]
        count = entry["frames"] * entry["streams"]
        codes = np.asarray(values[at : at + count]).reshape(-1, entry["streams"]).T
        return CodedDialogue(
            codes,
            *(tuple(Word(*word) for word in entry[side]) for side in ("agent", "user")),
            voice=entry["voice"],
            emotion=entry["emotion"],
            asked=tuple(Asked(*asked) for asked in entry["asked"]),
        )

    @property
    def frames(self) -> np.ndarray:
        """Length of every dialogue until all is said, int64 [N]."""
        lengths = (
            _frames(entry["frames"], [end for _, _, end in entry["agent"]])
            for entry, _, _ in self._rows
        )
        return np.array(list(lengths), np.int64)
