"""What a caller asks for on `/ws`, parsed once, and the refusals that can be the answer.

Knows nothing of sockets: a Refusal is a close code and a sentence, whoever sends it.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from maata.profile import Profile
from models.voices import EMOTIONS, VOICES

BAD_REQUEST = 4400
UNAUTHORISED = 4401
FORBIDDEN_ORIGIN = 4403
LIMIT_REACHED = 4408
TOO_MANY_CALLS = 4429
NOT_READY = 4503
MODEL_FAILED = 4500


class Refusal(Exception):
    """The call cannot be; `code` closes the socket and the sentence says why."""

    def __init__(self, code: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.reason = reason  # one word, for counting
        self.sentence = sentence


@dataclass(frozen=True)
class CallRequest:
    """One caller's choices."""

    engine: str
    voice: str
    emotion: str
    adapter: str = ""  # of the speech-to-speech model; empty for the model as it is
    fallback_reason: str = ""  # why another engine answers than was asked for


def parse_request(query: Mapping[str, str], profile: Profile) -> CallRequest:
    """The caller's choices, the profile's where they made none.

    Raises:
        Refusal: an engine, voice or emotion that does not exist here.
    """
    engine = query.get("engine") or profile.engine
    voice = query.get("voice") or profile.voice.default
    emotion = query.get("emotion") or profile.voice.emotion
    if engine not in ("cascade", "s2s"):
        raise _unknown("engine", engine, ["cascade", "s2s"])
    if engine not in profile.engines:
        raise Refusal(
            BAD_REQUEST,
            "engine",
            f"engine {engine} is not available on this server; available: "
            f"{', '.join(profile.engines)}",
        )
    if voice not in [v.id for v in VOICES]:
        raise _unknown("voice", voice, [v.id for v in VOICES])
    if emotion not in EMOTIONS:
        raise _unknown("emotion", emotion, list(EMOTIONS))
    adapter = query.get("adapter") or (profile.s2s.adapter if engine == "s2s" else "")
    # The fused one is in every call already, and cannot be chosen.
    choices = [a for a in profile.s2s.adapters if a != profile.s2s.fuse] if engine == "s2s" else []
    if adapter and adapter not in choices:
        raise _unknown("adapter", adapter, choices)
    return CallRequest(engine, voice, emotion, adapter)


def check_origin(origin: str | None, host: str, allowed: list[str]) -> None:
    """Let the page's own origin and listed ones in, and clients that are no browser (no Origin).

    Raises:
        Refusal: a page of another site is calling.
    """
    if not origin or origin in allowed or (not allowed and urlsplit(origin).netloc == host):
        return
    raise Refusal(
        FORBIDDEN_ORIGIN,
        "origin",
        f"pages of {origin[:80]} may not call this server; add it to server.allowed_origins",
    )


def check_token(given: str | None, expected: str) -> None:
    """Compare the caller's token with the server's, if the server has one.

    Raises:
        Refusal: missing or wrong.
    """
    if expected and not hmac.compare_digest((given or "").encode(), expected.encode()):
        raise Refusal(UNAUTHORISED, "token", "a token is needed; it was missing or wrong")


def _unknown(what: str, given: str, choices: list[str]) -> Refusal:
    remedy = f"choose one of {', '.join(choices)}" if choices else "leave it out"
    return Refusal(BAD_REQUEST, what, f"unknown {what} {given[:40]!r}; {remedy}")
