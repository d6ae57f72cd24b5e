"""The rows of engines as Markdown: figures beside their floors, a curve, and other GPUs predicted.

    python -m benchmarks.engines.table DIR

writes DIR/engines.md, and DIR/load.jsonl for `maata plan --from DIR`. The same rows give the same
bytes. Computes no figure of its own: see `fit`.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.engines.fit import (
    Device,
    curve,
    predictions,
    served_context,
    ticks,
    turn_floor_ms,
    write_load,
)
from benchmarks.engines.rows import BUDGET_MS, EngineRow, EnginesError, latest, read_rows
from benchmarks.plan.estimates import PREDICTED
from benchmarks.plan.gpus import load_gpus

REPORT = "engines.md"
DELAY_MS = 160  # of Moshi's own: one frame heard, one of acoustic delay (arXiv 2410.00037)


def render(directory: Path) -> Path:
    """Writes the report and the ramp; the report's path.

    Raises:
        EnginesError: no rows, or lines that are none.
    """
    rows = read_rows(directory)
    machines = list(dict.fromkeys((r.gpu, r.size) for r in rows))
    text = "\n".join(
        line for name in machines for line in _machine([r for r in rows if (r.gpu, r.size) == name])
    )
    path = directory / REPORT
    path.write_text(text.rstrip() + "\n", encoding="utf-8")
    write_load(rows, directory)
    return path


def _machine(rows: Sequence[EngineRow]) -> Iterator[str]:
    device = Device.of(rows, load_gpus())
    last = rows[-1]
    yield f"# Engines at {'full size' if last.size == 'full' else 'a size for tests'}: {last.gpu}"
    yield ""
    yield (
        "Random weights: time depends on shapes alone, and nothing here says how well a model "
        "speaks. Times are wall times in ms, the device waited for."
    )
    yield ""
    commits = ", ".join(dict.fromkeys(r.commit[:18] for r in rows if r.commit)) or "unknown"
    versions = ", ".join(f"{k} {v}" for k, v in last.versions.items())
    yield f"- Driver {last.driver or 'none'}; {versions}; commit {commits}; {rows[0].started}"
    if clocks := [r for r in rows if r.clocks_before]:
        ends = clocks[0].clocks_before, clocks[-1].clocks_after or clocks[-1].clocks_before
        yield f"- Clocks at the start {ends[0]}, at the end {ends[1]} (read, never set)"
    sheet = "" if device.gpu is None else f"; data sheet {device.gpu.bandwidth_gb_s:.0f} GB/s"
    speeds = {"copy": device.copy_gb_s, "matrix-vector product": device.read_gb_s}
    said = ", ".join(f"{k} {v:.0f} GB/s" for k, v in speeds.items() if v is not None)
    yield f"- Memory bandwidth: {said or 'not measured'}{sheet}. Floors are at the copy's."
    yield ""
    yield from _moshi(rows, device)
    yield from _soak(rows)
    yield from _cascade(rows, device)
    yield from _curves(rows, device)
    yield from _trouble(rows)


def _moshi(rows: Sequence[EngineRow], device: Device) -> Iterator[str]:
    whole = [r for r in latest(rows) if (r.part, r.stage) == ("moshi", "tick")]
    if not whole:
        return
    yield "## Moshi: one tick of 80 ms"
    yield ""
    yield (
        "Mimi encodes, the model steps, its depformer steps once a codebook, Mimi decodes. "
        "`room` is the frames of history there is memory for; all of it is read at every step, "
        "whatever the age of a call. The floor is the language model's weights once and all "
        "histories once."
    )
    yield ""
    head = "dtype", "how", "calls", "room", "age", "n", "p50", "p99", "max", "floor", "p50 / floor"
    yield from _table((*head, "GPU memory GB"), (_tick(r, device) for r in whole))
    for dtype, taken in {r.dtype: r.seconds for r in rows if r.stage == "build"}.items():
        yield f"Built with random weights in {dtype} in {taken or 0:.1f} s."
        yield ""
    parts = ("encode", "temporal", "depformer", "lm", "decode")
    split = [r for r in latest(rows) if r.part == "moshi" and r.stage in parts]
    served = [r for r in split if r.context == served_context(rows)]
    yield "Parts of a tick, each waited for (so their sum is more than a tick), p50:"
    yield ""
    keys = list(dict.fromkeys((r.dtype, r.how, r.batch) for r in served))
    by = {(r.dtype, r.how, r.batch, r.stage): r for r in served}
    lines = []
    for key in keys:
        found = [by.get((*key, name)) for name in parts]
        lm = by.get((*key, "lm"))
        floor = None if lm is None else device.floor_ms(lm)
        ratio = _ratio(lm.p50_ms if lm else None, floor)
        lines.append((*key, *(_ms(r.p50_ms if r else None) for r in found), _ms(floor), ratio))
    yield from _table(("dtype", "how", "calls", *parts, "floor of lm", "lm / floor"), lines)


def _tick(r: EngineRow, device: Device) -> tuple[object, ...]:
    floor = device.floor_ms(r)
    figures = (_ms(r.p50_ms), _ms(r.p99_ms), _ms(r.max_ms), _ms(floor), _ratio(r.p50_ms, floor))
    held = "–" if r.memory_bytes is None else f"{r.memory_bytes / 1e9:.1f}"
    return (r.dtype, r.how, r.batch, r.context, r.history, r.n, *figures, held)


def _soak(rows: Sequence[EngineRow]) -> Iterator[str]:
    soaks = [r for r in latest(rows) if r.stage == "soak"]
    if not soaks:
        return
    yield "## Sessions in real time"
    yield ""
    head = ("dtype", "sessions", "seconds", "ticks", "missed deadlines", "p50", "p99", "max")
    yield from _table(
        head,
        (
            (r.dtype, r.batch, f"{r.seconds or 0:.0f}", r.n, r.missed or 0)
            + (_ms(r.p50_ms), _ms(r.p99_ms), _ms(r.max_ms))
            for r in soaks
        ),
    )


def _cascade(rows: Sequence[EngineRow], device: Device) -> Iterator[str]:
    found = [r for r in latest(rows) if r.part in ("whisper", "llama", "speecht5")]
    if not found:
        return
    yield "## The cascade's stages"
    yield ""
    yield (
        "Output lengths are fixed: tokens of one utterance, of a first clause, steps of a first "
        "clause. The floor of a turn is the sum of its stages' floors, of those that have one."
    )
    yield ""
    groups: dict[tuple[str, str, int], dict[str, EngineRow]] = {}
    for row in found:
        groups.setdefault((row.shape, row.dtype, row.batch), {})[row.stage] = row
    lines = []
    for (shape, dtype, batch), stages in groups.items():
        for name, row in stages.items():
            rest = {k: v for k, v in stages.items() if k != "turn"}
            floor = turn_floor_ms(device, rest) if name == "turn" else device.floor_ms(row)
            figures = (_ms(row.p50_ms), _ms(row.p99_ms), _ms(row.max_ms), _ms(floor))
            about = (shape, dtype, row.how, batch, name, row.tokens or "–", row.n)
            lines.append((*about, *figures, _ratio(row.p50_ms, floor)))
    head = ("model", "dtype", "how", "calls", "stage", "tokens", "n", "p50", "p99", "max")
    yield from _table((*head, "floor", "p50 / floor"), lines)
    yield from _against(rows, groups)


def _against(
    rows: Sequence[EngineRow], groups: dict[tuple[str, str, int], dict[str, EngineRow]]
) -> Iterator[str]:
    """Both engines' compute for one caller, where all of it was measured."""
    alone = {key[0]: g["turn"] for key, g in groups.items() if key[2] == 1 and "turn" in g}
    hearing = {k: v for k, v in alone.items() if v.part == "whisper"}
    rest = [v for v in alone.values() if v.part != "whisper"]
    tick = next((r for t in ("bf16", "float32") for r in ticks(rows, t) if r.batch == 1), None)
    if not hearing or len(rest) < 2 or tick is None:
        return
    yield "For one caller alone, compute only (no endpointing, no transport, no framework):"
    yield ""
    for name, row in hearing.items():
        total = sum(r.p50_ms or 0.0 for r in (row, *rest))
        yield f"- cascade with {name}: {total:.0f} ms from the caller's last word to a first clause"
    yield (
        f"- speech-to-speech: {DELAY_MS} ms of frame and acoustic delay and {tick.p50_ms:.1f} ms "
        f"of compute: {DELAY_MS + (tick.p50_ms or 0):.0f} ms"
    )
    yield ""


def _curves(rows: Sequence[EngineRow], device: Device) -> Iterator[str]:
    kinds = list(dict.fromkeys(r.dtype for r in rows if r.part == "moshi" and r.dtype))
    fits = {(t, f): curve(ticks(rows, t), f) for t in kinds for f in ("p50_ms", "p99_ms")}
    if not any(fits.values()):
        return
    yield "## The curve: tick = a + b·B + c·B·ctx"
    yield ""
    context = served_context(rows)
    yield f"`sessions`: the largest B whose tick keeps {BUDGET_MS:.0f} ms at {context} frames."
    yield ""
    lines = []
    for (dtype, figure), line in fits.items():
        if line is not None:
            sessions = line.sessions(BUDGET_MS, context)
            count = "no limit seen" if sessions is None else sessions
            far = sessions is not None and line.beyond(sessions, context)
            lines.append(
                (dtype, figure.removesuffix("_ms"), _ms(line.a), f"{line.b:.4f}", f"{line.c:.3e}")
                + (_ms(line.worst_ms), f"{count} ({PREDICTED})" if far else count)
            )
    head = ("dtype", "figure", "a ms", "b ms", "c ms", "worst point ms off", "sessions")
    yield from _table(head, lines)
    for dtype in kinds:
        others = predictions(rows, device, load_gpus(), dtype)
        if others:
            yield f"### Other GPUs, {dtype}: {PREDICTED}"
            yield ""
            yield (
                f"From {device.name} by the ratio of the data sheets' bandwidths: at one end all "
                "time scales with it, at the other only the floor's bytes do. Sessions are held "
                "against memory and floors as well."
            )
            yield ""
            lines = [
                (p.gpu.name, f"{p.tick_ms[0]:.1f} to {p.tick_ms[1]:.1f}", *map(_count, p.sessions))
                for p in others
            ]
            head = ("GPU", "tick p99, one call", "sessions at least", "sessions at most")
            yield from _table(head, lines)


def _trouble(rows: Sequence[EngineRow]) -> Iterator[str]:
    last = {r.key: r for r in rows if r.stage in ("done", "failed")}
    found = [r for r in last.values() if r.trouble]
    if found:
        yield "## Points without figures"
        yield ""
        yield from (f"- {r.key}: {r.trouble}" for r in found)
        yield ""


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for line in lines:
        yield "| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |"
    yield ""


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 0.1 else f"{value:.2f}"


def _ratio(ms: float | None, floor: float | None) -> str:
    return "–" if not ms or not floor else f"{ms / floor:.2f}"


def _count(value: int | None) -> str:
    return "no bound" if value is None else str(value)


def main() -> int:
    """0 when written, 2 for a mistake."""
    if len(sys.argv) != 2:
        print("usage: python -m benchmarks.engines.table DIR", file=sys.stderr)
        return 2
    try:
        print(render(Path(sys.argv[1])))
    except EnginesError as e:
        print(f"engines: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
