"""The authored set of the duplex suite: a frozen file, read into plain values.

Pinned by its hash and never edited: a changed set is a new file under a new name. Knows nothing of
sound.
"""

import hashlib
import tomllib
from functools import cache as cached
from pathlib import Path
from typing import Any

SET = Path(__file__).with_name("v1.toml")
SHA256 = "b2aa3971e7fb1ef03dd8af7d8f21e3c6356003b8b045b337d34ed33f1b3a27ef"


class SetError(ValueError):
    """The shipped set is not the one that its name promises."""


@cached
def the_set() -> dict[str, Any]:
    """The authored set. Raises SetError if it is not the pinned one."""
    data = SET.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SetError(f"{SET.name} was changed; a changed set needs a new name and a new hash")
    return tomllib.loads(data.decode("utf-8"))
