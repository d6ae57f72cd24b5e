"""Shared by the recipes' tests: sentences of our own where a recipe looks for text."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.words import WORDS
from training import corpus


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny networks are no faster on more, and the losses of two runs are compared bit by bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory of our own sentences, and no more of our dialogues than that."""
    rng = random.Random(0)
    text = tmp_path / "data" / "text"
    text.mkdir(parents=True)
    for source in corpus.SOURCES:
        lines = {" ".join(rng.sample(WORDS, rng.randint(2, 4))) for _ in range(12)}
        written = [json.dumps({source.key: s}) if source.key else s for s in sorted(lines)]
        (text / source.file).write_text("\n".join(written), encoding="utf-8")
    dialogues = {
        "train": WORDS[:12],
        "held_out": [f"{a} {b}" for a, b in zip(WORDS, WORDS[3:], strict=False)],
    }
    monkeypatch.setattr(corpus, "dialogue_sentences", lambda split, seed=0: dialogues[split])
    corpus.source_sentences.cache_clear()
    yield tmp_path / "data"
    corpus.source_sentences.cache_clear()
