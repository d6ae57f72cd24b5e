"""Where weights live: `starter/asr`, a path or `hf://owner/name@revision` to a directory.

Knows nothing about what is inside the directory. `hf://` addresses are looked up in the local hub
cache first, so that a machine that fetched them once works offline afterwards; `fetch.py` fetches
them with progress, and goes on where it was interrupted.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HUB_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")
# Files of hub repositories that nothing here reads: the same weights for other frameworks, and what
# their training left behind. Half of what some repositories hold.
IGNORED = [
    "original/*",  # Meta's own format beside the Llamas
    "*.msgpack",
    "*.h5",
    "*.ot",
    "*.pth",
    "*.gguf",
    "*.onnx",
    "onnx/*",
    "openvino/*",
    "runs/*",
    "training_args.bin",
    "optimizer.pt",
]


class WeightsMissing(Exception):
    """The address names weights that are not on this machine; the message says what to do."""


def starter_root() -> Path:
    """The directory of the shipped starter weights; `MAATA_WEIGHTS` overrides it."""
    return Path(os.environ.get("MAATA_WEIGHTS", ROOT / "weights"))


def is_starter(address: str) -> bool:
    """Whether the address names one of the shipped starter models."""
    return address.startswith("starter/")


def resolve(address: str) -> Path:
    """The directory behind a weights address.

    Raises:
        WeightsMissing: nothing is there; the sentence names the address and the remedy.
    """
    if address.startswith("hf://"):
        return _hub_directory(address)
    path = starter_root() / address if is_starter(address) else Path(address).expanduser()
    if not path.is_dir() or not any(path.iterdir()):
        remedy = (
            "they are not in this checkout: get them with the repository, set MAATA_WEIGHTS, or "
            "train them (maata train --help)"
            if is_starter(address)
            else "give an existing directory, starter/NAME or hf://owner/name@revision"
        )
        raise WeightsMissing(f"no weights at {address!r} ({path}): {remedy}")
    return path


def local(address: str) -> Path:
    """As `resolve`, but never fetches anything.

    Raises:
        WeightsMissing: nothing whole is there; the sentence names the address and the remedy.
    """
    if not address.startswith("hf://"):
        return resolve(address)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repo, revision = parse_hub(address)
    try:
        return Path(
            snapshot_download(
                repo, revision=revision, local_files_only=True, ignore_patterns=IGNORED
            )
        )
    except LocalEntryNotFoundError as e:
        raise WeightsMissing(
            f"{address} is not, or not whole, in the local hub cache: run `maata weights fetch`"
        ) from e


def parse_hub(address: str) -> tuple[str, str | None]:
    """The repository and the revision of an `hf://` address; None for the newest revision.

    Raises:
        WeightsMissing: it is no such address.
    """
    match = HUB_ADDRESS.match(address)
    if match is None:
        raise WeightsMissing(f"{address!r} is no hub address: write hf://owner/name@revision")
    return match["repo"], match["revision"]


def _hub_directory(address: str) -> Path:
    repo, revision = parse_hub(address)
    try:
        return local(address)
    except WeightsMissing:
        pass
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, ignore_patterns=IGNORED))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as e:
        raise WeightsMissing(
            f"{address} is not in the local hub cache and could not be fetched "
            f"({type(e).__name__}): connect once and run `maata weights fetch`, which says what is "
            "missing, or use the starter profile"
        ) from e
