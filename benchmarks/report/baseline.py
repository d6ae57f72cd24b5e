"""Two runs compared, metric by metric and engine by engine: did anything become worse?

**The rule.** A metric has regressed if the 95 % interval of its change excludes 0 in the bad
direction, and the change itself exceeds the metric's tolerance (`summary.metrics.METRICS`: 30 ms at
the median, 100 ms at p95, 2 points of answered turns, 1 point of WER …). Where both runs are of the
same suite (sha256) the turns are paired, and conversations drawn for both at once; otherwise each
run is drawn by itself. Without an interval nothing is said to have regressed, and the table says
why. What was measured before and is not there any more has regressed.
"""

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.report.figures import excludes_zero, interval_text, number, value_text
from benchmarks.suite.rows import RowError
from benchmarks.summary.figure import Figure
from benchmarks.summary.metrics import METRICS, Metric
from benchmarks.summary.paired import difference, paired
from benchmarks.summary.results import Run


@dataclass(frozen=True)
class Change:
    """One metric of one engine, this run less the baseline."""

    engine: str
    metric: Metric
    figure: Figure
    is_paired: bool
    lost: bool = False  # the baseline has it, this run does not

    @property
    def name(self) -> str:
        return f"{self.engine} {self.metric.key}"

    @property
    def worse(self) -> bool:
        """Whether the change is in the bad direction and its interval excludes 0."""
        one = self.figure
        if one.value is None or not excludes_zero(one):
            return False
        return (one.value > 0) == self.metric.lower_is_better

    @property
    def regressed(self) -> bool:
        value = self.figure.value
        return self.lost or (
            self.worse and value is not None and abs(value) > self.metric.tolerance
        )

    @property
    def sentence(self) -> str:
        """For people, of a regression."""
        if self.lost:
            return (
                f"{self.engine}: {self.metric.label} was measured in the baseline and is not here; "
                "measure it again"
            )
        unit = (
            "" if self.metric.unit == "score" else " ms" if self.metric.unit == "ms" else " points"
        )
        return (
            f"{self.engine}: {self.metric.label} became worse by "
            f"{value_text(self.figure, signed=True)} {interval_text(self.figure, signed=True)}, "
            f"more than the {number(self.metric.tolerance, self.metric.unit)}{unit} that pass"
        )


def against(run: Run, before: Run) -> list[Change]:
    """Every metric that one of the runs has.

    Raises:
        RowError: the two have no engine in common.
    """
    same = run.run.get("suite_sha256") == before.run.get("suite_sha256")
    pairable = same and run.run.get("suite_sha256") is not None
    engines = [e for e in before.engines if before.counted(e)]
    if not any(run.counted(engine) for engine in engines):
        raise RowError(
            f"{before.directory} has no engine of {run.directory} with turns that count: compare "
            "runs of one engine"
        )
    changes = []
    for engine in engines:
        ours, theirs = run.counted(engine), before.counted(engine)
        is_paired = False
        if pairable and ours:
            both = paired(ours, theirs)
            is_paired = bool(both[0])
            ours, theirs = both if is_paired else (ours, theirs)
        for metric in METRICS:
            had = _has(metric, before, engine)
            if had and not _has(metric, run, engine):
                lost = Figure(None, None, None, 0, metric.unit, "not measured")
                changes.append(Change(engine, metric, lost, is_paired, lost=True))
            elif had:
                found = difference(metric, ours, theirs, pairs=is_paired)
                changes.append(Change(engine, metric, found, is_paired))
    return changes


def _has(metric: Metric, run: Run, engine: str) -> bool:
    rows = run.counted(engine)
    if not rows or metric.counts is None:
        return bool(rows)
    return bool(metric.counts(rows)[:, 1].sum())


def baseline_table(changes: list[Change]) -> Table:
    """The comparison for a terminal."""
    shown = Table(caption="this run less the baseline, 95 % intervals", box=SIMPLE_HEAD)
    for name in ("engine", "metric", "change", "95 % interval", "n", "passes", ""):
        shown.add_column(name, justify="left" if name in ("engine", "metric", "") else "right")
    for change in changes:
        word = "REGRESSED" if change.regressed else "worse, within" if change.worse else ""
        one = change.figure
        shown.add_row(
            change.engine,
            change.metric.label,
            value_text(one, signed=True),
            interval_text(one, signed=True),
            f"{one.n}{'' if change.is_paired else ' unpaired'}",
            number(change.metric.tolerance, change.metric.unit),
            word,
        )
    return shown
