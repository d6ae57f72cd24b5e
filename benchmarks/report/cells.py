"""What tables of a report are made of: rows of cells that the page and the Markdown both draw.

A cell with a figure has its interval and n, or says why not. Knows nothing of what is measured.
"""

from dataclasses import dataclass, field

from benchmarks.report.figures import NONE, excludes_zero, interval_text, value_text
from benchmarks.summary.figure import Figure

BETTER, WORSE = "better", "worse"
ARROWS = {"lower": "↓", "higher": "↑", "": ""}  # the way that is better


@dataclass(frozen=True)
class Cell:
    """What one reads first, and what stands below it."""

    main: str
    sub: str = ""
    tone: str = ""  # better, worse: of a difference that is shown


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    cells: list[Cell]
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """`head` has a name for the labels and one for every cell."""

    head: list[str]
    rows: list[Row]
    caption: str = ""
    kinds: list[str] = field(default_factory=list)  # class of each column, e.g. s0


def cell(figure: Figure | None) -> Cell:
    """A figure of one engine."""
    if figure is None:
        return Cell(NONE, "not measured")
    if figure.value is None:
        return Cell(NONE, figure.note or "not measured")
    return Cell(value_text(figure), f"{interval_text(figure)} n\u00a0{figure.n}")


def change(figure: Figure, lower_is_better: bool) -> Cell:
    """A difference, marked where its interval excludes 0."""
    if figure.value is None:
        return Cell(NONE, figure.note)
    tone = ""
    if excludes_zero(figure):
        tone = BETTER if (figure.value < 0) == lower_is_better else WORSE
    sub = f"{interval_text(figure, signed=True)} n\u00a0{figure.n}"
    return Cell(value_text(figure, signed=True), sub, tone)


def kinds(engines: int, pair: bool) -> list[str]:
    """Classes of the columns of that many engines, and of a difference."""
    return [*(f"s{at}" for at in range(engines)), *(["difference"] if pair else [])]
