"""Raters whose minds are known, and the kit they rated; nothing of pages or sound."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ratings.ratings import Ratings, summarise

HEAD = "kit,rater,order,kind,clip_a,clip_b,answer,ms\n"
ENGINES = ("alpha", "beta")
TURNS = 8


def key_dict(engines: Sequence[str] = ENGINES) -> dict[str, Any]:
    """A kit of 8 turns of each engine, two low and two high anchors, two checks of each kind."""
    clips: dict[str, Any] = {}
    pairs: list[dict[str, Any]] = []
    for turn in range(TURNS):
        for engine in engines:
            about = {"role": "engine", "engine": engine, "conversation": "c", "turn": turn}
            clips[f"{engine}{turn}"] = about
        for i, one in enumerate(engines):
            for other in engines[i + 1 :]:
                pairs.append({"role": "engine", "a": f"{one}{turn}", "b": f"{other}{turn}"})
    for n in range(2):
        source = f"{engines[n]}{n}"
        clips[f"low{n}"] = {"role": "low", "source": source}
        clips[f"high{n}"] = {"role": "high"}
        clips[f"check{n}"] = {"role": "check", "expected": 2 + 2 * n}
        pairs.append({"role": "check", "a": source, "b": f"low{n}", "worse": f"low{n}"})
    return {"schema": 1, "kit": "k1", "engines": list(engines), "clips": clips, "pairs": pairs}


Judge = Callable[[str, dict[str, Any]], int]
Chooser = Callable[[dict[str, Any]], str]


def sound(name: str, about: dict[str, Any]) -> int:
    """A rater who listens: alpha 4, beta 3."""
    if about["role"] == "engine":
        return 4 if about["engine"] == "alpha" else 3
    return {"low": 1, "high": 5}.get(about["role"]) or about["expected"]


def prefers_a(pair: dict[str, Any]) -> str:
    """Always the first, which the kit's checks make right."""
    return "a"


def rows_of(
    rater: str, key: dict[str, Any], judge: Judge = sound, choose: Chooser = prefers_a
) -> list[str]:
    rows = [("acr", n, "", str(judge(n, about))) for n, about in key["clips"].items()]
    rows += [("pair", p["a"], p["b"], choose(p)) for p in key["pairs"]]
    return [
        f"{key['kit']},{rater},{at},{kind},{a},{b},{answer},4000\n"
        for at, (kind, a, b, answer) in enumerate(rows, 1)
    ]


class Case:
    """A folder with a key and files."""

    def __init__(self, folder: Path, engines: Sequence[str] = ENGINES) -> None:
        self.folder = folder
        self.key = key_dict(engines)
        self.files: list[Path] = []
        (folder / "key.json").write_text(json.dumps(self.key), encoding="utf-8")

    def add(self, rater: str, rows: Sequence[str] | None = None, **how: Any) -> Path:
        path = self.folder / f"{rater}.csv"
        rows = rows_of(rater, self.key, **how) if rows is None else rows
        path.write_text(HEAD + "".join(rows), encoding="utf-8")
        self.files.append(path)
        return path

    def read(self, draws: int = 200) -> Ratings:
        return summarise(self.files, self.folder / "key.json", draws=draws)
