"""Weights in 8 bits come back within half a step, and nobody takes them for something else."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import int8_files
from models.int8_files import PACKED, PLAIN, NothingToStore, pack_directory, unpack_directory
from models.int8_rows import FULL, SCALE, pack, unpack


def state() -> dict[str, torch.Tensor]:
    """Matrices of rows of very different size, and what is left as it is."""
    torch.manual_seed(0)
    rows = torch.logspace(-4, 1, 64)[:, None]
    return {
        "linear": torch.randn(64, 128) * rows,
        "conv": torch.randn(32, 16, 9),
        "silent": torch.zeros(64, 64),
        "small": torch.randn(8, 8),
        "bias": torch.randn(64),
        "count": torch.tensor(7),
    }


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    """Greatest distance in each row, in steps of the row."""
    rows = one[name].flatten(1)
    step = rows.abs().amax(1).clamp(min=1e-12) / FULL
    return (rows - other[name].float().flatten(1)).abs().amax(1) / step


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    (folder / "vocoder").mkdir(parents=True)
    for where in (folder, folder / "vocoder"):
        halves = {n: v.half() if v.is_floating_point() else v for n, v in state().items()}
        save_file(halves, where / PLAIN)
    (folder / "config.json").write_text("{}")
    return folder


def test_rows_come_back_within_half_a_step():
    wanted, packed = state(), pack(state())
    assert packed["linear"].dtype == packed["conv"].dtype == torch.int8
    assert packed["linear" + SCALE].shape == (64,)
    found = unpack(packed)
    assert found.keys() == wanted.keys()
    for name in ("linear", "conv", "silent"):
        assert apart(wanted, found, name).max() <= 0.5 + 1e-4
    for name in ("small", "bias", "count"):
        assert torch.equal(found[name], wanted[name])


def test_what_was_packed_packs_to_the_same_steps():
    """So that CTranslate2's int8, which scales rows alike, changes nothing again."""
    packed = pack(state())
    again = pack({n: v.half().float() for n, v in unpack(packed).items()})
    assert torch.equal(again["conv"], packed["conv"])


def test_a_directory_goes_there_and_back(plain: Path, tmp_path: Path):
    small = pack_directory(plain, tmp_path / "small")
    assert int8_files.is_packed(small)
    assert not int8_files.is_packed(plain)
    assert not list(small.rglob(PLAIN))
    assert (small / "config.json").read_text() == "{}"
    for folder in (small, small / "vocoder"):
        weighs = (folder / PACKED).stat().st_size
        assert weighs < 0.65 * (plain / PLAIN).stat().st_size
        assert apart(state(), int8_files.read(folder), "linear").max() < 0.6
    back = unpack_directory(small, tmp_path / "back")
    found = load_file(back / "vocoder" / PLAIN)
    assert found["linear"].dtype == torch.float16
    assert apart(state(), found, "conv").max() < 0.6
    pack_directory(plain, small)  # replaces what is there
    with pytest.raises(NothingToStore, match=PLAIN):
        pack_directory(small, tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_a_state_is_stored_as_small_as_a_directory(plain: Path, tmp_path: Path):
    folder = tmp_path / "state"
    folder.mkdir()
    int8_files.write(state(), folder)
    stored = load_file(folder / PACKED)
    assert stored["small"].dtype == stored["bias"].dtype == torch.float16
    assert stored["linear" + SCALE].dtype == torch.float32
    assert apart(state(), int8_files.read(folder), "linear").max() <= 0.5 + 1e-4


def test_the_command_says_what_it_saved(
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    command = ["int8_files", str(plain), str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", command)
    assert int8_files.main() == 0
    assert "MB -> " in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*command, "--back"])
    assert int8_files.main() == 1
    assert f"holds no {PACKED}" in capsys.readouterr().err
