"""What an epoch of a Moshi run is made of: dialogues, and answers as text where they are ours."""

import dataclasses
from pathlib import Path

from models.moshi_text import MoshiText
from tests.training.test_duplex_dataset import foreign
from tests.training.tiny_dialogues import write_codec
from tests.training.words import WORDS
from training.moshi_data import Sets
from training.moshi_network import Batch
from training.moshi_preset import PRESETS, Listening
from training.moshi_tokenizer import train

PRESET = dataclasses.replace(
    PRESETS["tiny"], set_size=1, written=2, listening=Listening(sets=1, size=1)
)


def heard(manifest: Path | None, out: Path, epoch: int) -> list[Batch]:
    """An epoch of the tiny preset, encoded on the spot."""
    text = MoshiText.parse(train([f"{a} {b}" for a in WORDS for b in WORDS], 500))
    sets = Sets(PRESET, write_codec(out / "codec"), out, manifest, "cpu")
    batches = sets.epoch(epoch, text)
    return [batches[number] for number in range(len(batches))]


def without_sound(batches: list[Batch]) -> int:
    return sum(int((batch.codes[:, 1:] < 0).all()) for batch in batches)


def test_answers_are_read_beside_dialogues(tmp_path: Path) -> None:
    assert without_sound(heard(None, tmp_path, epoch=1)) == 2
    assert without_sound(heard(None, tmp_path, epoch=0)) == 0  # first it only listens


def test_beside_the_dialogues_of_others_they_are_not(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    batches = heard(foreign(tmp_path / "set"), tmp_path, epoch=0)
    assert len(batches) == 1
    assert without_sound(batches) == 0
