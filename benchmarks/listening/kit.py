"""A blind listening test of a run: `listening.html` for raters, `key.json` for the one who asks.

    maata bench --listening-kit --out DIR

The page is one file that needs no network. It holds opaque ids alone; which clip is whose stands in
the key, which is not to be given away. Raters send back CSV files, which `ratings` reads. Knows
nothing of how pages look (`page`) or sound is made (`sound`).

Method: absolute category rating, five points (ITU-T P.800), then preferences between the engines'
answers to the same turn; anchors and checks among both, an order of their own for each rater.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.listening.anchors import Anchor, high_anchors, low_anchors, spoken_checks
from benchmarks.listening.clips import Choice, Clip, choose
from benchmarks.listening.page import render
from benchmarks.listening.sound import FORMATS, LEVEL_DBFS, LONGEST_S, RATE
from benchmarks.sound.stereo import encoded
from benchmarks.suite.rows import RUN, TURNS, RowError, read, read_run

SCHEMA = 1
PAGE, KEY = "listening.html", "key.json"
MAX_BYTES = 15_000_000  # what still goes through a mail or a messenger
PER_ENGINE = 12
ENGINE, HIGH, LOW, CHECK = "engine", "high", "low", "check"  # roles in the key


class KitError(Exception):
    """No listening test can be made of this run; the sentence names the remedy."""


@dataclass
class _Kit:
    """What goes into the page and into the key, as it is gathered."""

    rng: np.random.Generator
    sounds: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, pcm: np.ndarray, role: str, **about: Any) -> str:
        # A letter first: a spreadsheet takes 12e4567890 for a number, and spoils it.
        while (name := f"c{self.rng.bytes(5).hex()}") in self.sounds:
            pass
        self.sounds[name] = pcm
        self.about[name] = {"role": role, "seconds": round(len(pcm) / RATE, 2), **about}
        return name


def write_kit(
    run: Path,
    out: Path,
    *,
    per_engine: int = PER_ENGINE,
    seed: int = 0,
    anchors: bool = True,
    natural: Sequence[Path] = (),
) -> Path:
    """Writes the page and its key into `out` and returns the page's path.

    `natural` are recordings of people, taken as high anchors instead of the synthesizer's. The same
    run, seed and arguments make the same kit, byte for byte.

    Raises:
        KitError: no engine has an answer that can be played, or the page would be too large.
        RowError: `run` holds no rows.
    """
    rows = read(run / TURNS)
    kit = _Kit(np.random.default_rng(seed))
    choice = choose(rows, run, per_engine, kit.rng)
    if not any(choice.clips.values()):
        why = f" ({choice.skipped[0]})" if choice.skipped else ""
        raise KitError(f"{run}: no answer that can be played{why}; run `maata bench` again")
    _fill(kit, choice, per_engine, anchors, natural)
    mime, files = _encode(kit.sounds)
    pairs = [(p["a"], p["b"]) for p in kit.pairs]
    code = _code(files, pairs)
    rate = list(kit.about)
    heard = sum(kit.about[n]["seconds"] for n in (*rate, *(n for p in pairs for n in p)))
    page = render(code, mime, files, rate, pairs, _practice(kit), heard, LONGEST_S)
    key = {
        "schema": SCHEMA,
        "kit": code,
        "seed": seed,
        "suite": rows[0].suite,
        "started": _started(run),
        "engines": list(choice.clips),
        "sound": {"level_dbfs": LEVEL_DBFS, "longest_s": LONGEST_S, "mime": mime, "hz": RATE},
        "clips": kit.about,
        "pairs": kit.pairs,
        "skipped": choice.skipped,
        "notes": kit.notes,
    }
    out.mkdir(parents=True, exist_ok=True)
    _write(out / KEY, json.dumps(key, ensure_ascii=False, indent=1) + "\n")
    _write(out / PAGE, page)
    return out / PAGE


def run_kit(run: Path, out: Path | None = None, **how: Any) -> int:
    """`write_kit` for a command line: into `run/listening` unless said; returns the exit code."""
    try:
        page = write_kit(run, out or run / "listening", **how)
    except (KitError, RowError) as e:
        print(f"maata bench: {e}", file=sys.stderr, flush=True)
        return 2
    key = json.loads((page.parent / KEY).read_text(encoding="utf-8"))
    for sentence in (*key["skipped"], *key["notes"]):
        print(f"maata bench: {sentence}", file=sys.stderr, flush=True)
    size = page.stat().st_size / 1e6
    print(
        f"{page} ({size:.1f} MB, {len(key['clips'])} clips, {len(key['pairs'])} pairs): "
        f"give it to raters; keep {KEY} to yourself, and their CSV files for "
        f"`maata report {run} --ratings FILE …`",
        flush=True,
    )
    return 0


def _fill(
    kit: _Kit, choice: Choice, per_engine: int, anchors: bool, natural: Sequence[Path]
) -> None:
    names: dict[int, str] = {}
    for engine, clips in choice.clips.items():
        if len(clips) < per_engine:
            kit.notes.append(f"{engine}: {len(clips)} of {per_engine} clips wanted")
        for clip in clips:
            names[id(clip)] = kit.add(clip.pcm, ENGINE, **_about(clip))
    by_place = {(c.row.engine, c.place): c for clips in choice.clips.values() for c in clips}
    for place in choice.shared():
        for one, other in combinations(choice.clips, 2):
            a, b = names[id(by_place[one, place])], names[id(by_place[other, place])]
            kit.pairs.append({"role": ENGINE, "a": a, "b": b})
    if not anchors:
        return
    alternating = list(_alternating(choice))
    for at, low in enumerate(low_anchors(alternating, kit.rng)):
        assert low.source is not None
        source = names[id(low.source)]
        name = kit.add(low.pcm, LOW, what=low.what, source=source)
        if at < 2:
            kit.pairs.append({"role": CHECK, "a": source, "b": name, "worse": name})
    others: list[tuple[str, Anchor]] = [
        *((HIGH, a) for a in high_anchors(alternating, natural, kit.notes)),
        *((CHECK, a) for a in spoken_checks(kit.rng, kit.notes)),
    ]
    for role, anchor in others:
        more = {} if anchor.expected is None else {"expected": anchor.expected}
        kit.add(anchor.pcm, role, what=anchor.what, **more)
    kit.notes[:] = dict.fromkeys(kit.notes)


def _alternating(choice: Choice) -> Iterator[Clip]:
    """One clip of each turn, of one engine after the other: anchors belong to no single one."""
    engines = [clips for clips in choice.clips.values() if clips]
    for at in range(max(map(len, engines))):
        having = [clips[at] for clips in engines if at < len(clips)]
        yield having[at % len(having)]


def _practice(kit: _Kit) -> list[str]:
    """Two clips to set the volume by: the same words spoilt and not, where there are anchors."""
    low = next((n for n, about in kit.about.items() if about["role"] == LOW), None)
    return list(kit.about)[:2] if low is None else [kit.about[low]["source"], low]


def _about(clip: Clip) -> dict[str, Any]:
    row = clip.row
    about = {"engine": row.engine, "conversation": row.conversation, "turn": row.turn}
    return about | {"repeat": row.repeat, "gain_db": clip.gain_db, "cut": clip.cut}


def _encode(sounds: dict[str, np.ndarray]) -> tuple[str, dict[str, bytes]]:
    room = MAX_BYTES - 150_000  # the template itself
    for form in FORMATS:
        files = {name: encoded(pcm, RATE, form) for name, pcm in sounds.items()}
        if sum(4 * -(-len(b) // 3) for b in files.values()) <= room:
            return form.mime, files
    raise KitError(f"{len(sounds)} clips do not fit into {MAX_BYTES // 10**6} MB; ask for fewer")


def _code(files: dict[str, bytes], pairs: Sequence[tuple[str, str]]) -> str:
    """Names the kit by all that is in it, so that ratings cannot be read with another one's key."""
    digest = hashlib.sha256(json.dumps(pairs).encode())
    for name in sorted(files):
        digest.update(name.encode() + files[name])
    return f"k{digest.hexdigest()[:10]}"


def _started(run: Path) -> str | None:
    try:
        return read_run(run / RUN).get("started")
    except RowError:
        return None  # an interrupted run has rows and no summary: its answers can be rated


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
