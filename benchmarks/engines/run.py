"""Each engine's compute at full size, from random weights, in one plan of a few minutes.

    python -m benchmarks.engines --out DIR [--minutes 9] [--only moshi,soak] [--tiny]

Latency depends on shapes and not on weights, so this needs no hub: torch, transformers, the `moshi`
wheel and this repository. Rows are appended to DIR/engines.jsonl as they come; what was cut off
goes on where it was when the same command runs again on the same GPU. At the end DIR/engines.md
shows the figures beside the bandwidth floor (`benchmarks.engines.table`, where its packages are).
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.engines.machine import Machine, clocks, machine
from benchmarks.engines.plan import SETTLING_S, SHORTEST_SOAK_S, Point, plan
from benchmarks.engines.rows import ROWS, EngineRow, EnginesError, done, read_rows, sessions_found
from benchmarks.engines.worker import PointFailed, Worker

FIRST_S = 120.0  # a new worker's imports and compiler, at most
SLACK = 4.0  # times its estimate, and a point is ended


@dataclass
class Run:
    """A run into one directory, until its time is up."""

    out: Path
    machine: Machine
    size: str
    until: float  # on `now`
    now: Callable[[], float] = time.monotonic
    rows: list[EngineRow] = field(default_factory=list)
    spent: float = 0.0  # seconds, on points whose estimates sum up to `planned`
    planned: float = 0.0

    @property
    def left(self) -> float:
        return self.until - self.now()

    @property
    def pace(self) -> float:
        """How much longer points take here than estimated; 1 until a minute of it is known."""
        if self.planned < 60:
            return 1.0
        return min(5.0, max(0.3, self.spent / self.planned))

    def work(self, points: list[Point], worker: Worker) -> list[str]:
        """Runs what is not done yet; returns the keys of what there was no time for."""
        ready = done(self.rows, self.machine.gpu, self.size)
        waiting = [p for p in points if p.key not in ready]
        left_out: list[str] = []
        for number, point in enumerate(waiting):
            later = sum(p.estimate_s for p in waiting[number:]) * self.pace
            head = f"[{number + 1}/{len(waiting)}] {point.key}"
            about = f"{min(later, max(0.0, self.left)):.0f} s to go, {self.left:.0f} s of time"
            message = self._message(point)
            if message is None:
                left_out.append(point.key)
                _say(f"{head}: left out, no time for it ({about})")
            elif not message:
                _say(f"{head}: left out, no batch kept its budget in the sweep")
            else:
                _say(f"{head} ({about})")
                self._point(point, message, worker)
        return left_out

    def _message(self, point: Point) -> dict[str, Any] | None:
        """For the worker; None where the time does not allow it, empty where the sweep does not."""
        if point.part != "soak":
            return point.message() if point.estimate_s * self.pace < self.left else None
        dtype, context = point.keys["dtype"], point.keys["context"]
        sessions = sessions_found(self.rows, self.machine.gpu, self.size, dtype, context)
        if not sessions:
            if self.size == "full":
                return {} if sessions == 0 else None
            sessions = 1  # a test's figures say nothing, and its soak is to run all the same
        seconds = min(point.keys["seconds"], self.left - SETTLING_S * self.pace - 2.0)
        if seconds < min(SHORTEST_SOAK_S, point.keys["seconds"]):
            return None
        return point.message(batch=sessions, seconds=seconds)

    def _point(self, point: Point, message: dict[str, Any], worker: Worker) -> None:
        started, before = self.now(), clocks()
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        allowed = max(5.0, min(self.left, FIRST_S + SLACK * max(1.0, self.pace) * point.estimate_s))
        rows, trouble, stage = [], "", "done"
        try:
            for found in worker.rows(message, allowed):
                row = self._row(point, found | {"started": stamp, "clocks_before": before})
                rows.append(row)
                self._write(row)
        except PointFailed as e:
            trouble = str(e)
            # What has no room here never will have: that is an answer, and not asked again.
            stage = "done" if trouble.startswith("DoesNotFit") else "failed"
        taken = self.now() - started
        end = {"stage": stage, "seconds": round(taken, 2), "trouble": trouble, "started": stamp}
        end |= {"clocks_before": before, "clocks_after": clocks()}
        self._write(self._row(point, end))
        if not trouble:
            self.spent, self.planned = self.spent + taken, self.planned + point.estimate_s
        _say(f"    {trouble or _short(rows)} · {taken:.0f} s")

    def _row(self, point: Point, found: dict[str, Any]) -> EngineRow:
        here = {"key": point.key, "part": point.part, "shape": point.shape, "size": self.size}
        of_machine = {"gpu": self.machine.gpu, "driver": self.machine.driver}
        of_machine |= {"commit": self.machine.commit, "versions": self.machine.versions}
        return EngineRow.of(here | of_machine | found)

    def _write(self, row: EngineRow) -> None:
        self.rows.append(row)
        with (self.out / ROWS).open("a", encoding="utf-8") as file:
            file.write(row.line() + "\n")


def run(
    out: Path, *, minutes: float, tiny: bool = False, only: str = "", commit: str = ""
) -> dict[str, Any]:
    """The whole plan, or as much of it as the time allows; a summary, JSON-ready.

    Raises:
        EnginesError: the directory's rows are none, or no part has that name.
    """
    started = time.monotonic()
    points = plan(tiny=tiny)
    parts = {p.part for p in points}
    wanted = {name.strip() for name in only.split(",") if name.strip()} or parts
    if unknown := sorted(wanted - parts):
        raise EnginesError(f"--only: no part {unknown[0]!r}; there are {', '.join(sorted(parts))}")
    out.mkdir(parents=True, exist_ok=True)
    _mend(out / ROWS)
    before = read_rows(out) if (out / ROWS).is_file() else []
    size = "tiny" if tiny else "full"
    here = machine(commit)
    if not here.driver and not tiny:
        _say("No NVIDIA GPU answers: full size on a CPU takes hours. --tiny tests the plan itself.")
    course = Run(out, here, size, started + 60.0 * minutes, rows=before)
    left_out: list[str] = []
    interrupted = False
    with Worker(out / "engines.log", tiny=tiny) as worker:
        try:
            left_out = course.work([p for p in points if p.part in wanted], worker)
        except KeyboardInterrupt:
            interrupted = True
            _say("Interrupted: the rows so far are kept, the same command goes on from here.")
    ready = done(course.rows, here.gpu, size)
    return {
        "out": str(out),
        "gpu": here.gpu,
        "points": len(points),
        "done": sum(p.key in ready for p in points),
        "left_out": left_out,
        "failed": sorted({r.key for r in course.rows if r.stage == "failed"} - ready),
        "seconds": round(time.monotonic() - started, 1),
        "interrupted": interrupted,
        "report": _report(out),
    }


def _report(out: Path) -> str:
    """Renders what there is; without the packages for that, says how to do it elsewhere."""
    try:
        from benchmarks.engines.table import render
    except ImportError as e:
        _say(f"{e}: copy {out} to a full installation, `python -m benchmarks.engines.table {out}`")
        return ""
    return str(render(out))


def _mend(path: Path) -> None:
    """Takes off a last line that was cut off in the middle: the next row begins on its own."""
    if path.is_file() and (text := path.read_text(encoding="utf-8")) and not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")


def _short(rows: list[EngineRow]) -> str:
    def part(row: EngineRow) -> str:
        if row.gb_s is not None:
            return f"{row.stage} {row.gb_s:.0f} GB/s"
        at = f" at {row.history}" if row.part == "moshi" and row.stage == "tick" else ""
        missed = f", {row.missed} missed" if row.missed is not None else ""
        return f"{row.stage}{at} ×{row.batch}: {row.p50_ms:.2f}/{row.p99_ms:.2f} ms{missed}"

    named = ("tick", "turn", "copy", "matrix-vector", "soak")
    return "; ".join(part(r) for r in rows if r.stage in named) or "no figures"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """0 if nothing was left out or failed, 1 if something was, 2 for a mistake."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--out", type=Path, required=True, help="where rows and report go")
    options.add_argument("--minutes", type=float, default=9.0, help="of wall time, all in all")
    options.add_argument("--only", default="", help="parts, with commas between")
    options.add_argument("--tiny", action="store_true", help="small shapes: tests the plan")
    options.add_argument("--commit", default="", help="for a copy without .git")
    given = options.parse_args()
    try:
        summary = run(
            given.out,
            minutes=given.minutes,
            tiny=given.tiny,
            only=given.only,
            commit=given.commit,
        )
    except EnginesError as e:
        _say(f"engines: {e}")
        return 2
    print(json.dumps(summary, ensure_ascii=False), flush=True)
    return 1 if summary["left_out"] or summary["failed"] or summary["interrupted"] else 0


if __name__ == "__main__":
    sys.exit(main())
