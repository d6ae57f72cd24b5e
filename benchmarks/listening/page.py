"""The page of a listening test: one HTML file made of the template, its words, and the clips.

The template's parts lie in `files/`; nothing is fetched when the page is open. Knows
opaque ids and bytes: not one name of an engine gets here.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

PARTS = files("benchmarks.listening") / "files"
SCRIPTS = ("order.js", "store.js", "player.js", "tasks.js", "app.js")


def render(
    kit: str,
    mime: str,
    clips: Mapping[str, bytes],
    rate: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    practice: Sequence[str],
    seconds: float,
    longest_s: int,
) -> str:
    """The page: `clips` by id; `rate`, `pairs` and `practice` name them.

    `seconds` is how long all that must be heard lasts, for an honest guess at the time it takes;
    `longest_s` where long answers were cut.
    """
    data = {
        "kit": kit,
        "mime": mime,
        "rate": sorted(rate),
        "pairs": sorted(sorted(pair) for pair in pairs),
        "practice": sorted(practice),
        "seconds": round(seconds),
        "longest": longest_s,
        "clips": {name: base64.b64encode(clips[name]).decode("ascii") for name in sorted(clips)},
    }
    page = _part("page.html")
    for mark, text in {
        "/*style*/": _part("style.css"),
        "/*words*/": _island(json.loads(_part("words.json"))),
        "/*kit*/": _island(data),
        "/*script*/": "\n".join(_part(name) for name in SCRIPTS),
    }.items():
        before, found, after = page.partition(mark)
        assert found, mark
        page = before + text + after
    return page


def _island(value: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")
