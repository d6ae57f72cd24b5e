"""The command that renders a run: `results.json`, `report.md`, `report.html` from its raw rows.

    maata report DIR [--baseline DIR] [--ratings CSV …] [--readme README.md]

The same rows give the same bytes. Knows nothing of how a run is measured.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.load.ramp import PlanError
from benchmarks.plan.gpus import FloorError
from benchmarks.ratings.ratings import Ratings, RatingsError, find_key, summarise, to_json
from benchmarks.report import html as report_html
from benchmarks.report import md as report_md
from benchmarks.report.audio import chosen
from benchmarks.report.baseline import against, baseline_table
from benchmarks.report.figures import ReportError
from benchmarks.report.readme import write_table
from benchmarks.suite.rows import RowError
from benchmarks.summary.results import RESULTS, as_text, read_directory, results

MARKDOWN, PAGE = "report.md", "report.html"
RENDERED, WANTING, USAGE = 0, 1, 2  # exit codes


def run_report(
    directory: Path,
    *,
    baseline: Path | None = None,
    readme: Path | None = None,
    ratings: Sequence[Path] | None = None,
) -> int:
    """Writes the three files into `directory`; returns the exit code.

    0: rendered. 1: rendered, but a figure means nothing (references without any hypothesis,
    ratings with gaps) or something became worse than in `baseline`, each with a sentence on stderr.
    2: nothing can be rendered, with one sentence. The last line of stdout is one JSON object:
    {"results", "report", "regressions"}.
    """
    try:
        run = read_directory(directory)
        found = results(run)
        heard = _ratings(directory, ratings or ())
        if heard is not None:
            found["ratings"] = to_json(heard)
        choice = chosen(run)
        texts = {
            RESULTS: as_text(found),
            MARKDOWN: report_md.render(found, heard),
            PAGE: report_html.render(found, choice, heard),
        }
        changes = against(run, read_directory(baseline)) if baseline is not None else []
        for name, text in texts.items():
            _write(directory / name, text)
        if readme is not None:
            write_table(readme, found, directory)
    except (RowError, ReportError, PlanError, FloorError, RatingsError) as e:
        return _fail(str(e))
    except UnicodeDecodeError as e:
        return _fail(f"a file of {directory} is not UTF-8 ({e}); run `maata bench` again")
    except OSError as e:
        return _fail(f"{e.filename}: {e.strerror}; choose another directory")
    if changes:
        Console(width=140, highlight=False).print(baseline_table(changes))
    wrong = [*found["faults"], *_gaps(heard), *(c.sentence for c in changes if c.regressed)]
    for sentence in [*wrong, *choice.faults]:
        _say(sentence)
    print(json.dumps(_line(directory, [c.name for c in changes if c.regressed])), flush=True)
    return WANTING if wrong else RENDERED


def _ratings(directory: Path, csvs: Sequence[Path]) -> Ratings | None:
    if not csvs:
        return None
    lost = next((path for path in csvs if not path.is_file()), None)
    if lost is not None:
        raise RatingsError(f"{lost}: no such file; give the CSVs that raters sent")
    return summarise(csvs, find_key(directory, csvs))


def _gaps(heard: Ratings | None) -> list[str]:
    if heard is None or not heard.gaps:
        return []
    first = heard.gaps[0]
    return [
        f"{len(heard.gaps)} gaps in the ratings, skipped: first in {first.file}: {first.reason}"
    ]


def _line(directory: Path, regressions: list[str]) -> dict[str, Any]:
    return {
        "results": str(directory / RESULTS),
        "report": str(directory / PAGE),
        "regressions": regressions,
    }


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)


def _say(sentence: str) -> None:
    print(f"maata report: {sentence}", file=sys.stderr, flush=True)


def _fail(sentence: str) -> int:
    _say(sentence)
    return USAGE
