"""What raters of a listening kit said: mean opinion scores and preferences, for the report.

    maata report DIR --ratings ratings-1.csv --ratings ratings-2.csv

CSV files and the kit's key in, `Ratings` out; `to_json` is what `results.json` holds. MOS is the
word of people: nothing else in the project may be called so. Reading and its gaps: `read`;
who is left out: `raters`; figures: `scores`; how it reads: `fragment`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.ratings.raters import RULES, Excluded, sift
from benchmarks.ratings.read import ACR, PAIR, Gap, RatingsError, read_answers, read_key
from benchmarks.ratings.scores import (
    FEW_RATERS,
    FEW_RATINGS,
    Comparison,
    Opinion,
    Strength,
    opinions,
    preferences,
)
from benchmarks.statistics.bootstrap import DRAWS, SEED

__all__ = ["Ratings", "RatingsError", "find_key", "summarise", "to_json"]

METHOD = (
    "five-point absolute category rating (ITU-T P.800), clips equally loud, an order of its own "
    "for each rater; MOS is the mean of all ratings; intervals: 95 %, raters and turns resampled "
    f"independently, {DRAWS:,} draws",
    "preferences: Bradley-Terry, fitted by Hunter's MM algorithm; 'no difference' is half a win "
    "for each side, and each pair of engines starts with one such tie",
    f"fewer than {FEW_RATINGS} ratings or {FEW_RATERS} raters: n too small",
)


@dataclass(frozen=True)
class Ratings:
    """All that the raters' files say."""

    kit: str
    files: list[str]
    raters: int  # who count
    ratings: int  # single clips rated by these, checks included
    preferences: int
    excluded: list[Excluded]
    engines: list[Opinion]
    anchors: list[Opinion]
    strengths: list[Strength]
    comparisons: list[Comparison]
    gaps: list[Gap]
    seconds: float | None  # median of what an answer took


def summarise(csvs: Sequence[Path], key: Path, *, draws: int = DRAWS, seed: int = SEED) -> Ratings:
    """Reads all files and works out everything; the same files give the same result.

    Raises:
        RatingsError: there is no usable key. Unusable ratings never raise: they are gaps.
    """
    meant = read_key(key)
    ordered = sorted(csvs)
    answers, gaps = read_answers(ordered, meant)
    kept, excluded = sift(answers, meant)
    found, apart = opinions(kept, meant, draws=draws, seed=seed)
    strengths, pairs = preferences(kept, meant, draws=draws, seed=seed)
    times = sorted(a.ms for a in kept)
    return Ratings(
        meant.kit,
        [path.name for path in ordered],
        len({a.rater for a in kept}),
        sum(a.kind == ACR for a in kept),
        sum(a.kind == PAIR for a in kept),
        sorted(excluded, key=lambda e: e.rater),
        [o for o in found if o.name in meant.engines],
        [o for o in found if o.name not in meant.engines],
        strengths,
        [_with_difference(pair, apart) for pair in pairs],
        gaps,
        times[len(times) // 2] / 1000 if times else None,
    )


def find_key(run: Path, csvs: Sequence[Path]) -> Path:
    """The key of a run's kit: in `run/listening`, or beside the first of the raters' files.

    Raises:
        RatingsError: in neither place.
    """
    places = [run / "listening" / "key.json", *(path.parent / "key.json" for path in csvs)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise RatingsError(f"no key.json in {places[0].parent}: put the kit's key there")
    return found


def to_json(found: Ratings) -> dict[str, Any]:
    """What `results.json` holds of it; six decimals, which every machine computes alike."""
    return _rounded(asdict(found)) | {"method": list(METHOD), "exclusion": list(RULES)}


def _with_difference(pair: Comparison, apart: dict[tuple[str, str], Any]) -> Comparison:
    difference, limits = apart[pair.one, pair.other]
    return replace(pair, difference=difference, difference_ci=limits)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 6) if isinstance(value, float) else value
