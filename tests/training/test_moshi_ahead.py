"""What is heard later is encoded by other processes, and read as if it had been made here."""

import time
from pathlib import Path

import numpy as np
import pytest

from tests.training.tiny_dialogues import NoiseDialogues, write_codec
from training import moshi_codes
from training.moshi_ahead import Ahead
from training.moshi_codes import CodedDialogues, Encoder


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codec(tmp_path_factory.mktemp("codec"))


@pytest.mark.slow
@pytest.mark.timeout(300)  # each process imports everything again
def test_two_processes_make_what_one_would(
    codec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moshi_codes, "SHARD", 2)
    whole = Encoder(NoiseDialogues(), "noise", codec_folder, tmp_path / "here").encode(range(6))
    there = Encoder(NoiseDialogues(), "noise", codec_folder, tmp_path / "there")
    seen: list[tuple[int, int]] = []
    ahead = Ahead(there.shards(range(6)), processes=2)
    try:
        ahead.wait(there.shards(range(6)), lambda done, of: seen.append((done, of)))
    finally:
        ahead.close()
    assert seen[-1] == (6, 6)
    paths = [shard.path for shard in there.shards(range(6))]
    for ours, theirs in zip(CodedDialogues(paths), CodedDialogues(whole), strict=True):
        assert np.array_equal(ours.codes, theirs.codes)
        assert ours.user_words == theirs.user_words
    assert not Ahead(there.shards(range(6)), processes=2).working  # nothing is left to do


class OneBreaks(NoiseDialogues):
    """The first dialogue cannot be spoken, the others are hardly ever done."""

    def dialogue(self, number: int):
        if number == 0:
            raise ValueError("nobody can say this")
        time.sleep(3_600)
        return super().dialogue(number)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_that_failed_is_not_waited_for_as_long_as_others_work(
    codec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moshi_codes, "SHARD", 2)
    broken = Encoder(OneBreaks(), "broken", codec_folder, tmp_path)
    shards = broken.shards(range(4))
    ahead = Ahead(shards, processes=2)
    try:
        ahead.wait(shards[:1])
        assert ahead.failed
        assert ahead.working
    finally:
        ahead.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nobody_waits_for_processes_that_failed(tmp_path: Path) -> None:
    lost = Encoder(NoiseDialogues(), "noise", write_codec(tmp_path / "codec"), tmp_path / "codes")
    shards = lost.shards(range(2))
    (tmp_path / "codec" / "model.safetensors").write_bytes(b"damaged")
    ahead = Ahead(shards, processes=1)
    ahead.wait(shards)
    assert not ahead.working
    assert not shards[0].done
    ahead.close()
