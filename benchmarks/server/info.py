"""What a server says about itself over HTTP: `/api/info`, `/ready` and the files of its page.

Knows nothing about calls.
"""

import json
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

_direct = build_opener(ProxyHandler({}))  # a self-hosted server is not behind the outgoing proxy


def http_base(call_url: str) -> str:
    """`http(s)://host:port` of a `ws(s)://host:port/ws?…`."""
    parts = urlsplit(call_url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"


def fetch_info(base: str, timeout_s: float = 2.0) -> dict[str, Any]:
    """`/api/info` as the server gives it; `{}` from a server that has none."""
    try:
        with _direct.open(f"{base}/api/info", timeout=timeout_s) as reply:
            info = json.load(reply)
    except (OSError, HTTPException, ValueError):
        return {}
    return info if isinstance(info, dict) else {}


def is_ready(base: str, timeout_s: float = 2.0) -> bool:
    """Whether the server's models are loaded."""
    try:
        with _direct.open(f"{base}/ready", timeout=timeout_s) as reply:
            return reply.status == 200
    except (OSError, HTTPException):  # not up yet, or 503: still loading
        return False


def fetch(url: str, timeout_s: float = 10.0) -> bytes:
    """The body of one GET; `OSError` if there is none."""
    with _direct.open(url, timeout=timeout_s) as reply:
        return reply.read()
