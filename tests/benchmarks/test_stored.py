"""The stored runs: their reports are what their rows give, to the byte, and standard fits its goal.

Recordings are not stored, so the page is compared without the turns that one listens to.
"""

import re
import shutil
from pathlib import Path

import pytest

from benchmarks.report.report import MARKDOWN, PAGE, RENDERED, run_report
from benchmarks.suite import suites
from benchmarks.suite.call import PATIENCE, WARMUP_ANSWER_S
from benchmarks.suite.rows import RUN, TURNS, read
from benchmarks.summary.results import DUPLEX, LOAD, RESULTS

HOME = Path(__file__).parents[2] / "benchmarks" / "results"
RUNS = sorted(path.parent for path in HOME.glob(f"*/{RUN}"))
LISTEN = re.compile(r'<section id="listen".*?</section>|<a href="#listen">.*?</a>', re.DOTALL)
WARMUP_TURN_S = 4.2  # the first turn, and the wait for its answer
# On two cores: the server's start, the page, a dialling; DNSMOS of a core an answer; the rest of
# the listening (judge, its ceiling, the encoder of voices).
START_S, REPORT_S, DIAL_S, DNSMOS_S, OTHERWISE_S = 13.0, 4.0, 0.2, 0.9, 7.0


def without_sound(page: Path) -> str:
    return LISTEN.sub("", page.read_text("utf-8"))


@pytest.mark.parametrize("stored", RUNS, ids=lambda path: path.name)
def test_a_stored_run_renders_to_the_same_bytes(stored, tmp_path, capsys):
    for name in (RUN, TURNS, DUPLEX, LOAD):
        if (stored / name).is_file():
            shutil.copy(stored / name, tmp_path / name)
    assert run_report(tmp_path) == RENDERED
    for name in (RESULTS, MARKDOWN):
        assert (tmp_path / name).read_bytes() == (stored / name).read_bytes(), name
    assert without_sound(tmp_path / PAGE) == without_sound(stored / PAGE)


def test_standard_fits_its_goal():
    """The turns of the stored run, waited for as callers wait today."""
    rows = [row for row in read(HOME / "starter-standard" / TURNS) if not row.warmup]
    spent = START_S + REPORT_S + OTHERWISE_S
    assert PATIENCE.told_over_ms is not None
    for row in rows:
        assert row.audio_from_ms is not None
        assert row.user_end_ms is not None
        spent += (row.user_end_ms - row.audio_from_ms) / 1000
        if row.bot_end_ms is None:
            spent += PATIENCE.answer_timeout_s
        else:
            # The engines' word that they had finished came 230 and 400 ms after their last sound.
            rest = max(PATIENCE.told_over_ms + 30, 230 if row.engine == "cascade" else 400)
            spent += (row.bot_end_ms - row.user_end_ms + rest) / 1000
    calls = len({row.call_id for row in rows})
    spent += (calls + 2) * (PATIENCE.lead_in_ms / 1000 + DIAL_S)
    spent += 2 * (WARMUP_TURN_S + WARMUP_ANSWER_S)
    standard = suites.find("standard")
    assert standard.predictions is not None
    assert standard.goal_s is not None
    spent += 2 * standard.predictions * DNSMOS_S / 2  # two engines, two cores
    assert spent < standard.goal_s, spent
