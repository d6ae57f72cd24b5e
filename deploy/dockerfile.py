"""A Dockerfile as stages of instructions: what its checks and `check_build.py` need of the format.

Knows continuation lines, comments, and `FROM image AS stage`; no heredocs and no ONBUILD, which
ours does not use.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

OPTION = re.compile(r"--[a-z-]+(=\S+)?\s+")  # of RUN and COPY, before the command or the paths


@dataclass(frozen=True)
class Instruction:
    """One instruction; `options` are those before its arguments, as `--from=page`."""

    word: str
    options: tuple[str, ...]
    rest: str
    line: int


@dataclass
class Stage:
    """What follows one FROM."""

    name: str
    image: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        """The stage's instructions of one kind, in order."""
        return [i for i in self.instructions if i.word == word]


def read(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first FROM with their defaults, and the stages in order."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line, text in _logical_lines(path.read_text(encoding="utf-8")):
        word, _, rest = text.partition(" ")
        word, rest, options = word.upper(), rest.strip(), []
        while word in ("RUN", "COPY", "HEALTHCHECK") and (match := OPTION.match(rest)):
            options.append(match[0].strip())
            rest = rest[match.end() :]
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(name.strip(), image.strip()))
        elif not stages:
            name, _, default = rest.partition("=")
            arguments[name] = default
        else:
            stages[-1].instructions.append(Instruction(word, tuple(options), rest, line))
    return arguments, stages


def variables(rest: str) -> dict[str, str]:
    """The pairs of an ENV or ARG, without looking into them; a bare ARG has an empty value."""
    return dict(re.findall(r"(\w+)(?:=(\S*))?", rest))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        start = start if pending else number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1].strip() + " "
        else:
            lines.append((start, pending + line.strip()))
            pending = ""
    return lines
