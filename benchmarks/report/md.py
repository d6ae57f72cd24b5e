"""`report.md`: the report as Markdown, for a terminal or a repository; the page has the plots.

Knows nothing of how a figure came about.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.ratings.fragment import fragment_md
from benchmarks.ratings.ratings import Ratings
from benchmarks.report import load_tables, prose, tables
from benchmarks.report.cells import Table
from benchmarks.report.verdict import verdict


def render(found: dict[str, Any], ratings: Ratings | None = None) -> str:
    """The whole report; `found` is `results.json`."""
    return "\n".join(_lines(found, ratings)).rstrip() + "\n"


def _lines(found: dict[str, Any], ratings: Ratings | None) -> Iterator[str]:
    yield from (f"# {md(prose.title(found))}", "", md(prose.subtitle(found)), "")
    for sentence in verdict(found):
        yield from (f"> {md(sentence)}", ">")
    yield ""
    if found["turns"]:
        yield from table_md(tables.summary(found))
    if found["missing"] or found["faults"]:
        yield from ("**Not in this report**", "")
        yield from (*(f"- {md(s)}" for s in [*found["faults"], *found["missing"]]), "")
    yield from _turns(found)
    if found["duplex"]:
        yield from ("## Duplex behaviour", "", *table_md(tables.duplex(found)))
    if ratings is not None:
        yield from ("## What people heard", "", fragment_md(ratings), "")
    if found["load"]:
        yield from _load(found["load"])
    yield from ("## Environment", "")
    yield from (*(f"- {md(k)}: {md(v)}" for k, v in prose.environment(found)), "")
    yield from ("## Limits of this measurement", "")
    yield from (f"- {md(s)}" for s in prose.limits(found))


def _turns(found: dict[str, Any]) -> Iterator[str]:
    told = {e: t for e, t in found["turns"].items() if t["n"]}
    if not told:
        return
    yield from ("## Latency", "", *table_md(tables.thresholds(found)))
    for at, (engine, one) in enumerate(told.items()):
        yield from table_md(tables.latencies(one["latency"], engine, at))
    stages = tables.stage_table(found)
    if stages:
        yield from ("## Stages", "", *table_md(stages))
    yield from ("## Words", "", md(prose.judge(found)), "")
    for engine, one in told.items():
        for who, heading in (("user", "understands the caller"), ("bot", "is understood")):
            side = one["words"][who]
            if not side["n"]:
                yield from (f"### {engine} {heading}", "", f"Not measured: {side['why']}.", "")
                continue
            yield from (f"### {engine} {heading}", "")
            yield from table_md(tables.error_rates(side))
            yield from table_md(tables.traits(side))
            yield from _worst(side["worst"])
    yield from ("## Sound and content", "")
    if said := prose.content(found):
        yield from (md(said), "")
    yield from table_md(tables.sounds(found))
    yield from ("## How turns ended", "", *table_md(tables.endings(found)))


def _worst(examples: list[dict[str, Any]]) -> Iterator[str]:
    for one in examples:
        yield f"- {md(one['turn'])}, {one['edits']} edits of {one['words']} words  "
        yield f"  said: {md(one['reference'])}  "
        yield f"  heard: {md(one['hypothesis'] or '(nothing)')}"
    if examples:
        yield ""


def _load(load: dict[str, Any]) -> Iterator[str]:
    yield from ("## Load", "", *(f"- {md(s)}" for s in load_tables.knees(load)), "")
    yield from table_md(load_tables.load_steps(load))
    cost = load_tables.costs(load)
    yield from ("## Cost", "")
    if cost is None:
        yield from ("The machine is not in the table of GPUs: `maata plan --price` costs it.", "")
    else:
        yield from table_md(cost)


def table_md(table: Table) -> Iterator[str]:
    """A table with what stands below a figure behind it."""
    yield _row(table.head)
    yield _row(["---"] + ["---:"] * (len(table.head) - 1))
    for row in table.rows:
        label = md(row.label) + (f" ({md(row.hint)})" if row.hint else "")
        yield _row([label, *(f"{md(c.main)} {md(c.sub)}".strip() for c in row.cells)])
    yield ""
    if table.caption:
        yield from (md(table.caption), "")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell or " " for cell in cells) + " |"


def md(text: str) -> str:
    """Text as text: what a server said may hold marks that Markdown reads."""
    for mark in "\\`*_<>|[]#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split(" ")).replace("\n", " ")
