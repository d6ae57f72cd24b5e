"""A small server on the loopback that speaks the part of the hub's API which downloads use.

Serves repositories from memory: listing, tree, access, files with ranges. Can be gated,
slow, damaging or deaf to ranges, and keeps a list of what it was asked.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = 1000  # bytes; from here on a file is stored by its sha256, as with git-lfs


@dataclass
class Repository:
    """One repository with one commit, on its branch main."""

    files: dict[str, bytes]
    licence: str | None = "cc-by-4.0"
    token: str | None = None  # gated: only this token may read files

    @cached_property
    def commit(self) -> str:
        named = sorted((path, _name(content)) for path, content in self.files.items())
        return hashlib.sha1(repr(named).encode()).hexdigest()


@dataclass
class LoopbackHub:
    """What it serves and what it was asked. `url` goes into HF_ENDPOINT."""

    repositories: dict[str, Repository]
    url: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range
    drip: float = 0.0  # seconds between two pieces of a large file
    ranges: bool = True
    damage: bool = False  # large files arrive with another first byte
    closed: threading.Event = field(default_factory=threading.Event)

    def gets(self, file: str) -> list[str | None]:
        """The ranges of the GETs of a file, in order."""
        return [r for method, path, r in self.asked if method == "GET" and path.endswith(file)]


@contextmanager
def serving(**repositories: Repository) -> Iterator[LoopbackHub]:
    """A hub with these repositories, each named as owner__name."""
    hub = LoopbackHub({name.replace("__", "/"): r for name, r in repositories.items()})

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closed.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.served.asked.append((self.command, path, self.headers.get("Range")))
        api = re.match(r"/api/models/([^/]+/[^/]+)(/auth-check|/(revision|tree)/([^/]+))?$", path)
        file = re.match(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$", path)
        match = api or file
        name = match[1] if match else ""
        repo = self.served.repositories.get(name)
        if repo is None:
            return self._refuse(401 if match else 404, "RepoNotFound")
        revision = (api[4] if api else file[2] if file else None) or "main"
        if revision not in ("main", repo.commit):
            return self._refuse(404, "RevisionNotFound")
        if api and api[2] == "/auth-check":
            return self._json({}) if self._may(repo) else self._refuse(403, "GatedRepo")
        if api:
            return self._json(_tree(repo) if api[3] == "tree" else _info(name, repo))
        if not self._may(repo):
            return self._refuse(401, "GatedRepo")
        assert file is not None
        if file[3] not in repo.files:
            return self._refuse(404, "EntryNotFound")
        self._send(repo, repo.files[file[3]])

    def _may(self, repo: Repository) -> bool:
        return repo.token is None or self.headers.get("Authorization") == f"Bearer {repo.token}"

    def _send(self, repo: Repository, content: bytes) -> None:
        first = 0
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and self.served.ranges:
            first = int(wanted[1])
        self.send_response(206 if first else 200)
        self.send_header("ETag", f'"{_name(content)}"')
        self.send_header("X-Repo-Commit", repo.commit)
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if len(content) >= LARGE:
            self.send_header("X-Linked-Etag", f'"{_name(content)}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.served.damage and len(content) >= LARGE:
            content = bytes([content[0] ^ 1]) + content[1:]
        step = len(content) if not self.served.drip or len(content) < LARGE else 1 << 20
        try:
            for at in range(first, len(content), step):
                self.wfile.write(content[at : at + step])
                self.wfile.flush()
                if self.served.closed.wait(self.served.drip if step < len(content) else 0):
                    return
        except OSError:  # the client went away
            self.close_connection = True

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@cache
def _name(content: bytes) -> str:
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _info(name: str, repo: Repository) -> dict[str, Any]:
    siblings = []
    for path, content in repo.files.items():
        entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": _name(content)}
        if len(content) >= LARGE:
            entry["lfs"] = {"sha256": _name(content), "size": len(content), "pointerSize": 134}
        siblings.append(entry)
    return {
        "id": name,
        "sha": repo.commit,
        "gated": "manual" if repo.token else False,
        "private": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "cardData": {"license": repo.licence} if repo.licence else {},
        "siblings": siblings,
    }


def _tree(repo: Repository) -> list[dict[str, Any]]:
    entries = []
    for path, content in repo.files.items():
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content)}
        entry["oid"] = _name(content)
        if len(content) >= LARGE:
            entry["lfs"] = {"oid": _name(content), "size": len(content), "pointerSize": 134}
        entries.append(entry)
    return entries
