"""What `maata bench` says: exit codes, sentences on stderr, and one JSON object as its last line.

Knows nothing of how anything came about.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OK, INCOMPLETE, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes


def say(sentence: str) -> None:
    """A sentence for whoever reads along."""
    print(f"maata bench: {sentence}", file=sys.stderr, flush=True)


def tell(
    out: Path,
    suite: str,
    engines: Mapping[str, Mapping[str, Any]],
    report: Path | None,
    code: int,
) -> int:
    """The JSON line; returns the exit code."""
    told = {
        "out": str(out),
        "suite": suite,
        "engines": engines,
        "report": None if report is None else str(report),
    }
    print(json.dumps(told, ensure_ascii=False), flush=True)
    return code
