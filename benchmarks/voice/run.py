"""A voice read aloud and listened to, beside the one that stands in for it.

    python -m benchmarks.voice [--profile P | --model DIR] [--out DIR] [--voices priya,ravi]
        [--systems speecht5,espeak] [--emotion E] [--limit N] [--judge J] [--watch N] [--resume]
    python -m benchmarks.voice --render DIR

Forty Telugu sentences in each voice, one after the other and two at once: CER by the judge, DNSMOS,
likeness of the voices, time to the first sound, real-time factor, clipping, and joins between the
pieces. `--watch N` also decodes N readings of the sentences, clause by clause, and says how often
each guard of the attention fires, and how near the others came; with `--systems none` that is all.
Rows go to DIR/voice.jsonl as they are measured, figures to DIR/voice.json and DIR/voice.md; the
last line is JSON. Times are only those of the voice when nothing else runs on the machine.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.judge import judge as judges
from benchmarks.judge.judge import JudgeError
from benchmarks.sound.dnsmos import Dnsmos, DnsmosMissing
from benchmarks.sound.voice import VoiceMissing, Voices
from benchmarks.suite.environment import environment, hardware
from benchmarks.suite.progress import Progressing, bars
from benchmarks.voice.ears import Ears
from benchmarks.voice.figures import OURS, STAND_IN, figures
from benchmarks.voice.plan import SET, TOGETHER, VOICE_IDS, Plan, VoiceError, plan_of
from benchmarks.voice.readers import EspeakReader, HostedReader, Reader, ReaderError
from benchmarks.voice.rows import ReadRow, VoiceRowError, WatchRow, append, mend, read_rows
from benchmarks.voice.table import render
from maata.profile import ProfileError, load_profile
from models.espeak import EspeakMissing

_BATCH = 32  # readings watched between two signs of life


def measure(plan: Plan, ears: Ears, show: Progressing) -> None:
    """Reads and watches what has no row yet. Raises ReaderError, JudgeError, EspeakMissing."""
    plan.out.mkdir(parents=True, exist_ok=True)
    there = {row.key for row in read_rows(plan.out)}
    needed = {OURS} if plan.watch else set()
    for name in (*plan.systems, *sorted(needed - set(plan.systems))):
        reader = _reader(name, plan)
        try:
            if name in plan.systems:
                for at_once in (1, TOGETHER):
                    _read(plan, reader, ears, at_once, there, show)
            if isinstance(reader, HostedReader):
                _watch(plan, reader, there, show)
        finally:
            reader.close()


def _reader(name: str, plan: Plan) -> Reader:
    if name == STAND_IN:
        return EspeakReader()
    return HostedReader(plan.options, plan.out / "speecht5.log")


def _read(
    plan: Plan, reader: Reader, ears: Ears, at_once: int, there: set[Any], show: Progressing
) -> None:
    batches = list(plan.batches(at_once))
    what = f"{reader.name}, {at_once} at once"
    for done, tasks in enumerate(batches):
        show.show(what, done, len(batches))
        known = {
            ("read", reader.name, t.voice, t.emotion, t.id.partition(".")[0], at_once)
            for t in tasks
        }
        if known <= there:
            continue
        readings = reader.read(tasks, plan.out / "wav" / reader.name)
        for task, reading in zip(tasks, readings, strict=True):
            append(plan.out, ears.hear(reader.name, task, reading, at_once, plan.out))
    show.show(what, len(batches), len(batches))


def _watch(plan: Plan, reader: HostedReader, there: set[Any], show: Progressing) -> None:
    clauses = plan.watched()
    left = [
        c for c in clauses if ("watch", c["text"], c["voice"], c["emotion"], c["seed"]) not in there
    ]
    for start in range(0, len(left), _BATCH):
        show.show("readings watched", len(clauses) - len(left) + start, len(clauses))
        for row in reader.watch(left[start : start + _BATCH]):
            append(plan.out, WatchRow(**row))
    if clauses:
        show.show("readings watched", len(clauses), len(clauses))


def report(out: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Writes `voice.json` and `voice.md` from the rows; `known` is what stands beside them."""
    rows = read_rows(out)
    reads = [row for row in rows if isinstance(row, ReadRow)]
    watched = [row for row in rows if isinstance(row, WatchRow)]
    told = {**known, "texts": len({row.text_id for row in reads})}
    told |= figures(reads, watched)
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (out / "voice.json").write_text(text + "\n", encoding="utf-8")
    (out / "voice.md").write_text(render(told), encoding="utf-8")
    return told


def _known(plan: Plan, ears: Ears) -> dict[str, Any]:
    machine = environment()
    return {
        "model": plan.model,
        "set": SET,
        "hardware": hardware(machine),
        "commit": machine["commit"],
        "environment": machine,
        "judge": ears.judge.name if ears.judge else None,
        "load": round(os.getloadavg()[0], 2),
    }


def run_voice(plan: Plan, *, judge: str = judges.STARTER, resume: bool = False) -> int:
    """The command: measures, writes the report, prints it; the last line is JSON.

    Returns:
        0 when every goal that was measured holds, 1 when one does not, 2 when it cannot be run.
    """
    console = Console(stderr=True)
    try:
        mend(plan.out)
        if not resume and read_rows(plan.out):
            raise VoiceError(f"{plan.out} holds a run: add --resume, or give another --out")
        ears = instruments(judge, console) if plan.systems else Ears()
        known = _known(plan, ears)
        with bars(console) as show:
            measure(plan, ears, show)
        told = report(plan.out, known)
    except (VoiceError, ReaderError, JudgeError, EspeakMissing, VoiceRowError) as error:
        print(error, file=sys.stderr)
        return 2
    return _say(told, plan.out)


def _say(told: dict[str, Any], out: Path) -> int:
    print(render(told))
    goals = told.get("goals", [])
    print(json.dumps({"report": str(out / "voice.md"), "goals": goals}, ensure_ascii=False))
    return int(any(goal["met"] is False for goal in goals))


def instruments(judge: str, console: Console) -> Ears:
    """Those that are installed; says which are not. Raises JudgeError."""
    predictor = voices = None
    try:
        predictor = Dnsmos.load()
    except DnsmosMissing as missing:
        console.print(str(missing))
    try:
        voices = Voices.load()
    except VoiceMissing as missing:
        console.print(str(missing))
    return Ears(judges.load(judge) if judge != "none" else None, predictor, voices)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.voice", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--profile", default="starter", help="a shipped profile or a .toml")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the profile")
    parser.add_argument(
        "--model", default="", help="a SpeechT5 directory or address, not the profile's"
    )
    parser.add_argument(
        "--host", default="", help="address of a host that serves the model already"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/voice"))
    parser.add_argument("--systems", default=f"{OURS},{STAND_IN}")
    parser.add_argument("--voices", default=",".join(VOICE_IDS))
    parser.add_argument("--emotion", default="neutral")
    parser.add_argument("--limit", type=int, help="sentences")
    parser.add_argument("--judge", default=judges.STARTER, help="as of maata bench; or none")
    parser.add_argument("--watch", type=int, default=0, help="readings for the guards")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--render", type=Path, help="only write the report of this run again")
    options = parser.parse_args(arguments)
    try:
        if options.render:
            known = json.loads((options.render / "voice.json").read_text(encoding="utf-8"))
            return _say(report(options.render, known), options.render)
        settings = dict(pair.split("=", 1) for pair in options.set)
        plan = plan_of(
            load_profile(options.profile, settings),
            options.out,
            model=options.model,
            host=options.host,
            systems=[name for name in options.systems.split(",") if name not in ("", "none")],
            voices=[name for name in options.voices.split(",") if name],
            emotion=options.emotion,
            limit=options.limit,
            watch=options.watch,
        )
    except (VoiceError, ProfileError, VoiceRowError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return run_voice(plan, judge=options.judge, resume=options.resume)
