"""`make demo`: what a call is like, without a browser or a microphone.

    python -m benchmarks.demo [--out calls] [serve options]

Starts a server, calls every engine it has with three sample utterances, shows what both sides said
and how long the caller waited, keeps the stereo recordings, and ends the server. Exit code 0 only
if every turn was answered.
"""

import argparse
import asyncio
import io
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.caller.call import Outcome, call_url, record
from benchmarks.caller.line import Refused
from benchmarks.caller.wire import IN_RATE
from benchmarks.ruler.recording import Utterance
from benchmarks.server.child import Server, ServerFailed
from benchmarks.server.info import fetch, fetch_info
from models.audio import AudioError, read_wav, to_int16

TURNS = ("greeting", "sum", "name")  # the last one needs the memory of the first
console = Console()


def run(out: Path, arguments: list[str]) -> int:
    """The whole demo; returns its exit code."""
    console.print("starting a server …")
    try:
        with Server(out / "demo-server.log", *arguments) as server:
            return _calls(server.url, out)
    except (ServerFailed, AudioError) as e:
        console.print(f"[red]demo failed:[/] {e}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; the server was ended")
        return 130


def _calls(url: str, out: Path) -> int:
    info = fetch_info(url)
    samples = {s["id"]: s for s in info.get("samples", [])}
    utterances = [_sample(url, samples, name) for name in TURNS]
    if info.get("starter"):
        console.print("the models are small starter models: expect little of what they know")
    answered = []
    for engine in info.get("engines", []):
        name = str(engine["id"])
        if not engine.get("available"):
            console.print(f"\n[bold]{name}[/]: not available: {engine.get('reason', 'no reason')}")
            continue
        console.print(f"\n[bold]{name}[/]: calling …")
        try:
            outcome = asyncio.run(
                record(call_url(url, engine=name), utterances, out / f"demo-{name}")
            )
        except Refused as e:
            console.print(f"[red]{e}[/]")
            answered.append(False)
            continue
        _show(outcome, samples)
        answered.append(outcome.answered and not outcome.call.ended)
    if not answered:
        console.print("[red]demo failed:[/] the server has no available engine")
    return 0 if answered and all(answered) else 1


def _sample(url: str, samples: dict[str, Any], name: str) -> Utterance:
    if name not in samples:
        raise AudioError(f"the server offers no sample {name!r}; build the page with `make page`")
    wav = io.BytesIO(fetch(url + samples[name]["url"]))
    return Utterance(name, to_int16(read_wav(wav, IN_RATE)))


def _show(outcome: Outcome, samples: dict[str, Any]) -> None:
    table = Table(show_lines=True)
    for heading in ("the caller said", "was understood as", "the bot answered"):
        table.add_column(heading, overflow="fold")
    table.add_column("wait ms", justify="right")
    table.add_column("of it, by stage", overflow="fold")
    for turn in outcome.turns:
        wait = "no answer" if turn.v2v_ms is None else f"{turn.v2v_ms:.0f}"
        stages = {k.removesuffix("_ms"): v for k, v in turn.stages.items() if k != "total_ms"}
        spent = "\n".join(f"{name.replace('_', ' ')} {ms:.0f}" for name, ms in stages.items())
        said = str(samples[turn.wav]["text"])
        table.add_row(said, turn.user_text or "–", turn.bot_text or "–", wait, spent or "–")
    console.print(table)
    underruns = len(outcome.call.recording.playback.underruns)
    console.print(f"{underruns} gaps in the sound; recording (left caller, right bot): ", end="")
    console.print(str(outcome.stereo), soft_wrap=True)
    if outcome.call.ended:
        console.print(f"[red]{outcome.call.ended}[/]")


def main() -> int:
    parser = argparse.ArgumentParser(description="A three-turn call on every available engine.")
    parser.add_argument("--out", type=Path, default=Path("calls"))
    arguments, serve_options = parser.parse_known_args()
    return run(arguments.out, serve_options)


if __name__ == "__main__":
    sys.exit(main())
