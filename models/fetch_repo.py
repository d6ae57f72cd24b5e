"""What an address on the model hub means today, and how much of it is on this machine already.

Asks the hub for lists, never for files. Of the client's cache it knows that a
file's content lies there under its hash.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import filter_repo_objects

from models.fetch_errors import explain
from models.weights import IGNORED, parse_hub

HALF = ".half"  # ends the name of a blob that is not whole yet


@dataclass(frozen=True)
class Hub:
    """Where repositories come from and go to; None takes what the environment says."""

    endpoint: str | None = None
    cache: Path | None = None
    token: str | bool | None = None

    @property
    def directory(self) -> Path:
        """The client's cache: HF_HOME/hub unless given."""
        return self.cache or Path(constants.HF_HUB_CACHE)

    def blobs(self, repo: str) -> Path:
        """Where the contents of a repository's files lie, by their hashes."""
        return self.directory / repo_folder_name(repo_id=repo, repo_type="model") / "blobs"

    def api(self) -> HfApi:
        """The client."""
        return HfApi(endpoint=self.endpoint, token=self.token)


@dataclass(frozen=True)
class HubFile:
    """One file of a repository at one commit."""

    path: str
    size: int  # bytes
    blob: str  # sha256 of a large file, git's sha1 of a small one: its name in the cache
    large: bool


@dataclass(frozen=True)
class HubRepo:
    """What an address means today: a commit, its files, and under which terms."""

    address: str
    repo: str
    revision: str | None  # as asked for; None for the newest
    commit: str
    licence: str  # as the card says; "not stated" where it does not
    gated: bool  # terms must be accepted before it can be fetched
    allowed: bool  # whether this token may read it
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def look_up(address: str, hub: Hub | None = None) -> HubRepo:
    """Ask the hub what the address means; fetches nothing.

    Raises:
        FetchError: it cannot be asked, or has no such thing; the sentence names the remedy.
        WeightsMissing: no hub address.
    """
    hub = hub or Hub()
    repo, revision = parse_hub(address)
    try:
        info = hub.api().model_info(repo, revision=revision, files_metadata=True)
        allowed = not info.gated or _may_read(hub, repo)
    except Exception as e:
        raise explain(e, address, hub.token) from e
    files = [
        HubFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else s.blob_id or "", bool(s.lfs))
        for s in info.siblings or []
    ]
    kept = tuple(filter_repo_objects(files, ignore_patterns=IGNORED, key=lambda f: f.path))
    return HubRepo(
        address=address,
        repo=repo,
        revision=revision,
        commit=info.sha or "",
        licence=_licence(info.card_data),
        gated=bool(info.gated),
        allowed=allowed,
        files=kept,
    )


def _may_read(hub: Hub, repo: str) -> bool:
    try:
        hub.api().auth_check(repo)
    except RepositoryNotFoundError:  # a gated one's error is a kind of it
        return False
    return True


def _licence(card: Any) -> str:
    if card is None or not card.get("license"):
        return "not stated"
    named = card.get("license_name") if card.get("license") == "other" else None
    return str(named or card.get("license"))


def missing(found: HubRepo, hub: Hub | None = None) -> dict[HubFile, int]:
    """The files that are not here, and how many bytes of each are still to come."""
    blobs = (hub or Hub()).blobs(found.repo)
    left = {}
    for file in found.files:
        if not (blobs / file.blob).exists():
            half = blobs / (file.blob + HALF)
            done = half.stat().st_size if file.large and half.exists() else 0
            left[file] = max(0, file.size - done)
    return left
