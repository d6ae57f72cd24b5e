"""`report.html`: the whole report on one page that opens without a network.

Style, script, the Telugu typeface and the sound of chosen turns are inside it. Knows nothing of how
a figure came about; sections are made in `sections.py`.
"""

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.ratings.ratings import Ratings
from benchmarks.report import prose, tables
from benchmarks.report.audio import Choice
from benchmarks.report.parts import both, items, table_html
from benchmarks.report.plots import latency_curves
from benchmarks.report.sections import Section, sections
from benchmarks.report.verdict import verdict

FILES = Path(__file__).with_name("files")
TELUGU = "U+0951-0952, U+0964-0965, U+0C00-0C7F, U+200C-200D, U+25CC"


def render(found: dict[str, Any], choice: Choice, ratings: Ratings | None = None) -> str:
    """The page; `found` is `results.json`, `choice` the turns to listen to."""
    made = list(sections(found, choice, ratings))
    return "".join(
        [
            "<!doctype html>\n",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(prose.title(found))}</title>",
            f"<style>\n{_typeface()}\n{_file('report.css')}</style></head><body>\n",
            *_first_screen(found, made),
            "<main>\n",
            *(_section(one) for one in made),
            "</main>\n",
            f"<footer>{escape(_origin(found))}</footer>\n",
            f"<script>\n{_file('report.js')}</script></body></html>\n",
        ]
    )


def _first_screen(found: dict[str, Any], made: list[Section]) -> Iterator[str]:
    links = "".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in made)
    yield f"<header><h1>{escape(prose.title(found))}</h1>"
    yield f'<p class="meta">{escape(prose.subtitle(found))}</p>'
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict(found))
    yield f'<div class="verdict">{said}</div><nav aria-label="Sections">{links}</nav></header>\n'
    yield '<main class="first">'
    wanting = [*found["faults"], *found["missing"]]
    if found["turns"]:
        told, engines = found["turns"], list(found["turns"])
        yield table_html(tables.summary(found), card=True)
        yield '<div><figure class="card">'
        yield "<figcaption>Share of turns answered within a time</figcaption>"
        yield both(lambda width, name: latency_curves(told, engines, width, name), "curves")
        yield (
            '<p class="caption">Every scheduled turn counts; a line that ends below 100 % has '
            "turns without an answer. Left of 0 the bot began before the caller had ended.</p>"
            "</figure>"
        )
    if wanting:
        yield f'<div class="card missing"><b>Not in this report</b>{items(wanting)}</div>'
    yield "</div></main>\n" if found["turns"] else "</main>\n"


def _section(one: Section) -> str:
    return f'<section id="{one.name}"><h2>{escape(one.title)}</h2>\n{one.body}</section>\n'


def _origin(found: dict[str, Any]) -> str:
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in sorted(found["raw"].items()))
    return f"Rendered by maata report from {digests}; the same files give the same page."


def _file(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def _typeface() -> str:
    data = base64.b64encode((FILES / "noto-sans-telugu.woff2").read_bytes()).decode("ascii")
    return (
        '@font-face { font-family: "Noto Sans Telugu Report"; font-weight: 100 900; '
        f"src: url(data:font/woff2;base64,{data}) format('woff2'); unicode-range: {TELUGU}; }}"
    )
