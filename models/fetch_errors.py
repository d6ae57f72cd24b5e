"""What may go wrong between here and the model hub, each as one sentence that names the remedy.

Knows the hub client's exceptions and the system's; nothing of repositories' contents.
"""

import errno
from pathlib import Path

import httpx2  # the hub client's own HTTP library
from huggingface_hub import get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

FULL = (errno.ENOSPC, errno.EDQUOT)


class FetchError(Exception):
    """Weights cannot be fetched; the sentence says why and what to do."""


class DiskFull(FetchError):
    """The disk ended before the weights did."""


def explain(error: Exception, address: str, token: str | bool | None = None) -> FetchError:
    """The sentence for an exception of the hub client or of the system.

    Args:
        error: what was raised.
        address: the weights address that was being fetched.
        token: the access token in use; None for the one of the environment.
    """
    if isinstance(error, GatedRepoError):
        return gated(address, token)
    if isinstance(error, RevisionNotFoundError):
        return FetchError(
            f"{address}: the repository has no such revision: correct what follows the @, or leave "
            "it out for the newest"
        )
    if isinstance(error, RepositoryNotFoundError):
        private = "check that HF_TOKEN may read it" if _set(token) else "set HF_TOKEN"
        return FetchError(
            f"{address}: the hub has no such repository: correct the address, or, if the "
            f"repository is private, {private}"
        )
    if isinstance(error, OfflineModeIsEnabled) or isinstance(error.__cause__, OfflineModeIsEnabled):
        return FetchError(
            f"{address} is not whole on this machine and HF_HUB_OFFLINE forbids to fetch it: unset "
            "that variable once, with a network"
        )
    if isinstance(error, HfHubHTTPError):
        return FetchError(f"{address}: {_refused(error.response.status_code)}")
    if isinstance(error, httpx2.TransportError | LocalEntryNotFoundError | EntryNotFoundError):
        return FetchError(
            f"{address}: the hub cannot be reached ({_name(error)}): connect this machine, set "
            "HTTPS_PROXY if it needs a proxy, or copy HF_HOME from a machine that has the weights"
        )
    if isinstance(error, OSError) and error.errno in FULL:
        return DiskFull(f"{address}: the disk is full: {roomier()}")
    if isinstance(error, OSError) and "Consistency check" in str(error):
        return FetchError(f"{address}: a file ended too early: run the command again, it goes on")
    if isinstance(error, OSError):
        return FetchError(
            f"{address}: {error.strerror or error} ({error.filename or 'while writing'}): correct "
            "the rights of the cache's directory, or set HF_HOME to another"
        )
    return FetchError(f"{address} could not be fetched ({_name(error)}: {_line(error)}): try again")


def roomier(needed: int = 0, where: Path | None = None) -> str:
    """The remedy for a full disk. `needed` in bytes."""
    free = f"free {needed / 1e9:.1f} GB" if needed else "free some room"
    there = f" in {where}" if where else ""
    return f"{free}{there}, or set HF_HOME to a directory on a larger disk, and run it again"


def gated(address: str, token: str | bool | None = None) -> FetchError:
    """The sentence for a repository whose terms were not accepted with this token."""
    page = "accept its terms on its page of the hub"
    if _set(token):
        return FetchError(
            f"{address} is gated and your token may not read it: {page} with the token's own "
            "account, wait for the owner's consent where one is asked for, and run it again"
        )
    return FetchError(
        f"{address} is gated and no token is set: {page}, make an access token there, and set "
        "HF_TOKEN to it"
    )


def _set(token: str | bool | None) -> bool:
    return bool(get_token() if token is None else token)


def _refused(status: int) -> str:
    if status == 401:
        return "the hub does not know the access token: correct HF_TOKEN, or unset it"
    if status == 403:
        return "the hub forbids this token to read it: give it read access to the repository"
    if status == 416:
        return "the half file here is longer than the hub's: run the command again"
    if status == 429:
        return "the hub asks to slow down (429): wait some minutes, or set HF_TOKEN, and run again"
    return f"the hub answers with an error ({status}): try again later, what is here stays"


def _name(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
