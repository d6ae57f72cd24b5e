"""A plan for people: the table of estimates, its notes, the floors, the claims and the cross-over.

Reads the JSON-ready object that `benchmarks.plan.plan.plan` makes, and nothing else: it computes no
figure, and knows no ramp, no GPU and no file.
"""

from rich.console import Console
from rich.table import Table

from benchmarks.plan.estimates import PREDICTED


def show(result: dict, console: Console) -> None:
    """The plan for people: one table, its notes, the floors, the claims."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for engine, t in result["targets"].items():
        price = "no price" if t["usd_per_hour"] is None else f"${t['usd_per_hour']:g} an hour"
        say(f"{engine} on {t['name']}: {price}, {t['price_source']}")
    console.print(_estimates_table(result))
    for row in result["estimates"]:
        for note in row["notes"]:
            say(f"- {row['engine']} ({row['model']}, {row['precision']}), {row['basis']}: {note}")
    if (crossed := result["cross_over"]) is not None:
        say(_crossing_sentence(crossed))
    s2s, cascade = result["targets"]["s2s"], result["targets"]["cascade"]
    if "floors" in s2s:
        say(f"\nFloors of Moshi 7B on {s2s['name']}, histories full: physics, nothing measured")
        floors = Table(*(k.replace("_", " ") for k in s2s["floors"][0]))
        for row in s2s["floors"]:
            floors.add_row(*map(str, row.values()))
        console.print(floors)
    for c in s2s.get("claims", ()):
        said = f"{c['calls']} calls in {c['precision']}"
        say(f"- {said}: {c['word'].upper()}: {c['why']} [claim: {c['source']}]")
    if floor := cascade.get("turn_decode_floor_ms"):
        parts = ", ".join(f"{name}: {ms:.0f} ms" for name, ms in floor.items())
        say(f"Decoding a turn on {cascade['name']}, at least (assumed sizes): {parts}")


def _estimates_table(result: dict) -> Table:
    at = f"at {100 * result['blocking']:g} % blocking"
    head = ["engine", "basis", "sessions", f"erlang {at}", "$/user-h always full", f"$/user-h {at}"]
    keys = ["load_erlang", "usd_full", "usd_blocking"]
    if result["callers"]:
        head += [f"GPUs for {result['callers']}, full", f"GPUs for {result['callers']} {at}"]
        keys += ["gpus_full", "gpus_blocking"]
    table = Table(*head)
    for row in result["estimates"]:
        ci = row["ci95"]
        span = "" if ci is None else f" ({ci[0]} to {'∞' if ci[1] is None else ci[1]})"
        mark = f": {PREDICTED}" if row["status"] == PREDICTED else ""
        cells = (_text(row.get(key)) for key in keys)
        table.add_row(row["engine"], row["basis"] + mark, f"{_text(row['sessions'])}{span}", *cells)
    return table


def _crossing_sentence(crossed: dict) -> str:
    start = crossed["never_dearer_from_callers"]
    bases = ", ".join(f"{engine} {basis}" for engine, basis in crossed["bases"].items())
    when = "not even with 1000 callers" if start is None else f"from {start} caller(s) on"
    text = f"Cross-over ({PREDICTED}; {bases}): {crossed['cheaper_per_session']} costs no more per "
    text += f"session, and whole GPUs counted it is never dearer {when}."
    if (ms := crossed["equal_cost_at_cascade_v2v_ms_p95"]) is not None:
        text += f" A cascade held to a v2v p95 of {ms:.0f} ms would cost what s2s does, and more "
        text += "below that" + (" (extrapolated)." if crossed["extrapolated"] else ".")
    return text


def _text(value: float | None) -> str:
    return "–" if value is None else str(value)
