"""The raters' part of a report, as Markdown or as HTML that takes on the style of its page.

Knows `Ratings` alone; every name and sentence out of a file is escaped.
"""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from benchmarks.ratings.raters import RULES
from benchmarks.ratings.ratings import METHOD, Ratings
from benchmarks.ratings.scores import Opinion
from benchmarks.statistics.bootstrap import Interval

SHOWN_GAPS = 10
TOO_SMALL = "n too small"
_ANCHORS = {"high": "high anchor", "low": "low anchor"}

Table = tuple[list[str], list[list[str]]]  # heads, rows


def fragment_md(found: Ratings) -> str:
    """A section without its heading."""
    lines: list[str] = []
    for heads, rows in _tables(found):
        lines += [_md_row(heads), _md_row(["---"] + ["---:"] * (len(heads) - 1))]
        lines += [*(_md_row([_md(cell) for cell in row]) for row in rows), ""]
    lines += [f"- {_md(sentence)}" for sentence in _sentences(found)]
    return "\n".join(lines) + "\n"


def fragment_html(found: Ratings) -> str:
    """The same as tables and a list: no script, no style, no ids."""
    parts: list[str] = []
    for heads, rows in _tables(found):
        head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
        body = "".join(
            f'<tr><th scope="row">{escape(first)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in rows
        )
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in _sentences(found))
    return "\n".join([*parts, f"<ul>{items}</ul>"]) + "\n"


def _tables(found: Ratings) -> Iterator[Table]:
    yield (
        ["", "MOS (people, 1–5)", "raters", "ratings", "clips", ""],
        [_opinion(o) for o in (*found.engines, *found.anchors)],
    )
    if found.comparisons:
        yield (
            ["A against B", "MOS A − B", "A / no difference / B", "A preferred", "raters", ""],
            [
                [
                    f"{c.one} against {c.other}",
                    _span(c.difference, c.difference_ci, "{:+.2f}".format),
                    f"{c.preferred_one} / {c.same} / {c.preferred_other}",
                    _span(c.preference, c.preference_ci, "{:.0%}".format),
                    str(c.raters),
                    "" if c.enough else TOO_SMALL,
                ]
                for c in found.comparisons
            ],
        )
    if len(found.strengths) > 2:
        yield (
            ["", "Bradley–Terry score"],
            [[s.name, _span(s.score, s.ci, "{:+.2f}".format)] for s in found.strengths],
        )


def _opinion(o: Opinion) -> list[str]:
    remark = "" if o.enough or o.name in _ANCHORS else TOO_SMALL
    counts = [str(o.raters), str(o.ratings), str(o.clips)]
    return [_ANCHORS.get(o.name, o.name), _span(o.mos, o.ci, "{:.2f}".format), *counts, remark]


def _sentences(found: Ratings) -> Iterator[str]:
    people = _count(found.raters, "rater")
    taken = "" if found.seconds is None else f", median {found.seconds:.0f} s an answer"
    yield (
        f"{people}, {_count(found.ratings, 'rating')} of single clips, "
        f"{_count(found.preferences, 'preference')} (kit {found.kit}{taken})"
    )
    if len(found.strengths) == 2:
        scores = ", ".join(
            f"{s.name} {_span(s.score, s.ci, '{:+.2f}'.format)}" for s in found.strengths
        )
        yield f"Bradley–Terry scores (log-strength, mean 0): {scores}"
    if found.excluded:
        answers = sum(e.answers for e in found.excluded)
        yield (
            f"left out: {_count(len(found.excluded), 'rater')} with {_count(answers, 'answer')}; "
            f"rules fixed beforehand: {'; '.join(RULES)}"
        )
        for out in found.excluded:
            yield f"left out: {out.rater} {'; '.join(out.reasons)}"
    if found.gaps:
        yield f"{_count(len(found.gaps), 'gap')} in the ratings, skipped"
        for gap in found.gaps[:SHOWN_GAPS]:
            where = gap.file if gap.line is None else f"{gap.file}, line {gap.line}"
            yield f"{where}{f' ({gap.rater})' if gap.rater else ''}: {gap.reason}"
        if len(found.gaps) > SHOWN_GAPS:
            yield f"and {len(found.gaps) - SHOWN_GAPS} more, in results.json"
    yield from METHOD


def _span(value: float | None, limits: Interval | None, shown: Callable[[float], str]) -> str:
    if value is None:
        return "–"
    if limits is None:
        return f"{_minus(shown(value))} (no CI)"
    return _minus(f"{shown(value)} [{shown(limits.low)}, {shown(limits.high)}]")


def _minus(figure: str) -> str:
    return figure.replace("-", "−")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _md_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md(text: str) -> str:
    """Text as text: a rater's code or a file's name may hold marks that Markdown reads."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
