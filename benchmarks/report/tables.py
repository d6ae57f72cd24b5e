"""The tables of a report: the first one, latency, stages, words, sound, duplex behaviour.

Reads `results.json` and computes nothing. Knows nothing of HTML.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.report.cells import ARROWS, Cell, Row, Table, cell, change, kinds
from benchmarks.report.figures import NONE, error_rate, value_text
from benchmarks.report.plots import stage_name
from benchmarks.summary.figure import Figure
from benchmarks.summary.metrics import METRICS, Metric
from models.telugu.normalizers import HEADLINE

CAPTION = (
    "In brackets the 95 % interval. Percentiles: order statistics; shares: Wilson; rates, means "
    "and differences: bootstrap of conversations, 10 000 draws. Turns without an answer count as "
    "slower than every other: a percentile among them is “never”. ↓ lower, ↑ higher is better. "
    "Coloured: the interval of the difference excludes 0."
)


def own_figure(told: dict[str, Any], metric: Metric) -> Figure | None:
    """A metric of one engine out of `results.json`; None where it was not measured."""
    if not told.get("n"):
        return None
    latency, words, sound = told["latency"], told["words"], told["sound"]
    if metric.percentile is not None:
        return Figure.of(latency["v2v"][f"p{metric.percentile * 100:.0f}"])
    if metric.normalizer:
        who, which = metric.key.split("_")
        rates = words[who].get("normalizers", [])
        chosen = [r for r in rates if r["normalizer"] == metric.normalizer]
        return error_rate(chosen[0], which) if chosen else None
    return Figure.of(
        {
            "within_800": lambda: next(w["share"] for w in latency["within"] if w["ms"] == 800),
            "answered": lambda: latency["answered"],
            "early": lambda: latency["early"],
            "false_starts": lambda: latency["false_starts"],
            "dnsmos_ovrl": lambda: next(
                p["mean"] for p in sound["predictors"] if p["key"] == "dnsmos_ovrl"
            ),
            "fits": lambda: told["content"]["fits"],
            "judged_fits": lambda: told["content"]["judged"],
            "underrun": lambda: sound["underrun"],
        }[metric.key]()
    )


def summary(found: dict[str, Any]) -> Table:
    """The first table: every metric, a column an engine, and the difference."""
    engines = list(found["turns"])
    pair = found["pair"]
    head = ["", *engines, *([f"{pair['ours']} − {pair['theirs']}"] if pair else [])]
    rows = []
    for metric in METRICS:
        own = [own_figure(found["turns"][engine], metric) for engine in engines]
        if all(figure is None or figure.value is None for figure in own):
            continue
        cells = [cell(figure) for figure in own]
        if pair:
            cells.append(change(Figure.of(pair["metrics"][metric.key]), metric.lower_is_better))
        hint = ARROWS["lower" if metric.lower_is_better else "higher"]
        if metric.normalizer:
            hint = f"{judge_word(metric)}{metric.normalizer} {hint}"
        rows.append(Row(metric.label, cells, hint))
    rows += duplex_rows(found, engines, pair=bool(pair), headline=True)
    return Table(head, rows, CAPTION, kinds(len(engines), bool(pair)))


def judge_word(metric: Metric) -> str:
    """Who found the words, where it is not the engine itself."""
    return "judge, " if metric.key.startswith("bot_") else ""


def duplex_rows(
    found: dict[str, Any], engines: Sequence[str], *, pair: bool, headline: bool
) -> list[Row]:
    """The behaviours of the duplex suite, an engine a column."""
    rows = []
    for one in found["duplex"]["behaviours"] if found["duplex"] else ():
        if headline and not one["headline"]:
            continue
        cells = [_duplex_cell(one, engine) for engine in engines]
        if pair and one["difference"]:
            cells.append(change(Figure.of(one["difference"]), one["better"] == "lower"))
        elif pair:
            cells.append(Cell(""))
        hint = ARROWS[one["better"]] if headline else f"{one['task']} {ARROWS[one['better']]}"
        rows.append(Row(one["label"], cells, hint))
    return rows


def _duplex_cell(one: dict[str, Any], engine: str) -> Cell:
    found = one["engines"].get(engine)
    shown = cell(Figure.of(found) if found else None)
    left_out = one["excluded"].get(engine)
    return replace(shown, sub=f"{shown.sub}, {left_out} left out") if left_out else shown


def duplex(found: dict[str, Any], *, headline: bool = False) -> Table:
    """All behaviours, or those of the first screen."""
    engines = found["duplex"]["engines"]
    paired = any(one["difference"] for one in found["duplex"]["behaviours"])
    head = ["", *engines, *(["difference"] if paired else [])]
    rows = duplex_rows(found, engines, pair=paired, headline=headline)
    caption = "" if headline else found["duplex"]["caption"]
    return Table(head, rows, caption, kinds(len(engines), paired))


def latencies(latency: dict[str, Any], engine: str, at: int) -> Table:
    """Percentiles of one engine: of all turns, of the first of a call, of later ones."""
    groups = {"v2v": "all turns", "first_turn": "first of a call", "later_turns": "later"}
    rows = [
        Row(f"{engine}, {name}", [cell(Figure.of(latency[key][name])) for key in groups])
        for name in ("p50", "p90", "p95", "p99")
    ]
    return Table(["", *groups.values()], rows, "", [f"s{at}"] * len(groups))


def thresholds(found: dict[str, Any]) -> Table:
    """The share of turns answered within each limit; an engine a row."""
    told = {e: t["latency"]["within"] for e, t in found["turns"].items() if t["n"]}
    rows = [Row(e, [cell(Figure.of(one["share"])) for one in ones]) for e, ones in told.items()]
    limits = [f"within {one['ms']}\u202fms" for one in next(iter(told.values()))]
    return Table(["answered", *limits], rows)


def stage_table(found: dict[str, Any]) -> Table | None:
    """Every stage of every engine."""
    rows = []
    for engine, told in found["turns"].items():
        for stage in told.get("stages", {}).get("stages", []):
            cells = [cell(Figure.of(stage[key])) for key in ("mean", "p50", "p95")]
            name = stage_name(stage["name"])
            rows.append(Row(name, cells, engine))
    return Table(["stage", "mean", "p50", "p95"], rows) if rows else None


def error_rates(side: dict[str, Any]) -> Table:
    """WER and CER of one side of one engine by every normaliser."""
    rows = []
    for one in side["normalizers"]:
        wer, cer = error_rate(one, "wer"), error_rate(one, "cer")
        hint = "headline" if one["headline"] else "" if one["comparable"] else "not comparable"
        macro = Figure(one["macro_wer"], None, None, wer.n, "share")
        rows.append(
            Row(
                one["normalizer"],
                [cell(wer), cell(cer), Cell(value_text(macro), f"n\u00a0{wer.n}")],
                hint,
            )
        )
    return Table(["normaliser", "WER", "CER", "macro WER"], rows)


def traits(side: dict[str, Any]) -> Table:
    """What the texts of one side are like, whatever the normaliser."""
    rows = [
        Row("script fidelity", [cell(Figure.of(side["script_fidelity"]))], "Telugu among letters"),
        Row("empty", [cell(Figure.of(side["empty"]))], f"nothing left after {HEADLINE}"),
        Row("hallucinated", [cell(Figure.of(side["hallucinated"]))], "invented or looping words"),
    ]
    return Table(["", "share"], rows)


def sounds(found: dict[str, Any]) -> Table:
    """Predicted quality, clipping, gaps and underruns of the answers."""
    told = {e: t["sound"] for e, t in found["turns"].items() if t["n"]}
    rows = []
    for at, one in enumerate(next(iter(told.values()))["predictors"]):
        cells = [cell(Figure.of(s["predictors"][at]["mean"])) for s in told.values()]
        rows.append(Row(one["name"], cells, "predicted, 1 to 5"))
    rows += _optional(
        "voice of a call's last answers, likeness to its first",
        [s["voice"] for s in told.values()],
        "1: the same",
    )
    labels = {"clipped": "answers with clipped samples", "underrun": "answers with a playback gap"}
    for key, label in labels.items():
        rows.append(Row(label, [cell(Figure.of(s[key])) for s in told.values()]))
    for name in ("p50", "p95"):
        cells = [cell(Figure.of(s["longest_gap"][name])) for s in told.values()]
        rows.append(Row(f"longest silence inside an answer, {name}", cells))
    scripts = [t["words"]["bot_text_script"] for t in found["turns"].values() if t["n"]]
    rows.append(Row("answers in Telugu script", [cell(Figure.of(s)) for s in scripts]))
    content = [t["content"] for t in found["turns"].values() if t["n"]]
    rows.append(
        Row("answer fits the turn's key", [cell(Figure.of(one["fits"])) for one in content])
    )
    asked = {"judged": "answer fits, by a language model", "agreement": "key and model agree"}
    for key, label in asked.items():
        rows += _optional(label, [one[key] for one in content])
    return Table(["", *told], rows, "", kinds(len(told), False))


def _optional(label: str, figures: Sequence[dict[str, Any]], hint: str = "") -> list[Row]:
    """A row of what not every run measures; none where no engine has it."""
    known = [Figure.of(one) for one in figures]
    return [Row(label, [cell(f) for f in known], hint)] if any(f.known for f in known) else []


def endings(found: dict[str, Any]) -> Table:
    """How the scheduled turns ended."""
    rows = [
        Row(f"{engine}: {one['status']}", [Cell(f"{one['n']}"), Cell(one["reason"] or NONE)])
        for engine, told in found["turns"].items()
        for one in told["endings"]
    ]
    return Table(["", "turns", "first reason"], rows)
