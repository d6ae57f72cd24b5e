"""Where weights live: `starter/asr`, a path or `hf://owner/name@revision` to a directory.

Knows nothing about what is inside the directory. `hf://` addresses are looked up in the local hub
cache first, so that a machine that fetched them once works offline afterwards.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HUB_ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")


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


def _hub_directory(address: str) -> Path:
    match = HUB_ADDRESS.match(address)
    if match is None:
        raise WeightsMissing(f"{address!r} is no hub address: write hf://owner/name@revision")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repo, revision = match["repo"], match["revision"]
    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(repo, revision=revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as e:
        raise WeightsMissing(
            f"{address} is not in the local hub cache and could not be fetched "
            f"({type(e).__name__}): connect once, accept the model's terms and set HF_TOKEN if it "
            "is gated, or use the starter profile"
        ) from e
