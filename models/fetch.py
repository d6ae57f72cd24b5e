"""A repository of the model hub, whole on this machine: fetched, resumed, verified.

Large files are fetched here, each into a half file beside the hub client's own blobs that a later
run goes on with (the client, 2.4, throws its half files away), and move into the cache once their
sha256 is the hub's. The client then fetches the small files and lays the snapshot out, so that
`weights.resolve` and every other tool finds it, offline too. Knows nothing of profiles or screens.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from huggingface_hub import hf_hub_url, snapshot_download
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars

from models.fetch_errors import FULL, DiskFull, FetchError, explain, gated, roomier
from models.fetch_repo import HALF, Hub, HubFile, HubRepo, missing
from models.weights import IGNORED

HEADROOM = 1 << 30  # bytes left free on the disk, for logs and what else grows meanwhile

Report = Callable[[str, int], None]  # (file, bytes more of it; negative when they are thrown away)


def fetch(
    found: HubRepo,
    hub: Hub | None = None,
    report: Report = lambda file, more: None,
) -> Path:
    """Fetch what is missing, verify it, and return the directory of the snapshot.

    Safe to interrupt at any point: the next call goes on from the bytes that are here.

    Raises:
        FetchError: not allowed, not reachable, no room, or damaged on the way.
    """
    hub = hub or Hub()
    left = missing(found, hub)
    if left and not found.allowed:
        raise gated(found.address, hub.token)
    _require_room(hub, found.address, sum(left.values()))
    try:
        for file in left:
            if file.large:
                _fetch_large(found, file, hub, report)
        disable_progress_bars()
        directory = snapshot_download(
            found.repo,
            revision=found.revision,
            cache_dir=hub.directory,
            endpoint=hub.endpoint,
            token=hub.token,
            ignore_patterns=IGNORED,
        )
    except FetchError:
        raise
    except Exception as e:
        raise explain(e, found.address, hub.token) from e
    for file in left:
        if not file.large:
            _require_git_hash(Path(directory) / file.path, file, found.address)
            report(file.path, file.size)
    return Path(directory)


def verify(found: HubRepo, hub: Hub | None = None, report: Report = lambda file, more: None) -> int:
    """Read every file that is here again and compare it with the hub's hashes.

    Returns:
        How many files were compared.

    Raises:
        FetchError: a file differs. It is removed, so that the next fetch brings it anew.
    """
    blobs = (hub or Hub()).blobs(found.repo)
    here = [file for file in found.files if (blobs / file.blob).exists()]
    for file in here:
        if file.large:
            _require_sha256(blobs / file.blob, file, found.address)
        else:
            _require_git_hash(blobs / file.blob, file, found.address)
        report(file.path, file.size)
    return len(here)


def _require_room(hub: Hub, address: str, needed: int) -> None:
    if not needed:
        return
    directory = hub.directory
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    if needed + HEADROOM > free:
        raise DiskFull(
            f"{address} needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free: "
            f"{roomier(needed + HEADROOM - free, hub.directory)}"
        )


def _fetch_large(found: HubRepo, file: HubFile, hub: Hub, report: Report) -> None:
    """One file into the cache's blobs, going on with the half that may be there."""
    blobs = hub.blobs(found.repo)
    blobs.mkdir(parents=True, exist_ok=True)
    half = blobs / (file.blob + HALF)
    url = hf_hub_url(found.repo, file.path, revision=found.commit, endpoint=hub.endpoint)
    lock = FileLock(half.with_name(half.name + ".lock"))
    try:
        with lock.acquire(timeout=0):
            half.touch()
            if half.stat().st_size > file.size:  # no half of this file
                half.write_bytes(b"")
            with half.open("r+b") as stream:
                done = stream.seek(0, 2)
                http_get(
                    url,
                    _Counted(stream, file.path, report),  # pyright: ignore[reportArgumentType]
                    resume_size=done,
                    headers=build_hf_headers(token=hub.token),
                    expected_size=file.size,
                    tqdm_class=_NoBar,  # pyright: ignore[reportArgumentType]
                )
            try:
                _require_sha256(half, file, found.address)
            except FetchError:
                report(file.path, -file.size)
                raise
            half.replace(blobs / file.blob)
    except Timeout as e:
        raise FetchError(
            f"{found.address}: another process is fetching {file.path}: wait for it"
        ) from e
    except OSError as e:
        if e.errno not in FULL:
            raise
        have = half.stat().st_size
        raise DiskFull(
            f"{found.address}: the disk is full after {have / 1e9:.1f} of {file.size / 1e9:.1f} GB "
            f"of {file.path}, which stay: {roomier(file.size - have + HEADROOM, hub.directory)}"
        ) from e
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


class _Counted:
    """A file that tells how much is written to it."""

    def __init__(self, stream: Any, name: str, report: Report) -> None:
        self._stream, self._name, self._report = stream, name, report

    def write(self, chunk: bytes) -> int:
        written = self._stream.write(chunk)
        self._report(self._name, written)
        return written

    def truncate(self) -> int:
        """The server began anew, so the client went back: what is cut off here was counted."""
        at = self._stream.tell()
        self._report(self._name, at - self._stream.seek(0, 2))
        self._stream.seek(at)
        return self._stream.truncate()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _NoBar:
    """In place of the client's own progress bar: `report` is told instead."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> "_NoBar":
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self, more: int) -> None: ...


def _require_sha256(path: Path, file: HubFile, address: str) -> None:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    _require_same(digest, path, file, address)


def _require_git_hash(path: Path, file: HubFile, address: str) -> None:
    """git's name of a content: sha1 over "blob", its length, a zero byte and itself."""
    content = path.read_bytes()
    _require_same(
        hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), path, file, address
    )


def _require_same(digest: str, path: Path, file: HubFile, address: str) -> None:
    if digest == file.blob:
        return
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    raise FetchError(
        f"{address}: {file.path} is damaged (its hash is not the hub's) and was removed: run "
        "`maata weights fetch` again"
    )
