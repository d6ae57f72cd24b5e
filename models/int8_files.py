"""Directories of weights in 8-bit rows, half the size of fp16: made from published ones, or back.

    python -m models.int8_files SOURCE TARGET           stores SOURCE in 8 bits
    python -m models.int8_files SOURCE TARGET --back    in fp16 again, for stock tools

The `model.safetensors` of a directory, and of every directory in it, becomes
`model.int8.safetensors` (`int8_rows`); all else is copied. The name is another one so that tools
which do not know the form find no weights, rather than take steps for weights. Knows nothing of
what is stored.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.int8_rows import SCALE, pack, unpack

PLAIN, PACKED = "model.safetensors", "model.int8.safetensors"


class NothingToStore(ValueError):
    """The directory has no weights in the form that was to be changed."""


def is_packed(folder: Path) -> bool:
    """Whether the directory's own weights lie in 8 bits."""
    return (folder / PACKED).is_file()


def read(folder: Path) -> dict[str, Tensor]:
    """The state of a directory that `is_packed`, matrices in float32.

    Raises:
        OSError, safetensors.SafetensorError: the file is missing or damaged.
    """
    return unpack(load_file(folder / PACKED))


def write(state: dict[str, Tensor], folder: Path) -> None:
    """Stores a state in 8 bits; what is not a matrix goes to fp16."""
    packed = pack(state)
    halves = {n: v.half() for n, v in packed.items() if _real(v) and not n.endswith(SCALE)}
    _save({**packed, **halves}, folder / PACKED)


def pack_directory(source: Path, target: Path) -> Path:
    """`source` in 8 bits at `target`, which is replaced, whole or not at all.

    Raises:
        NothingToStore: there is no `model.safetensors` in it.
    """
    return _copied(source, target, PLAIN, PACKED, pack)


def unpack_directory(source: Path, target: Path, dtype: torch.dtype = torch.float16) -> Path:
    """The other way round, every float as `dtype`.

    Raises:
        NothingToStore: there is no `model.int8.safetensors` in it.
    """

    def back(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: v.to(dtype) if _real(v) else v for n, v in unpack(state).items()}

    return _copied(source, target, PACKED, PLAIN, back)


def _copied(
    source: Path,
    target: Path,
    old: str,
    new: str,
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> Path:
    found = sorted(path.relative_to(source) for path in source.rglob(old))
    if not found:
        raise NothingToStore(f"{source} holds no {old}: give a directory that does")
    scratch = target.with_name(target.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch, ignore=shutil.ignore_patterns(old))
    for path in found:
        _save(change(load_file(source / path)), (scratch / path).with_name(new))
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    return target


def _real(value: Tensor) -> bool:
    return value.is_floating_point()


def _save(state: dict[str, Tensor], path: Path) -> None:
    """transformers reads only files that say that they are torch's."""
    plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    save_file(plain, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors lets nobody else read what it writes


def main() -> int:
    """The command; prints what both directories weigh."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("source", type=Path)
    options.add_argument("target", type=Path)
    options.add_argument("--back", action="store_true", help="to fp16")
    told = options.parse_args()
    change = unpack_directory if told.back else pack_directory
    try:
        change(told.source, told.target)
    except NothingToStore as error:
        print(error, file=sys.stderr)
        return 1
    sizes = [
        sum(f.stat().st_size for f in d.rglob("*") if f.is_file())
        for d in (told.source, told.target)
    ]
    print(f"{sizes[0] / 1e6:.2f} MB -> {sizes[1] / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
