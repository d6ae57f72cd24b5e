"""The tables of the load suite: steps, knees and cost. Knows nothing of HTML."""

from typing import Any

from benchmarks.report.cells import Cell, Row, Table
from benchmarks.report.figures import NONE, number


def load_steps(load: dict[str, Any]) -> Table:
    """Every step of every ramp."""
    rows = []
    for ramp in load["ramps"]:
        for step in ramp["steps"]:
            cells = [
                Cell(f"{step['calls']}"),
                _ms(step["v2v_ms_p50"]),
                _ms(step["v2v_ms_p95"]),
                _ms(step["tick_ms_p99"]),
                Cell(f"{step['underruns']}"),
                Cell(f"{step['refused']}"),
                _of(step["unanswered"], step["turns"]),
                _memory(step["memory_bytes"]),
                _percent(step["cpu_percent"]),
                _percent(step["gpu_percent"]),
                Cell("yes" if step["holds"] else "no"),
            ]
            rows.append(Row(ramp["engine"], cells))
    head = ["", "callers", "v2v p50", "v2v p95", "tick p99", "underruns", "refused", "unanswered"]
    caption = (
        "One measurement a step, held for the seconds that load.jsonl states: no interval. A "
        "step holds if it is in time, without an underrun, and nobody was refused."
    )
    return Table([*head, "memory", "CPU", "GPU", "holds"], rows, caption)


def knees(load: dict[str, Any]) -> list[str]:
    """How many callers each engine carried, in sentences."""
    said = []
    for ramp in load["ramps"]:
        steps = {s["calls"]: s for s in ramp["steps"]}
        held, failed = ramp["held"], ramp["failed"]
        what = f"{ramp['measure']} at most {number(ramp['target_ms'], 'ms')} ms"
        who = f"{ramp['engine']} ({ramp['model']}, {ramp['precision']}, {ramp['hardware']})"
        if held == 0:
            said.append(f"{who} held no step ({what}, no underrun, nobody refused).")
            continue
        seconds = steps[held]["seconds"] if held in steps else 0.0
        end = (
            f"; {failed} did not hold" if failed else "; no step failed, so there may be more room"
        )
        said.append(f"{who} held {_callers(held)} for {seconds:.0f} s ({what}, no underrun){end}.")
    return said


def costs(load: dict[str, Any]) -> Table | None:
    """Sessions and dollars by GPU; None where no ramp says anything of a GPU."""
    at = f"at {100 * load['blocking']:g} % blocking"
    rows = []
    for plan in load["cost"]["plans"]:
        for one in plan["engines"]:
            span = one["ci95"]
            ends = "" if span is None else f"[{span[0]}, {'…' if span[1] is None else span[1]}]"
            cells = [
                Cell(f"{one['sessions']}", ends),
                Cell(one["basis"], one["status"]),
                _usd(one.get("usd_full")),
                _usd(one.get("usd_blocking")),
            ]
            price = f"{plan['name']}, $\u202f{plan['usd_per_hour']:g} an hour"
            rows.append(Row(one["engine"], cells, price))
    if not rows:
        return None
    head = ["", "sessions per GPU", "basis", "$/user-hour, always full", f"$/user-hour {at}"]
    caption = (
        f"Prices: table of {load['cost']['as_of']}, data and not facts; give your own to maata "
        "plan --price. What was not measured on the GPU itself is a bound or a prediction."
    )
    return Table(head, rows, caption)


def _callers(count: int) -> str:
    return f"{count} caller{'s' * (count != 1)}"


def _ms(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{number(value, 'ms')}\u202fms")


def _of(count: int, total: int | None) -> Cell:
    return Cell(f"{count}" if total is None else f"{count} of {total}")


def _memory(value: int | None) -> Cell:
    return Cell(NONE if value is None else f"{value / 1e9:.2f}\u202fGB")


def _percent(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:.0f}\u202f%")


def _usd(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:.3f}")
