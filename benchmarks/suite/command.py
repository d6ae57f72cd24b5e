"""`maata bench` from its arguments to its exit code.

Every named error becomes one sentence. A run's directory is resumed with the same arguments. Knows
nothing about how anything is measured.
"""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from benchmarks.caller.call import BadAddress
from benchmarks.corpora.corpus import Address, DatasetError
from benchmarks.load.ramp import PlanError
from benchmarks.load.suite import LoadError
from benchmarks.sets.turnset import SetError
from benchmarks.suite import suites
from benchmarks.suite.asked import Asked, CannotBegin
from benchmarks.suite.bench import bench
from benchmarks.suite.record import OtherRun
from benchmarks.suite.rows import RUN, RowError
from benchmarks.suite.suites import CORPUS, NoSuchSuite
from benchmarks.suite.told import INCOMPLETE, INTERRUPTED, OK, USAGE, say
from benchmarks.suite.turns import OtherSchedule
from maata.profile import ProfileError
from models.audio import AudioError
from models.espeak import EspeakFailed, EspeakMissing

USER_ERRORS = (
    AudioError,
    BadAddress,
    CannotBegin,
    DatasetError,
    EspeakFailed,
    EspeakMissing,
    LoadError,
    NoSuchSuite,
    OtherRun,
    OtherSchedule,
    PlanError,
    ProfileError,
    RowError,
    SetError,
)


def run_bench(
    engines: Sequence[str] | None,
    suite: str | None = None,
    *,
    corpus: str | None = None,
    split: str = "test",
    profile: str = "starter",
    url: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    repeats: int | None = None,
    settings: Mapping[str, str] | None = None,
    token: str | None = None,
    judge: str = "starter/asr",
    content_judge: str | None = None,
    quality: bool = True,
    limit: int | None = None,
    listening_kit: bool = False,
) -> int:
    """Measures, judges and reports; returns the exit code and prints the JSON line.

    0: every engine asked for answered, no turn was lost, and the report is there. 1: something is
    missing, which rows and notes say; what there is was kept. 2: no run, with one sentence.
    130: Ctrl-C or a kill; `resume` goes on.

    Args:
        engines: their names; None: both of the profile, or all that a server at `url` has.
        suite: one of `suites.SUITES`; None: standard, or the corpus.
        corpus: `LAYOUT:FOLDER` of recorded speech, said instead of a suite's turns.
        split: of the corpus.
        profile: of the server that is started; of no meaning with `url`.
        url: a server that runs already.
        out: the run's directory; by default a new one below `runs/bench`.
        resume: goes on with the run in `out`, if there is one.
        repeats: of every conversation with every engine; None: as the suite has it.
        settings: dotted keys over the profile.
        token: of the server.
        judge: who listens to the bot (`judge.load`); `none`: nobody.
        content_judge: a language model that is asked whether answers fit (`ContentJudge.of`).
        quality: whether the sound is rated.
        limit: so many stimuli of each task of the suite duplex, or so many clips of a corpus.
        listening_kit: writes a listening test too; alone, if `out` holds a run and is not resumed.
    """
    console = Console(stderr=True)
    try:
        if corpus is not None and suite is not None:
            raise CannotBegin("--corpus brings its own turns: leave --suite out")
        entry = CORPUS if corpus is not None else suites.find(suite or suites.DEFAULT)
        directory = out or Path("runs/bench") / f"{entry.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        if listening_kit and not resume and (directory / RUN).is_file():
            from benchmarks.listening.kit import run_kit

            return run_kit(directory)
        asked = Asked(
            suite=entry,
            out=directory,
            corpus=None if corpus is None else Address.of(corpus, split),
            engines=tuple(dict.fromkeys(engines)) if engines else None,
            profile=profile,
            url=url,
            resume=resume,
            repeats=entry.repeats if repeats is None else repeats,
            settings=settings or {},
            token=token,
            judge=judge,
            content_judge=content_judge,
            quality=quality,
            limit=limit,
        )
        with ended_by_kill():
            code = bench(asked, console)
        if listening_kit and code in (OK, INCOMPLETE):
            _kit(directory)
        return code
    except USER_ERRORS as e:
        say(str(e))
        return USAGE
    except OSError as e:
        say(f"{e}; is there room, and may {out or 'runs/bench'} be written? (--out)")
        return USAGE
    except KeyboardInterrupt:
        say("interrupted; the same command with --resume and this --out goes on")
        return INTERRUPTED


@contextmanager
def ended_by_kill() -> Iterator[None]:
    """A kill (a timeout, a pod that is stopped) is taken as Ctrl-C: rows stay, servers end too.

    Otherwise this process would be gone at once, and the server that it started would go on.
    """
    if threading.current_thread() is not threading.main_thread():  # nobody else is told of signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _kit(out: Path) -> None:
    from benchmarks.listening.kit import KitError, write_kit

    try:
        say(f"a listening test is in {write_kit(out, out / 'listening').parent}")
    except KitError as e:
        say(str(e))
