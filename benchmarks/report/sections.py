"""The sections of the page below its first screen, each a title and its HTML.

A section that has nothing to say is not made. Knows nothing of how a figure came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.ratings.fragment import fragment_html
from benchmarks.ratings.ratings import Ratings
from benchmarks.report import load_tables, prose, tables
from benchmarks.report.audio import Choice, Heard
from benchmarks.report.figures import number
from benchmarks.report.load_plots import cost_curves, load_curves
from benchmarks.report.parts import both, items, marked, pairs_html, table_html
from benchmarks.report.plots import radar, waterfall
from benchmarks.report.timeline import timeline

SHOWN = 6  # turns that one sees at once
RADAR = (
    "Pause and story: share where the bot did not take the turn. End of turn, echo, side speech "
    "and noise: share where it did. Cut-in: the new turn was answered. Caller’s “mm”: the bot "
    "went on."
)


@dataclass(frozen=True)
class Section:
    """`name` is what a link says."""

    name: str
    title: str
    body: str


def sections(found: dict[str, Any], choice: Choice, ratings: Ratings | None) -> Iterator[Section]:
    """All sections that there is something for, in reading order."""
    told = {e: t for e, t in found["turns"].items() if t["n"]}
    if told:
        yield Section("latency", "Latency", _latency(found, told))
        yield from _stages(found, told)
        yield from _listen(found, choice)
    if found["duplex"]:
        yield Section("duplex", "Duplex behaviour", _duplex(found))
    if told:
        yield Section("words", "Words", _words(found, told))
        sound = table_html(tables.sounds(found), card=True)
        asked = prose.content(found)
        said = f"<p>{escape(asked)}</p>" if asked else ""
        yield Section("sound", "Sound and content", said + sound)
    if ratings is not None:
        body = f'<div class="card scroll">{fragment_html(ratings)}</div>'
        yield Section("people", "What people heard", body)
    if found["load"]:
        yield from _load(found)
    if told:
        ended = table_html(tables.endings(found), card=True, words=True)
        yield Section("endings", "How turns ended", ended)
    there = pairs_html(prose.environment(found))
    yield Section("environment", "Environment", f'<div class="card">{there}</div>')
    said = items(prose.limits(found), "limits")
    yield Section("limits", "Limits of this measurement", said)


def _latency(found: dict[str, Any], told: dict[str, Any]) -> str:
    drawn = [
        table_html(tables.latencies(one["latency"], engine, at), card=True)
        for at, (engine, one) in enumerate(told.items())
    ]
    limits = table_html(tables.thresholds(found), card=True)
    return f'{limits}<div class="two">{"".join(drawn)}</div>'


def _stages(found: dict[str, Any], told: dict[str, Any]) -> Iterator[Section]:
    parts = []
    for at, (engine, one) in enumerate(told.items()):
        stages = one["stages"]
        if not stages["n"]:
            continue
        shown = both(lambda w, n, s=stages, e=engine, k=at: waterfall(s, e, k, w, n), f"fall{at}")
        exact = f"n {stages['n']}, worst turn {stages['worst_sum_ms']:g} ms off"
        parts.append(
            f'<figure class="card"><figcaption>{escape(engine)}</figcaption>{shown}'
            f'<p class="caption">Mean ms of each stage; they sum to the mean ({exact}).</p>'
            "</figure>"
        )
    table = tables.stage_table(found)
    if table is not None:
        parts = [f'<div class="two">{"".join(parts)}</div>']
        parts.append(
            f"<details><summary>All stages as a table</summary>{table_html(table)}</details>"
        )
        yield Section("stages", "Where the time goes", "".join(parts))


def _listen(found: dict[str, Any], choice: Choice) -> Iterator[Section]:
    series = {engine: at for at, engine in enumerate(found["turns"])}
    if not choice.heard and not choice.faults:
        return
    parts = [
        "<p>Chosen by rule, not by ear. Left is the caller, right the bot; a click on a timeline "
        "plays from there. The bar between the lanes shows the stages.</p>"
    ]
    turns = [_turn(h, series[h.row.engine], f"turn{at}") for at, h in enumerate(choice.heard)]
    parts.append(f'<div class="two">{"".join(turns[:SHOWN])}</div>')
    if turns[SHOWN:]:
        more = f"{len(turns) - SHOWN} more turns"
        hidden = f'<div class="two">{"".join(turns[SHOWN:])}</div>'
        parts.append(f"<details><summary>{more}</summary>{hidden}</details>")
    if choice.left_out:
        parts.append(f'<p class="caption">{choice.left_out} more did not fit on the page.</p>')
    if choice.faults:
        parts.append(
            f'<div class="card missing"><b>Not to be heard</b>{items(choice.faults)}</div>'
        )
    yield Section("listen", "Listen", "".join(parts))


def _turn(heard: Heard, series: int, name: str) -> str:
    row = heard.row
    what = f"{row.conversation}, turn {row.turn}"
    time = row.reason or row.status if row.v2v_ms is None else f"{number(row.v2v_ms, 'ms')}\u202fms"
    # A timeline stands in a column of its own, so the narrow drawing serves a desk as well.
    drawn = timeline(heard, series, 460, name)
    small = timeline(heard, series, 344, name + "-n")
    texts = [("caller", row.reference), ("recogniser", row.user_text), ("bot", row.bot_text)]
    texts.append(("judge", row.heard_text or ""))
    told = "".join(
        f'<dt>{who}</dt><dd class="te" lang="te">{escape(text)}</dd>' for who, text in texts if text
    )
    return (
        f'<article class="card turn"><header><b class="s{series}">{escape(row.engine)}</b>'
        f"<b>{escape(time)}</b><span>{escape('; '.join(heard.why))}</span>"
        f'<span class="meta">{escape(what)}</span></header>'
        f'<div class="wide">{drawn}</div><div class="narrow">{small}</div>'
        f'<audio controls preload="none" src="data:audio/mpeg;base64,{heard.base64}"></audio>'
        f"<dl>{told}</dl></article>\n"
    )


def _duplex(found: dict[str, Any]) -> str:
    told = found["duplex"]
    parts = []
    if len(told["radar"]["axes"]) > 2:
        sides = [(e, told["radar"]["engines"][e]) for e in told["engines"]]
        shown = both(lambda w, n: radar(told["radar"]["axes"], sides, w, n), "radar")
        names = ", ".join(
            f'<b class="s{at}">{escape(e)}</b>' for at, e in enumerate(told["engines"])
        )
        parts.append(
            f'<figure class="card"><figcaption>Outside is better: {names}</figcaption>{shown}'
            f'<p class="caption">{RADAR}</p></figure>'
        )
    first = tables.duplex(found, headline=True)
    if first.rows:
        parts.append(table_html(first, card=True))
    whole = table_html(tables.duplex(found), card=True)
    more = f"<details><summary>All figures of the suite</summary>{whole}</details>"
    return f'<div class="two">{"".join(parts)}</div>{more}'


def _words(found: dict[str, Any], told: dict[str, Any]) -> str:
    cards = []
    for at, (engine, one) in enumerate(told.items()):
        for who, heading in (("user", "understands the caller"), ("bot", "is understood")):
            side = one["words"][who]
            head = f'<h3><b class="s{at}">{escape(engine)}</b> {heading}</h3>'
            if side["n"]:
                drawn = (tables.error_rates(side), tables.traits(side))
                body = "".join(table_html(t) for t in drawn) + _worst(side["worst"])
            else:
                body = f'<p class="meta">Not measured: {escape(side["why"])}.</p>'
            cards.append(f'<div class="card">{head}{body}</div>')
    return f'<p>{escape(prose.judge(found))}</p><div class="two start">{"".join(cards)}</div>'


def _worst(examples: list[dict[str, Any]]) -> str:
    if not examples:
        return ""
    told = []
    for one in examples:
        said, heard = marked(one["reference"], one["hypothesis"])
        counted = f"{one['edits']} edits of {one['words']} words"
        told.append(
            f'<p class="meta">{escape(one["turn"])}, {counted}</p><dl class="te" lang="te">'
            f'<dt lang="en">said</dt><dd>{said}</dd><dt lang="en">heard</dt><dd>{heard}</dd></dl>'
        )
    return f"<details><summary>Worst examples, te-std</summary>{''.join(told)}</details>"


def _load(found: dict[str, Any]) -> Iterator[Section]:
    load = found["load"]
    engines = list(found["turns"]) or found["engines"]
    order = list(dict.fromkeys([*engines, *(r["engine"] for r in load["ramps"])]))
    series = {engine: at for at, engine in enumerate(order)}
    ramps = [r | {"series": series[r["engine"]]} for r in load["ramps"]]
    parts = []
    kinds = (
        ("v2v_ms_p95", "Voice to voice, p95", "v2v p95"),
        ("tick_ms_p99", "Tick, p99", "tick p99"),
    )
    for key, title, measure in kinds:
        some = [r for r in ramps if any(s[key] is not None for s in r["steps"])]
        if not some:
            continue
        goals = [r["target_ms"] for r in some if r["measure"] == measure]
        shown = both(
            lambda w, n, s=some, k=key, g=goals: load_curves(s, k, g[0] if g else None, w, n), key
        )
        parts.append(
            f'<figure class="card"><figcaption>{title}, by callers at once</figcaption>{shown}'
            '<p class="caption">A hollow point did not hold.</p></figure>'
        )
    parts = [items(load_tables.knees(load)), f'<div class="two">{"".join(parts)}</div>']
    steps = table_html(load_tables.load_steps(load), stack=False)
    parts.append(f"<details><summary>All steps as a table</summary>{steps}</details>")
    yield Section("load", "Load", "".join(parts))
    cost = load_tables.costs(load)
    if cost is None:
        body = (
            "<p>The machine is not in the table of GPUs; <code>maata plan --price</code> costs it."
            "</p>"
        )
        yield Section("cost", "Cost", body)
        return
    plan = next(p for p in load["cost"]["plans"] if any(e["curve"] for e in p["engines"]))
    shown = both(lambda w, n: cost_curves(plan, series, w, n), "cost")
    caption = f"{plan['name']}, $ {plan['usd_per_hour']:g} an hour ({plan['price_source']})"
    figure = (
        f'<figure class="card"><figcaption>Cost of a caller\'s hour</figcaption>{shown}'
        f'<p class="caption">{escape(caption)}; whole GPUs, 1 % of callers turned away.</p>'
        "</figure>"
    )
    yield Section("cost", "Cost", figure + table_html(cost, card=True))
