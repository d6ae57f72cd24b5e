"""What the command line of `maata bench` asked for, and the server that follows from it.

Knows the arguments and what they exclude; nothing about how anything is measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.corpora.corpus import Address
from benchmarks.judge.address import CONTENT_KEY_VARIABLE as KEY_VARIABLE
from benchmarks.judge.address import JudgeError, split
from benchmarks.server.endpoints import Foreign, Launch, Own, Source, discover, launch
from benchmarks.suite.rows import RUN, read_run
from benchmarks.suite.suites import Suite
from maata.profile import Profile, load_profile

BOTH = ("cascade", "s2s")
SERVER_LOG = "server.log"


class CannotBegin(Exception):
    """The arguments do not make a run; the sentence names the remedy."""


@dataclass(frozen=True)
class Asked:
    """The arguments; see `command.run_bench`."""

    suite: Suite
    out: Path
    engines: tuple[str, ...] | None = None  # None: both, or all that a foreign server has
    profile: str = "starter"
    url: str | None = None
    resume: bool = False
    repeats: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None
    judge: str = "starter/asr"
    content_judge: str | None = None
    quality: bool = True
    limit: int | None = None  # stimuli of each task of the duplex suite, or clips; None: all
    corpus: Address | None = None  # recorded speech instead of the suite's turns
    start: Launch = launch  # brings a server of our own up

    def check(self) -> None:
        """Raises CannotBegin where the arguments contradict each other or what lies in `out`."""
        if self.repeats < 1:
            raise CannotBegin(f"--repeats {self.repeats}: once is the least")
        limited = self.suite.kind == "duplex" or self.corpus is not None
        if self.limit is not None and (self.limit < 1 or not limited):
            raise CannotBegin("--limit N, at least 1, is for the suite duplex and for --corpus")
        if self.content_judge is not None:
            self._check_content_judge(self.content_judge)
        if self.url is not None and self.settings:
            raise CannotBegin("--set changes a server that is started here, not one at --url")
        if (self.out / RUN).is_file() and not self.resume:
            raise CannotBegin(
                f"{self.out} holds a run already: --resume goes on with it, or choose another --out"
            )

    def _check_content_judge(self, address: str) -> None:
        if self.corpus is not None or self.suite.kind != "turns":
            raise CannotBegin(
                "--content-judge compares answers with written examples, which the suites smoke, "
                "standard and full have"
            )
        try:
            named = split(address, KEY_VARIABLE)[1]
        except JudgeError as e:
            raise CannotBegin(f"--content-judge: {e}") from e
        if not named:
            raise CannotBegin(f"--content-judge {address}: write its model behind a #")

    def known_engines(self) -> tuple[str, ...]:
        """The engines, as far as they are known before a foreign server was asked; else none."""
        if self.engines:
            return self.engines
        if self.resume and (self.out / RUN).is_file():
            return tuple(read_run(self.out / RUN).get("engines") or ())
        return () if self.url else BOTH

    def served(self, engines: tuple[str, ...]) -> Profile | None:
        """The profile as our own server gets it; None of a foreign one. Raises ProfileError."""
        if self.url is not None:
            return None
        over = {**self.settings, "engines": list(engines), "engine": engines[0]}
        return load_profile(self.profile, over)

    def source(self, engines: tuple[str, ...], under: Mapping[str, str] | None = None) -> Source:
        """Where the calls go; to be closed.

        Args:
            engines: those to call; none: all that a foreign server has.
            under: settings of a server of our own that `settings` may override.

        Raises:
            BadAddress: nobody at `url`.
        """
        if self.url is not None:
            return Foreign(discover(self.url, engines or None))
        settings = {**(under or {}), **self.settings}
        return Own(self.out / SERVER_LOG, self.profile, settings, engines, self.start)
