"""Stereo dialogues on disk, in the format of moshi-finetune: written, and read from anywhere.

    python -m training.duplex_dataset OUT [--count 1000] [--seed 0] [--seconds 30] [--held-out]

A manifest of `{"path", "duration"}` lines, seconds, that lists recordings (`duplex_recording.py`).
An interrupted run goes on where it stopped. Knows nothing of how a dialogue is made or tokenized.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from training.duplex_dialogue import FRAME, RATE, DialogueSource, SpokenDialogue
from training.duplex_recording import (
    DatasetError,
    length,
    read_recording,
    write_recording,
    write_whole,
)
from training.utterances import Progress, progress_line

__all__ = ["DatasetError", "StereoDataset", "write_dataset"]

MANIFEST = "dialogues.jsonl"
_FOLDER = "data_stereo"
_SOURCE = "source.json"


class _Line(msgspec.Struct):
    path: str
    duration: Annotated[float, msgspec.Meta(ge=0.0)]


class StereoDataset:
    """The dialogues of a manifest, by number, in pieces of at most `longest` samples.

    Recordings may have any sample rate; relative paths count from the manifest's folder. Raises
    DatasetError where the manifest is missing or broken; `dialogue` does for a recording.
    """

    def __init__(self, manifest: Path, longest: int = 30 * RATE) -> None:
        if longest < FRAME or longest % FRAME:
            raise ValueError(f"A piece has whole frames of {FRAME} samples, not {longest} samples.")
        self._pieces = [  # file, first sample, one past the last sample at 24 kHz
            (path, start, min(start + longest, samples))
            for path, samples in _listed(manifest)
            for start in range(0, samples, longest)
        ]
        if not self._pieces:
            raise DatasetError(f"{manifest}: lists no recording")

    def __len__(self) -> int:
        return len(self._pieces)

    def dialogue(self, number: int) -> SpokenDialogue:
        """Piece `number`, filled up to whole frames with silence; "" for a voice nobody named."""
        return read_recording(*self._pieces[number])


def write_dataset(
    out: Path,
    source: DialogueSource,
    count: int,
    *,
    processes: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Dialogues 0..`count` of `source` under `out`; returns the manifest.

    Those that are there already are kept, so that more can be asked for, or a stopped run go on.
    Raises DatasetError where `out` holds another source's.
    """
    folder = out / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _claim(out / _SOURCE, msgspec.json.encode(source))
    wavs = [folder / f"{number:06d}.wav" for number in range(count)]
    missing = [number for number, wav in enumerate(wavs) if not wav.with_suffix(".json").exists()]
    made = source.spoken(missing, processes)
    for done, (number, dialogue) in enumerate(zip(missing, made, strict=True), 1):
        write_recording(wavs[number], dialogue)
        if progress and (done % 20 == 0 or done == len(missing)):
            progress(done, len(missing))
    lines = (
        json.dumps({"path": f"{_FOLDER}/{wav.name}", "duration": length(wav) / RATE}) + "\n"
        for wav in wavs
    )
    manifest = out / MANIFEST
    text = "".join(lines)
    write_whole(manifest, lambda part: part.write_text(text, encoding="utf-8"))
    return manifest


def _claim(path: Path, source: bytes) -> None:
    """Notes whose dialogues are in a folder; refuses to mix them with another's."""
    if not path.exists():
        write_whole(path, lambda part: part.write_bytes(source))
    elif path.read_bytes() != source:
        raise DatasetError(
            f"{path}: the folder holds dialogues of other settings; write to another one"
        )


def _listed(manifest: Path) -> Iterator[tuple[Path, int]]:
    """The recordings and their lengths in samples at 24 kHz."""
    if not manifest.is_file():
        raise DatasetError(f"{manifest}: no such manifest; give the dataset's .jsonl file")
    for number, line in enumerate(manifest.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError as error:
            raise DatasetError(
                f'{manifest}, line {number}: {error}; a line is {{"path": ..., "duration": ...}}'
            ) from error
        yield manifest.parent / entry.path, round(entry.duration * RATE)


def make(out: Path, count: int, seed: int, seconds: float, held_out: bool, processes: int) -> Path:
    """The data step: `count` dialogues of at most `seconds` under `out`; returns the manifest."""
    split = "held_out" if held_out else "train"
    longest = round(seconds * RATE) // FRAME * FRAME
    source = DialogueSource(seed, longest, wordings=split, callers=split)
    progress = progress_line("dialogues")
    return write_dataset(out, source, count, processes=processes, progress=progress)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make a stereo dataset of spoken dialogues.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1000, help="dialogues")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the longest dialogue")
    parser.add_argument("--held-out", action="store_true", help="unseen wordings, unseen callers")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    print(make(**vars(given)))
