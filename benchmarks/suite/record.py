"""`run.json` of a run in the making: what was asked, on what, how far it is.

Written when the run begins and again when it ends or is cut off, so that a directory always says
what it holds. Knows nothing about calls.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.caller.manners import Manners
from benchmarks.ruler.accounting import RULE as ACCOUNTING_RULE
from benchmarks.ruler.onsets import RULE as ONSET_RULE
from benchmarks.server.endpoints import Offer
from benchmarks.suite.environment import environment, profile_identity, weights
from benchmarks.suite.rows import RUN, read_run, write_run
from benchmarks.suite.schedule import ORDER_RULE, WARMUP_RULE
from maata.profile import Profile

# A resumed run must be the same run: what must not have changed, and what it is called.
IDENTITY = {
    "suite": "--suite",
    "suite_sha256": "the set of turns",
    "engines": "--engines",
    "repeats": "--repeats",
    "profile": "--profile or --set",
    "url": "--url",
}


class OtherRun(ValueError):
    """The directory holds another run than the one asked for; the sentence says in what."""


class Record:
    """The `run.json` of one run; `save` writes it."""

    def __init__(self, out: Path, values: dict[str, Any]) -> None:
        self._path = out / RUN
        self.values = values
        self._since = time.monotonic()
        self._before = float(values.get("seconds") or 0.0)

    def note(self, sentences: Sequence[str]) -> None:
        """Adds sentences that are not there yet."""
        notes = self.values["notes"]
        notes += [s for s in dict.fromkeys(sentences) if s not in notes]

    def save(self, **changed: Any) -> None:
        """Writes the file, with these values and the seconds that passed."""
        self.values |= changed
        self.values["seconds"] = round(self._before + time.monotonic() - self._since, 1)
        write_run(self._path, self.values)


def begin(
    out: Path,
    *,
    suite: str,
    suite_sha256: str | None,
    engines: Sequence[str],
    repeats: int,
    profile: Profile | None,
    url: str | None,
    offer: Offer,
    manners: Manners | None,
    scheduled: dict[str, int],
    resume: bool,
    warmup: str | None = WARMUP_RULE,
) -> Record:
    """The record of a run that begins, or of the one in `out` that goes on.

    Raises:
        OtherRun: `out` holds a run of other arguments.
        RowError: its `run.json` is none.
    """
    models = offer.models()
    fresh: dict[str, Any] = {
        "suite": suite,
        "suite_sha256": suite_sha256,
        "engines": list(engines),
        "repeats": repeats,
        "profile": None if profile is None else profile_identity(profile),
        "url": url,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
        "complete": False,
        "starter": bool(offer.info.get("starter")),
        "models": models,
        "weights": {} if profile is None else weights(models),
        "environment": environment(),
        "judge": None,
        "rules": {
            "order": ORDER_RULE,
            "warmup": warmup,
            "onset": ONSET_RULE,
            "stages": ACCOUNTING_RULE,
            "patience": None if manners is None else asdict(manners),
        },
        "scheduled": scheduled,
        "notes": [f"{engine} was not measured: {why}" for engine, why in offer.missing.items()],
    }
    if not (resume and (out / RUN).is_file()):
        return Record(out, fresh)
    before = read_run(out / RUN)
    same(before, fresh, out)
    kept = {k: before[k] for k in ("started", "seconds", "judge", "content_judge") if k in before}
    record = Record(out, fresh | kept | {"notes": list(before.get("notes", []))})
    record.note(fresh["notes"])
    changed = _changed(before.get("environment") or {}, fresh["environment"])
    if changed:
        record.note([f"the run was resumed with another {', '.join(changed)} than it began with"])
    if not models:  # nothing was left to call, so no server was asked
        record.values |= {k: before.get(k) for k in ("models", "weights", "starter")}
    return record


def same(before: dict[str, Any], now: dict[str, Any], out: Path) -> None:
    """Raises OtherRun if a run cannot be the continuation of another."""
    for key, name in IDENTITY.items():
        if before.get(key) != now.get(key):
            raise OtherRun(
                f"{out} holds a run with another {name} ({before.get(key)!r}, now "
                f"{now.get(key)!r}); give the arguments of that run, or another --out"
            )


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [key for key in now if before.get(key) != now[key]]
