"""Where the engines of a run are called: a server of one's own, or whatever answers at an address.

Says for every engine asked for either its address or the sentence why there is none, and whether
the server still lives. Knows nothing about what is said in a call.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.caller.call import BadAddress, call_url
from benchmarks.caller.dialect import is_moshi
from benchmarks.server.child import Server, ServerFailed
from benchmarks.server.info import fetch_info, http_base, is_ready

LOOPBACK = ("127.0.0.1", "::1", "localhost")
RECOVERY_S = 20.0  # a server whose engine's host came down brings it up again by itself


@dataclass(frozen=True)
class Offer:
    """What a server offers of what was asked for."""

    base: str  # http://host:port
    addresses: dict[str, str]  # engine -> ws address without a token
    missing: dict[str, str] = field(default_factory=dict)  # engine -> why it cannot be called
    info: dict[str, Any] = field(default_factory=dict)  # what the server says about itself

    @property
    def engines(self) -> tuple[str, ...]:
        """Every engine asked for, there or not."""
        return (*self.addresses, *self.missing)

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine, and so by its clock."""
        return urlsplit(self.base).hostname in LOOPBACK

    def models(self) -> dict[str, dict[str, str]]:
        """Of each engine that can be called: role -> weights address, as the server says."""
        told = {e["id"]: e.get("models", {}) for e in _told(self.info)}
        return {engine: told[engine] for engine in self.addresses if engine in told}


class Running(Protocol):
    """A server process, as `benchmarks.server.child.Server` is one."""

    @property
    def url(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def stop(self) -> int | None: ...


Launch = Callable[[Path, Sequence[str]], Running]


class Source(Protocol):
    """Where calls go, and what can be done when nobody answers there any more."""

    offer: Offer

    @property
    def pid(self) -> int | None: ...
    def alive(self) -> bool: ...
    def restart(self) -> bool: ...
    def close(self) -> None: ...


def launch(log: Path, arguments: Sequence[str]) -> Running:
    """`maata serve` with these arguments, ready for calls. Raises ServerFailed."""
    return Server(log, *arguments).__enter__()


def discover(url: str, engines: Sequence[str] | None = None) -> Offer:
    """What answers at `url`: our server's engines by name, or one engine named by its host.

    Args:
        url: as `maata call` takes it; a path of `/api/chat` means the stock Moshi wire.
        engines: those to measure; None: all that are there.

    Raises:
        BadAddress: no address, or nobody listens there.
    """
    address = call_url(url)
    base = http_base(address)
    if not listening(base):
        raise BadAddress(f"nobody answers at {url}; is the server running?")
    info = {} if is_moshi(address) else fetch_info(base)
    told = _told(info)
    if not told:
        host = urlsplit(address).netloc
        missing = {e: f"{host} does not say that it has it" for e in engines or () if e != host}
        return Offer(base, {host: address}, missing, info)
    there = {str(e["id"]) for e in told if e.get("available")}
    why = {str(e["id"]): str(e.get("reason") or "no reason given") for e in told}
    wanted = tuple(engines) if engines else tuple(e for e in why if e in there)
    return Offer(
        base,
        {e: call_url(url, engine=e) for e in wanted if e in there},
        {e: why.get(e, "the server knows no such engine") for e in wanted if e not in there},
        info,
    )


def listening(base: str) -> bool:
    """Whether anybody takes connections at `http://host:port`."""
    parts = urlsplit(base)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with suppress(OSError), socket.create_connection((str(parts.hostname), port), timeout=2):
        return True
    return False


@dataclass
class Foreign:
    """Somebody else's server: measured as it is, never restarted."""

    offer: Offer

    @property
    def pid(self) -> int | None:
        """None: its processes are not ours to look at."""
        return None

    def alive(self) -> bool:
        """Whether anybody listens there."""
        return listening(self.offer.base)

    def restart(self) -> bool:
        """False: it is not ours."""
        return False

    def close(self) -> None:
        """Leaves it running."""


class Own:
    """One `maata serve` for all engines of a run, ended with it."""

    def __init__(
        self,
        log: Path,
        profile: str,
        settings: Mapping[str, str],
        engines: Sequence[str],
        start: Launch = launch,
    ) -> None:
        """Starts the server with those of the engines that it can have.

        Args:
            log: the server's stderr; that of a later start lies beside it.
            profile: name or path of the profile.
            settings: dotted keys over it.
            engines: names of the profile's form, at least one.
            start: brings a server up.
        """
        self._log, self._profile, self._settings = log, profile, settings
        self._start, self._starts = start, 0
        self._server: Running | None = None
        self.offer = self._up(engines)

    @property
    def pid(self) -> int | None:
        """Of the server's process; None while there is none."""
        return None if self._server is None else self._server.pid

    def alive(self) -> bool:
        """Whether it takes calls; waits while it brings an engine's host up again."""
        until = time.monotonic() + RECOVERY_S
        while listening(self.offer.base):
            if is_ready(self.offer.base):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.5)
        return False

    def restart(self) -> bool:
        """Ends what is left of it and starts it again; False if it does not come up."""
        self.close()
        before = self.offer
        again = self._up(tuple(before.addresses))
        self.offer = Offer(
            again.base, again.addresses, before.missing | again.missing, again.info or before.info
        )
        return not again.missing

    def close(self) -> None:
        """Ends the server."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def _up(self, engines: Sequence[str]) -> Offer:
        missing: dict[str, str] = {}
        try:
            self._server = self._launch(engines)
        except ServerFailed as together:
            missing = self._one_of(engines, str(together))
        if self._server is None:
            return Offer("", {}, missing)
        there = [engine for engine in engines if engine not in missing]
        found = discover(self._server.url, there)
        return Offer(found.base, found.addresses, missing | found.missing, found.info)

    def _one_of(self, engines: Sequence[str], together: str) -> dict[str, str]:
        """Starts the first engine that can run alone; returns why each other one is missing."""
        if len(engines) == 1:
            return {engines[0]: together}
        missing: dict[str, str] = {}
        for engine in engines:
            if self._server is not None:  # the others run, so what failed together was this one
                missing[engine] = together
                continue
            try:
                self._server = self._launch([engine])
            except ServerFailed as e:
                missing[engine] = str(e)
        return missing

    def _launch(self, engines: Sequence[str]) -> Running:
        chosen = {
            **self._settings,
            "engines": "[" + ", ".join(f'"{engine}"' for engine in engines) + "]",
            "engine": engines[0],
        }
        flags = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
        log = self._log.with_stem(f"{self._log.stem}-{self._starts}")
        self._starts += 1
        try:
            return self._start(log, ["--profile", self._profile, *flags])
        except ServerFailed as e:  # the reason goes into rows, which are read elsewhere
            raise ServerFailed(str(e).replace(str(log), log.name)) from e


def _told(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    told = info.get("engines")
    return [e for e in told if isinstance(e, dict) and "id" in e] if isinstance(told, list) else []
