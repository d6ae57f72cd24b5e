"""The address of a judge at an OpenAI-compatible server: `http(s)://host[:port][/v1][#model]`.

Knows no protocol behind it. A key never stands in an address: it is the value of a variable, sent
to that address alone and never logged.
"""

from urllib.parse import SplitResult, urlsplit, urlunsplit

# Whose key is sent where: each judge's to its own address, and no other variable to any.
KEY_VARIABLE, CONTENT_KEY_VARIABLE = "JUDGE_API_KEY", "CONTENT_JUDGE_API_KEY"
LOCAL = {"localhost", "127.0.0.1", "::1"}


class JudgeError(Exception):
    """A judge cannot be had, or did not answer; the sentence names the remedy."""


def split(address: str, key_variable: str) -> tuple[SplitResult, str]:
    """The address's parts and the model's name, "" where none is given.

    Raises:
        JudgeError: no address, or one that holds a user, a password or a query.
    """
    wrong = JudgeError(
        "the judge's address must be http(s)://host[:port][/v1][#model], without user, "
        f"password or query; a key goes into {key_variable}"
    )
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as e:  # a port that is no number
        raise wrong from e
    if not usable or parts.username or parts.password or parts.query:
        raise wrong
    return parts, parts.fragment


def joined(parts: SplitResult, path: str) -> str:
    """The same server's `path`."""
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def named(model: str, parts: SplitResult) -> str:
    """What a report calls the judge."""
    return f"{model} at {parts.hostname}" + (f":{parts.port}" if parts.port else "")
