"""The command that scores anybody's Telugu transcripts.

    maata score --refs refs.txt --hyps hyps.txt [--normalizer te-std | all] [--system NAME]

Prints a table and, as the last line of stdout, one JSON object: {"normalizer", "n", "wer", "cer",
"ci95", "script_fidelity", "empty_rate"}, rates as fractions, `ci95` that of the WER, null for what
is not defined. The files are described in `transcripts.py`, the figures in `error_rates.py`, the
intervals in `statistics/bootstrap.py`, the normalisers in `models/telugu/normalizers.py`.
"""

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD as PLAIN
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.score.error_rates import Score, Traits, count, score, traits
from benchmarks.score.transcripts import ScoreError, Utterance, load, some
from benchmarks.statistics.bootstrap import FEW_GROUPS, Interval, rate_difference
from models.telugu.normalizers import HEADLINE, NORMALIZERS, NOT_COMPARABLE

ALL = "all"
SCORED, INCOMPLETE, USAGE = 0, 1, 2  # exit codes
_WIDTH = 140  # of the table where no terminal says otherwise

Systems = Mapping[str | None, Sequence[Utterance]]


def run_score(
    refs: Path, hyps: Path, normalizer: str = HEADLINE, *, system: str | None = None
) -> int:
    """Scores two files, prints a table and the JSON line; returns the exit code.

    With `all`, one JSON line a normaliser, the headline's last. With several systems in the file
    and none chosen, a line holds {"normalizer", "systems": {name: {"n", ...}}}.

    0: scored. 1: scored, but hypotheses were missing (they count as empty). 2: cannot be scored,
    with one sentence on stderr and no JSON.
    """
    try:
        names = chosen(normalizer)
        systems = load(refs, hyps, system)
        scores = {name: score(utterances, names) for name, utterances in systems.items()}
    except ScoreError as e:
        _say(str(e))
        return USAGE
    found = {name: traits(utterances) for name, utterances in systems.items()}
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table(scores))
    manners = [manner(name, len(utterances), found[name]) for name, utterances in systems.items()]
    judged = HEADLINE if HEADLINE in names else names[0]
    for line in (*manners, *differences(systems, judged)):
        console.print(line, highlight=False, markup=False)
    for sentence in (*remarks(systems, found, hyps), *cautions(names)):
        _say(sentence)
    for at, name in sorted(enumerate(names), key=lambda item: item[1] == HEADLINE):
        lines = {s: contract(scores[s][at], found[s]) for s in systems}
        print(json.dumps(_one_line(name, lines)), flush=True)
    missing = any(u.missing for utterances in systems.values() for u in utterances)
    return INCOMPLETE if missing else SCORED


def chosen(normalizer: str) -> list[str]:
    """The names that an option means.

    Raises:
        ScoreError: no such normaliser.
    """
    if normalizer == ALL:
        return list(NORMALIZERS)
    if normalizer in NORMALIZERS:
        return [normalizer]
    near = difflib.get_close_matches(normalizer.lower(), NORMALIZERS, 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ScoreError(
        f"no normalizer {normalizer!r}{meant}: choose {', '.join(NORMALIZERS)} or {ALL}"
    )


def contract(found: Score, kept: Traits) -> dict[str, Any]:
    """What scripts read; the rates in full precision."""
    return {
        "normalizer": found.normalizer,
        "n": found.n,
        "wer": found.words.rate,
        "cer": found.chars.rate,
        "ci95": [found.wer_ci.low, found.wer_ci.high] if found.wer_ci else None,
        "script_fidelity": kept.script_fidelity,
        "empty_rate": found.empty_rate,
    }


def _one_line(normalizer: str, lines: Mapping[str | None, dict[str, Any]]) -> dict[str, Any]:
    if len(lines) == 1:
        return next(iter(lines.values()))
    without = {
        str(s): {k: v for k, v in row.items() if k != "normalizer"} for s, row in lines.items()
    }
    return {"normalizer": normalizer, "systems": without}


def table(scores: Mapping[str | None, Sequence[Score]]) -> Table:
    """One row a system and normaliser."""
    named = set(scores) != {None}
    shown = Table(caption="rates in %, 95 % intervals by bootstrap; pooled unless macro", box=PLAIN)
    for column in ("system", "normalizer") if named else ("normalizer",):
        shown.add_column(column, overflow="fold")
    for column in ("n", "WER", "CER", "macro WER", "macro CER", "empty"):
        least = len("[24.0–24.7]") if column in ("WER", "CER") else None
        shown.add_column(column, justify="right", min_width=least, overflow="fold")
    for name, rows in scores.items():
        for row in rows:
            mark = " (not comparable)" if row.normalizer in NOT_COMPARABLE else ""
            shown.add_row(
                *([escape(str(name))] if named else []),
                row.normalizer + mark,
                str(row.n),
                _percent(row.words.rate, row.wer_ci),
                _percent(row.chars.rate, row.cer_ci),
                _percent(row.macro_wer),
                _percent(row.macro_cer),
                _percent(row.empty_rate),
            )
        shown.add_section()
    return shown


def manner(name: str | None, n: int, kept: Traits) -> str:
    """What the hypotheses of a system are like, in a line."""
    silence = f", words in silence {kept.invented} of {kept.silent}" if kept.silent else ""
    return (
        f"{f'{name}: ' if name else ''}script fidelity {_percent(kept.script_fidelity)} % "
        f"({kept.lettered} of {n} have letters), hallucinated {kept.hallucinated} of {n}{silence}"
    )


def differences(systems: Systems, normalizer: str) -> Iterator[str]:
    """The WER of each system against the first one, where both have the same utterances."""
    (first, theirs), *others = systems.items()
    names = [u.name for u in theirs]
    base = count(theirs, normalizer).counts[:, :2] if others else np.empty((0, 2))
    for name, utterances in others:
        order = {u.name: at for at, u in enumerate(utterances)}
        if order.keys() != set(names):
            yield f"{name} and {first} have different utterances: no paired difference"
            continue
        ours = count(utterances, normalizer).counts[[order[n] for n in names], :2]
        groups = [u.group for u in theirs]
        apart, limits = rate_difference(ours, base, groups)
        span = f" [{_points(limits.low)} to {_points(limits.high)}]" if limits else ""
        yield f"WER {name} − {first}: {_points(apart)}{span} points ({normalizer}, paired)"


def remarks(systems: Systems, found: Mapping[str | None, Traits], hyps: Path) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    for name, utterances in systems.items():
        whose = f" of {name}" if name else ""
        missing = [u.name for u in utterances if u.missing]
        if missing:
            yield (
                f"{len(missing)} of {len(utterances)} hypotheses{whose} are missing from {hyps} "
                f"and count as empty: {some(missing)}; add them"
            )
        kept = found[name]
        if kept.silent:
            yield (
                f"{kept.silent} of {len(utterances)} references are empty and count as no speech; "
                f"{kept.invented} of their hypotheses{whose} have words all the same "
                f"({_percent(kept.invented_rate)} %); fill them in if speech was there"
            )
        groups = len({u.group for u in utterances})
        if groups < FEW_GROUPS:
            yield (
                f"{groups} independent utterances{whose} are few: the intervals are missing or too "
                f"narrow; score {FEW_GROUPS} or more"
            )


def cautions(normalizers: Sequence[str]) -> Iterator[str]:
    """What is to be said of a normaliser that one asked for by name or among all."""
    for name in normalizers:
        if name in NOT_COMPARABLE:
            yield (
                f"{name} breaks Telugu words into consonants: its rates are not comparable with "
                f"those of any other normalizer; publish {HEADLINE}"
            )


def _percent(rate: float | None, limits: Interval | None = None) -> str:
    if rate is None:
        return "–"
    span = f" [{limits.low * 100:.1f}–{limits.high * 100:.1f}]" if limits else ""
    return f"{rate * 100:.2f}{span}"


def _points(rate: float) -> str:
    return f"{rate * 100:+.2f}"


def _say(sentence: str) -> None:
    print(f"maata score: {sentence}", file=sys.stderr, flush=True)
