"""Pieces of HTML that the sections are made of: tables, lists, drawings in two widths, marks.

Every text that comes out of a file is escaped here. Knows nothing of figures.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from html import escape

from benchmarks.report.cells import Cell, Table
from models.telugu.standard import te_std

WIDE, NARROW = 470, 344
_AS_CODE = r"<code>\1</code>"
_CODE = re.compile("`([^`]+)`")
Draw = Callable[[int, str], str]


def both(draw: Draw, name: str) -> str:
    """A drawing for a desk and one for a phone; the style sheet shows one of them."""
    return (
        f'<div class="wide">{draw(WIDE, name)}</div>'
        f'<div class="narrow">{draw(NARROW, name + "-n")}</div>'
    )


def items(sentences: Iterable[str], kind: str = "") -> str:
    """A list of sentences; what stands between backticks in them is code."""
    told = "".join(f"<li>{_CODE.sub(_AS_CODE, escape(sentence))}</li>" for sentence in sentences)
    return f'<ul class="{kind}">{told}</ul>' if kind else f"<ul>{told}</ul>"


def table_html(table: Table, *, card: bool = False, words: bool = False, stack: bool = True) -> str:
    """A table; on a phone every row is stacked, or else the table scrolls inside itself."""
    kinds = table.kinds or [""] * (len(table.head) - 1)
    heads = [f'<th scope="col">{escape(table.head[0])}</th>'] + [
        f'<th scope="col" class="{f"{kind} words" if words else kind}">{escape(name)}</th>'
        for name, kind in zip(table.head[1:], kinds, strict=True)
    ]
    body = []
    for row in table.rows:
        hint = f'<span class="hint">{escape(row.hint)}</span>' if row.hint else ""
        cells = [
            _cell(one, kind, head, words)
            for one, kind, head in zip(row.cells, kinds, table.head[1:], strict=True)
        ]
        body.append(f'<tr><th scope="row">{escape(row.label)}{hint}</th>{"".join(cells)}</tr>')
    columns = min(len(kinds), 2 if len(kinds) % 2 == 0 or len(kinds) > 3 else 3)
    style = f' class="stack" style="--columns:{columns}"' if stack else ""
    found = (
        f'<div class="scroll"><table{style}><thead><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
    if table.caption:
        found += f'<p class="caption">{escape(table.caption)}</p>'
    return f'<div class="card">{found}</div>\n' if card else f"{found}\n"


def _cell(one: Cell, kind: str, head: str, words: bool) -> str:
    if not one.main and not one.sub:
        return '<td class="none"></td>'
    names = " ".join(k for k in (kind, one.tone, "words" if words else "") if k)
    parts = "".join(f"<span>{escape(part)}</span> " for part in _pieces(one.sub)) if one.sub else ""
    sub = f'<span class="sub">{parts.rstrip()}</span>' if parts else ""
    return (
        f'<td class="{names}" data-head="{escape(head)}">'
        f'<span class="main">{escape(one.main)}</span>{sub}</td>'
    )


def _pieces(sub: str) -> list[str]:
    """An interval and an n that each stay on one line; sentences may wrap."""
    head, mark, n = sub.rpartition(" n\u00a0")
    return [head, f"n\u00a0{n}"] if mark and len(head) < 30 else sub.split(" ")


def marked(reference: str, hypothesis: str) -> tuple[str, str]:
    """Both texts after the headline normaliser, the words that differ marked."""
    ours, theirs = te_std(reference).split(), te_std(hypothesis).split()
    sides: tuple[list[str], list[str]] = ([], [])
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        for side, words in zip(sides, (ours[a:b], theirs[c:d]), strict=True):
            told = escape(" ".join(words))
            if words:
                side.append(told if tag == "equal" else f"<mark>{told}</mark>")
    left, right = (" ".join(side) for side in sides)
    return left, right or "<mark>nothing</mark>"


def pairs_html(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they are."""
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{told}</dl>"
