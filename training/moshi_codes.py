"""Dialogues as codec codes on disk: encoded once, read many times while a Moshi trains.

Encoding a dialogue costs a small CPU three times what a training step spends on it, so it is done
ahead, set by set, each set read for several epochs. A set's file is named after everything that
decides what is in it (the dialogues, the codec, the numbers), lies there whole or not at all, and
an interrupted set goes on at its last whole shard. Words are kept with their times, not as tokens:
another tokenizer needs no new codes.
"""

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import codec as codecs
from models.audio import to_float32
from models.moshi_checkpoint import fingerprint
from training.codec_memory import keep_freed_memory
from training.duplex_dialogue import FRAME, DialogueSource, SpokenDialogue, Word
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
    processes: int = 1  # that speak; this one encodes
    question: bool = False  # the user's side alone, until the question is over

    def shards(self, numbers: range) -> list[Path]:
        """Where the dialogues of `numbers` lie, once they are encoded."""
        identity = fingerprint(self.codec / codecs.WEIGHTS)
        paths: list[Path] = []
        for first in range(numbers.start, numbers.stop, SHARD):
            last = min(first + SHARD, numbers.stop)
            parts = [_FORMAT, self.name, identity, first, last, TAIL, self.question]
            key = json.dumps(parts)
            digest = hashlib.sha256(key.encode()).hexdigest()[:16]
            kind = "questions" if self.question else "dialogues"
            paths.append(self.folder / f"{kind}-{first:07d}-{digest}")
        return paths

    def encode(self, numbers: range, progress: Progress | None = None) -> list[Path]:
        """Encodes those that are not there yet; returns what `CodedDialogues` reads.

        Raises CodecError where the codec cannot be loaded.
        """
        paths = self.shards(numbers)
        starts = range(numbers.start, numbers.stop, SHARD)
        missing = [
            (path, range(first, min(first + SHARD, numbers.stop)))
            for path, first in zip(paths, starts, strict=True)
            if not path.with_suffix(".json").exists()
        ]
        if missing:
            self.folder.mkdir(parents=True, exist_ok=True)
            mimi = codecs.load(self.codec, device=self.device)
            wanted = [number for _, part in missing for number in part]
            spoken = self._spoken(wanted)
            encoded = _question if self.question else _encoded
            done = 0
            for path, part in missing:
                _write(path, [encoded(mimi, next(spoken)) for _ in part])
                done += len(part)
                if progress:
                    progress(done, len(wanted))
        return paths

    def _spoken(self, numbers: list[int]) -> Iterator[SpokenDialogue]:
        if isinstance(self.source, DialogueSource):
            return self.source.spoken(numbers, self.processes)
        return map(self.source.dialogue, numbers)

    def ahead(self, numbers: range) -> multiprocessing.Process | None:
        """Encodes in a process of its own, if nobody did yet; join it before reading."""
        if all(path.with_suffix(".json").exists() for path in self.shards(numbers)):
            return None
        process = multiprocessing.get_context("spawn").Process(
            target=_encode_quietly, args=(self, numbers), daemon=True
        )
        process.start()
        return process  # pyright: ignore[reportReturnType]


def _encode_quietly(encoder: Encoder, numbers: range) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the trainer, which ends this
    os.nice(5)  # training comes first
    torch.set_num_threads(1)
    keep_freed_memory()
    replace(encoder, processes=1).encode(numbers)


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
