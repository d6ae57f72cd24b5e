"""The published figures of one server, measured by calling it.

    python -m training.unseen_callers runs/unseen --n 30
    python -m benchmarks.figures http://127.0.0.1:7860 runs/unseen [--engine E] [--out runs/figures]

Three series: every utterance once, in calls one after the other; the same in four calls at once;
and barge-ins, where each utterance interrupts the answer to the one before. Prints a table and, as
the last line of stdout, one JSON object; keeps every recording and every turn (`turns.jsonl`).

A turn without an answer stays in the denominator: it counts as slower than every other, and a
percentile that falls on it is null. Percentiles are order statistics (nearest rank).
"""

import argparse
import asyncio
import json
import math
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.caller.call import BadAddress, Outcome, call_url, load_utterance, record
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.ruler.recording import Turn, Utterance
from models.audio import AudioError
from models.telugu.wer import wer

TURNS_A_CALL = 5
AT_ONCE = 4
BARGE_IN_AFTER_MS = 500  # into an answer, which lasts a second or more
GOALS = {  # ms
    "v2v_p50": 700,
    "v2v_p95": 1100,
    "work_p50": 250,
    "underruns_at_once": 0,
    "silence_p95": 400,
}


@dataclass(frozen=True)
class Spoken:
    """One utterance of the manifest and what it says."""

    utterance: Utterance
    text: str


@dataclass(frozen=True)
class Series:
    """The calls of one series."""

    name: str
    outcomes: list[Outcome]

    @property
    def turns(self) -> list[Turn]:
        return [turn for outcome in self.outcomes for turn in outcome.turns]

    @property
    def underruns(self) -> int:
        return sum(len(o.call.recording.playback.underruns) for o in self.outcomes)


def load(directory: Path) -> list[Spoken]:
    """The utterances of a directory with a `manifest.jsonl` of {"wav", "text"} lines.

    Raises:
        AudioError: no manifest, or a file that cannot be used.
    """
    manifest = directory / "manifest.jsonl"
    if not manifest.is_file():
        raise AudioError(
            f"{manifest}: no such file; make one with `python -m training.unseen_callers`"
        )
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return [Spoken(load_utterance(directory / line["wav"]), line["text"]) for line in lines]


def percentile(values: Iterable[float | None], share: float) -> float | None:
    """The nearest-rank percentile; None values count as infinitely large. None if it is one."""
    ranked = sorted(math.inf if v is None else v for v in values)
    if not ranked:
        return None
    found = ranked[max(0, math.ceil(share * len(ranked)) - 1)]
    return None if math.isinf(found) else round(found, 1)


def work_ms(turn: Turn) -> float | None:
    """The server's own work after it decided that the turn ended, up to the first audio."""
    if "total_ms" not in turn.stages or "endpointing_ms" not in turn.stages:
        return None
    return turn.stages["total_ms"] - turn.stages["endpointing_ms"]


def figures(single: Series, at_once: Series, barge_in: Series, texts: dict[str, str]) -> dict:
    """The numbers, from the turns of the three series."""
    v2v = [t.v2v_ms for t in single.turns]
    loaded = [t.v2v_ms for t in at_once.turns]
    silences = [t.silence_ms for t in barge_in.turns if t.silence_ms is not None]
    stale = [t.stale_ms or 0.0 for t in barge_in.turns if t.silence_ms is not None]
    heard = wer((texts[t.wav], t.user_text) for t in single.turns)
    return {
        "turns": len(v2v),
        "unanswered": sum(v is None for v in v2v),
        "v2v_p50": percentile(v2v, 0.50),
        "v2v_p95": percentile(v2v, 0.95),
        "work_p50": percentile((work_ms(t) for t in single.turns if t.answered), 0.50),
        "work_p95": percentile((work_ms(t) for t in single.turns if t.answered), 0.95),
        "endpointing_p50": percentile(
            (t.stages.get("endpointing_ms") for t in single.turns if t.answered), 0.50
        ),
        "false_starts": sum(t.false_starts for t in single.turns),
        "underruns": single.underruns,
        "wer": round(heard.rate, 4),
        "at_once": AT_ONCE,
        "at_once_turns": len(loaded),
        "at_once_unanswered": sum(v is None for v in loaded),
        "v2v_p50_at_once": percentile(loaded, 0.50),
        "v2v_p95_at_once": percentile(loaded, 0.95),
        "underruns_at_once": at_once.underruns,
        "barge_ins": len(silences),
        "silence_p50": percentile(silences, 0.50),
        "silence_p95": percentile(silences, 0.95),
        "stale_max": max(stale, default=None),
        "late_max": round(max(late_ms(s) for s in (single, at_once, barge_in)), 1),
    }


def late_ms(series: Series) -> float:
    """The worst delay of a packet on the caller's own side."""
    return max((late for o in series.outcomes for late in o.call.late_ms), default=0.0)


async def measure(
    address: str, spoken: Sequence[Spoken], out: Path, polite: Manners
) -> list[Series]:
    """Places all calls of the three series; recordings go below `out`."""
    chunks = [
        [s.utterance for s in spoken[at : at + TURNS_A_CALL]]
        for at in range(0, len(spoken), TURNS_A_CALL)
    ]
    rude = replace(polite, barge_in_after_ms=BARGE_IN_AFTER_MS)
    single = [
        await record(address, chunk, out / f"single-{n}", polite, progress=_quiet)
        for n, chunk in enumerate(_shown(chunks, "one call at a time"))
    ]
    at_once: list[Outcome] = []
    groups = [chunks[at : at + AT_ONCE] for at in range(0, len(chunks), AT_ONCE)]
    for n, group in enumerate(_shown(groups, f"{AT_ONCE} calls at once")):
        full = (group * AT_ONCE)[:AT_ONCE]  # the last group may be short of calls
        at_once += await asyncio.gather(
            *(
                record(address, chunk, out / f"at-once-{n}-{i}", polite, progress=_quiet)
                for i, chunk in enumerate(full)
            )
        )
    barge_in = [
        await record(address, chunk, out / f"barge-in-{n}", rude, progress=_quiet)
        for n, chunk in enumerate(_shown(chunks, "barge-ins"))
    ]
    return [Series("single", single), Series("at-once", at_once), Series("barge-in", barge_in)]


def run(
    url: str,
    directory: Path,
    out: Path,
    *,
    engine: str | None = None,
    token: str | None = None,
    manners: Manners | None = None,
) -> int:
    """Measures, writes `turns.jsonl` and `figures.json`, prints; 0 if every goal is met."""
    console = Console(stderr=True)
    try:
        spoken = load(directory)
        address = call_url(url, engine=engine, token=token)
        all_series = asyncio.run(measure(address, spoken, out, manners or Manners()))
    except (AudioError, BadAddress, Refused) as e:
        console.print(f"figures: {e}")
        return 2
    with (out / "turns.jsonl").open("w", encoding="utf-8") as rows:
        for series in all_series:
            for turn in series.turns:
                row = {"series": series.name, **vars(turn)}
                rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    result: dict[str, Any] = figures(
        *all_series, texts={s.utterance.name: s.text for s in spoken}
    ) | {"machine": f"{platform.machine()}, {platform.system()}"}
    (out / "figures.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(table(result))
    print(json.dumps(result))
    return 0 if not missed(result) else 1


def missed(result: dict[str, Any]) -> list[str]:
    """The goals that were not reached."""
    return [k for k, goal in GOALS.items() if result[k] is None or result[k] > goal]


def table(result: dict[str, Any]) -> Table:
    """The figures beside their goals."""
    shown = Table("figure", "measured", "goal")
    late = set(missed(result))
    for key, value in result.items():
        goal = f"≤ {GOALS[key]}{'  MISSED' if key in late else ''}" if key in GOALS else ""
        shown.add_row(key.replace("_", " "), "–" if value is None else str(value), goal)
    return shown


def _shown(items: list[Any], what: str) -> Iterable[Any]:
    return track(items, what, console=Console(stderr=True))


def _quiet(line: str) -> None:
    """The bar says how far it is; the turns are in the files."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the published figures of a server.")
    parser.add_argument("url")
    parser.add_argument("wavs", type=Path, help="a directory with manifest.jsonl")
    parser.add_argument("--engine")
    parser.add_argument("--token")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"))
    given = parser.parse_args()
    sys.exit(run(given.url, given.wavs, given.out, engine=given.engine, token=given.token))
