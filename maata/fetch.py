"""`maata weights fetch`: every hub address of a profile, with its terms, fetched once and verified.

Knows which addresses a profile names, and how to tell of bytes; nothing of the hub.
"""

import ipaddress
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from maata.profile import Profile

if TYPE_CHECKING:
    from rich.console import Console

    from models.fetch_repo import Hub, HubRepo

NAME = re.compile(r"[\w.-]+/[\w.-]+$")  # a repository without hf://, as vLLM takes it
LINE_S = 30  # between two lines of progress where the output is no terminal


@dataclass(frozen=True)
class Wanted:
    """One hub address, and the settings that name it."""

    address: str
    settings: tuple[str, ...]  # dotted keys


def wanted(profile: Profile, engine: str | None = None) -> list[Wanted]:
    """The hub addresses of a profile, each once, in the order it names them.

    The model of an OpenAI-compatible server counts when that server runs on hardware of one's own:
    it then loads the same repository from the same cache.

    Args:
        profile: any.
        engine: only what this engine needs (`cascade` or `s2s`).
    """
    named = list(_addresses(profile.model_dump()))
    llm = profile.cascade.llm
    if llm.backend == "openai" and NAME.match(llm.model) and is_own(llm.base_url):
        named.append(("cascade.llm.model", f"hf://{llm.model}"))
    keys: dict[str, list[str]] = {}
    for key, address in named:
        if engine is None or key.startswith(f"{engine}."):
            keys.setdefault(address, []).append(key)
    return [Wanted(address, tuple(settings)) for address, settings in keys.items()]


def _addresses(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _addresses(value, f"{prefix}{key}.")
        elif isinstance(value, str) and value.startswith("hf://"):
            yield prefix + key, value


def is_own(url: str) -> bool:
    """Whether an address is this machine's, a private network's or a container's bare name."""
    host = urlparse(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return bool(host) and "." not in host


def run_fetch(
    profile: Profile,
    *,
    engine: str | None = None,
    dry_run: bool = False,
    check: bool = False,
    hub: "Hub | None" = None,
) -> int:
    """The command: says what is to come and under which terms, fetches it, says what is there.

    Args:
        profile: whose addresses.
        engine: only this engine's.
        dry_run: fetch nothing.
        check: also read again what is already here, and compare it with the hub's hashes.
        hub: another one than the environment's.

    Returns:
        0 when all is here (`dry_run`: when all may be fetched), 1 when something cannot be.
    """
    from rich.console import Console

    from models.fetch import fetch, verify
    from models.fetch_errors import FetchError
    from models.fetch_repo import look_up, missing
    from models.weights import WeightsMissing, local

    console = Console(soft_wrap=True, highlight=False)
    failed = False
    addresses = wanted(profile, engine)
    if not addresses:
        console.print(f"profile {profile.name} names nothing on the hub: nothing to fetch")
        return 0
    for want in addresses:
        try:
            found = look_up(want.address, hub)
        except (FetchError, WeightsMissing) as e:
            try:  # without a network, what is here already is all that is needed
                if hub is not None:
                    raise WeightsMissing(str(e))
                console.print(f"{want.address}\n  is here: {local(want.address)}", markup=False)
            except WeightsMissing:
                _complain(console, e)
                failed = True
            continue
        left = missing(found, hub)
        console.print(_terms(want, found, sum(left.values()), len(left)), markup=False)
        if dry_run:
            failed |= bool(left) and not found.allowed
            continue
        try:
            with Progress(console, found.size, found.size - sum(left.values())) as progress:
                directory = fetch(found, hub, progress.report)
            if check:
                with Progress(console, found.size, 0) as progress:
                    verify(found, hub, progress.report)
        except FetchError as e:
            _complain(console, e)
            failed = True
            continue
        console.print(f"  is here, verified: {directory}", markup=False)
    if not failed and not dry_run:
        console.print("all weights are here; HF_HUB_OFFLINE=1 now keeps the hub out of it")
    return int(failed)


def _complain(console: "Console", error: Exception) -> None:
    console.print(f"  cannot be fetched: {error}", markup=False, style="red")


def _terms(want: Wanted, found: "HubRepo", left: int, files: int) -> str:
    access = "open to everyone"
    if found.gated:
        access = "gated: its terms must be accepted on its page of the hub; "
        access += "your token may read it" if found.allowed else "your token may not read it yet"
    size = f"{found.size / 1e9:.2f} GB in {len(found.files)} files"
    to_come = f"{left / 1e9:.2f} GB in {files} files to come" if files else "all of it here"
    pinned = "pinned" if found.revision == found.commit else "newest, not pinned"
    return (
        f"{want.address}\n"
        f"  for {', '.join(want.settings)}; commit {found.commit[:12]} ({pinned})\n"
        f"  licence: {found.licence}; {access}\n"
        f"  {size}; {to_come}"
    )


class Progress:
    """Bytes done of all there are: a bar with its end in sight, or a line now and then in a log."""

    def __init__(self, console: "Console", total: int, done: int) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._console = console
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("", total=total, completed=done)
        self._total, self._first, self._done = total, done, done
        self._started = self._said = time.monotonic()

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def report(self, file: str, more: int) -> None:
        """So many bytes more of a file; negative when they are thrown away."""
        self._done += more
        self._bar.update(self._task, advance=more, description=file)
        now = time.monotonic()
        if self._console.is_terminal or now - self._said < LINE_S:
            return
        self._said = now
        speed = (self._done - self._first) / (now - self._started)
        left = f", {(self._total - self._done) / speed:.0f} s left" if speed > 0 else ""
        said = f"{self._done / 1e9:.2f} of {self._total / 1e9:.2f} GB, {speed / 1e6:.0f} MB/s"
        self._console.print(f"  {file}: {said}{left}", markup=False)
