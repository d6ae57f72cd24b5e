"""The samples the page ships are what the recipe makes, and in the domain of the dialogues."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from models.audio import audible, dbfs, read_wav
from training.dialogues import user_utterances
from training.samples import RATE, SENTENCES, make
from training.unseen_callers import make as make_unseen
from training.utterances import HELD_OUT_VARIANTS

SHIPPED = Path(__file__).parents[2] / "web" / "public" / "samples"


def check(folder: Path) -> list[tuple[str, str]]:
    listed = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    for sample in listed:
        assert sample["url"] == f"/samples/{sample['id']}.wav"
        pcm = read_wav(folder / f"{sample['id']}.wav", RATE)
        assert 1 < len(pcm) / RATE < 4
        assert dbfs(pcm) > -30
        heard = audible(pcm, RATE)
        pauses = [b.start - a.end for a, b in pairwise(heard)]
        assert max(pauses, default=0) < RATE // 5  # a longer one would sound like the turn's end
    return [(sample["text"], sample["english"]) for sample in listed]


def test_the_shipped_samples_are_the_recipe_s(tmp_path):
    make(tmp_path)
    assert check(SHIPPED) == check(tmp_path) == list(SENTENCES.values())


def test_words_of_the_samples_are_known_to_the_dialogues():
    known = {
        word
        for split in ("train", "held_out")
        for s in user_utterances(split)
        for word in s.split()
    }
    for text, _ in SENTENCES.values():
        assert set(text.split()) <= known, text


def test_unseen_callers_are_unseen(tmp_path):
    make_unseen(tmp_path, 5, seed=3)
    trained = set(user_utterances("train"))
    lines = (tmp_path / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5
    for line in map(json.loads, lines):
        assert line["text"] not in trained
        assert line["variant"] in HELD_OUT_VARIANTS
        assert dbfs(read_wav(tmp_path / line["wav"], RATE)) > -35


def test_the_seed_decides(tmp_path):
    texts = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_unseen(tmp_path / folder, 3, seed)
        texts.append((tmp_path / folder / "manifest.jsonl").read_text(encoding="utf-8"))
    assert texts[0] == texts[1] != texts[2]
    with pytest.raises(ValueError, match="larger than population"):
        make_unseen(tmp_path / "d", 10**6, 0)
