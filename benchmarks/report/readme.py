"""The results table of README, between two markers, out of a stored run.

Everything outside the markers stays as it is; the same run writes the same bytes. Knows nothing of
how a figure came about.
"""

import os
from pathlib import Path
from typing import Any

from benchmarks.report.figures import ReportError
from benchmarks.report.md import md, table_md
from benchmarks.report.prose import subtitle
from benchmarks.report.tables import summary
from benchmarks.report.verdict import verdict

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def write_table(readme: Path, found: dict[str, Any], directory: Path) -> None:
    """Replaces what lies between the markers.

    Raises:
        ReportError: no such file, no turns to show, or not exactly one pair of markers.
    """
    if not readme.is_file():
        raise ReportError(f"{readme}: no such file; give the README that has the markers")
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ReportError(f"{readme}: put one line {BEGIN} and one line {END} where it goes")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    beside = readme.with_suffix(readme.suffix + ".part")
    whole = f"{before}{BEGIN}\n{block(found, _relative(directory, readme))}{END}{after}"
    beside.write_text(whole, encoding="utf-8", newline="\n")
    os.replace(beside, readme)


def block(found: dict[str, Any], where: str) -> str:
    """The table with its verdict, and where the whole report is.

    Raises:
        ReportError: the run has no turns.
    """
    if not any(told["n"] for told in found["turns"].values()):
        raise ReportError(f"{where} has no turns for a table; give a run of the standard suite")
    lines = [md(" ".join(verdict(found))), "", *table_md(summary(found))]
    lines.append(f"From [{md(where)}]({where}/report.md): {md(subtitle(found))}.")
    return "\n".join(lines) + "\n"


def _relative(directory: Path, readme: Path) -> str:
    return Path(os.path.relpath(directory.resolve(), readme.resolve().parent)).as_posix()
