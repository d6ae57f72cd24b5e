"""The command line: one typer app; every command imports its room only when it is called.

The one place that turns named errors into a sentence on stderr and exit code 2. Knows nothing of
how anything is done.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from maata.profile import ProfileError, load_profile

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A self-hosted Telugu voice agent, and the bench that tells its two engines apart.",
    pretty_exceptions_enable=False,
)

Setting = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="override one profile setting")
]


def fail(sentence: str) -> NoReturn:
    """End with a user's mistake: one sentence, exit code 2, no traceback."""
    typer.echo(f"maata: {sentence}", err=True)
    raise typer.Exit(2)


@contextmanager
def user_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Translate the named errors of a room; anything else is a bug and keeps its traceback."""
    try:
        yield
    except (ProfileError, *kinds) as e:
        fail(str(e))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _overrides(settings: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign:
            raise ProfileError(f"--set {setting}: write KEY=VALUE, for example limits.max_calls=4")
        pairs[key.strip()] = value.strip()
    return pairs


@app.command()
def serve(
    profile: Annotated[str, typer.Option(help="a shipped profile or a .toml")] = "starter",
    engine: Annotated[str | None, typer.Option(help="cascade or s2s: the default engine")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 picks a free one")] = None,
    settings: Setting = [],  # noqa: B006  (typer reads the default, nobody writes it)
    log_level: Annotated[str, typer.Option(envvar="MAATA_LOG_LEVEL")] = "INFO",
) -> None:
    """Serve the page at / and calls at /ws."""
    overrides = _overrides_or_fail(settings)
    for key, value in (("engine", engine), ("server.host", host), ("server.port", port)):
        if value is not None:
            overrides[key] = str(value)
    with user_errors():
        loaded = load_profile(profile, overrides)
    from maata.log import set_up_log

    set_up_log(log_level.upper())
    from models.weights import WeightsMissing
    from pipelines.run import EngineError, PortInUse
    from pipelines.run import serve as run_server

    with user_errors(EngineError, PortInUse, WeightsMissing):
        run_server(loaded)


def _overrides_or_fail(settings: list[str]) -> dict[str, str]:
    with user_errors():
        return _overrides(settings)
    return {}


@app.command()
def call(
    url: Annotated[str, typer.Argument(help="http://host:port of a server, or a ws:// address")],
    wav: Annotated[list[Path], typer.Option(help="one user turn each, in this order")],
    engine: Annotated[str | None, typer.Option(help="cascade or s2s")] = None,
    voice: Annotated[str | None, typer.Option(help="arjun, ravi, priya or lakshmi")] = None,
    emotion: Annotated[str | None, typer.Option(help="neutral, happy, …")] = None,
    out: Annotated[Path, typer.Option(help="where call.wav and events.jsonl go")] = Path("calls"),
) -> None:
    """Call a server without a browser: play WAVs as a caller's turns, record, measure."""
    from benchmarks.call import run_call

    token = os.environ.get("MAATA_TOKEN")
    raise typer.Exit(
        run_call(url, wav, engine=engine, voice=voice, emotion=emotion, out=out, token=token)
    )


train = typer.Typer(no_args_is_help=True, help="Training recipes; each resumes where it stopped.")
app.add_typer(train, name="train")

Preset = Annotated[
    str, typer.Option(help="starter (2 cores, two hours), gpu (minutes), tiny (a test)")
]
Resume = Annotated[bool, typer.Option(help="go on from the last checkpoint")]
DataDir = Annotated[Path, typer.Option(envvar="MAATA_DATA", help="directory of Telugu text")]
OutDir = Annotated[Path | None, typer.Option(help="run directory; default runs/RECIPE")]


@train.command("asr")
def train_asr(
    preset: Preset = "starter",
    data: DataDir = Path("data"),
    out: OutDir = None,
    resume: Resume = False,
) -> None:
    """The starter recogniser: a small Whisper on synthetic Telugu speech."""
    from training.asr import main

    with user_errors(ValueError, FileNotFoundError):
        typer.echo(main(preset=preset, data=data, out=out or Path("runs/asr"), resume=resume))


@train.command("llm")
def train_llm(preset: Preset = "starter", out: OutDir = None, resume: Resume = False) -> None:
    """The starter language model: a small Llama on authored Telugu dialogues."""
    from training.llm import main

    with user_errors(ValueError):
        typer.echo(main(preset=preset, out=out or Path("runs/llm"), resume=resume))


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="print the version and end")] = False,
) -> None:
    """A self-hosted Telugu voice agent, and the bench that tells its two engines apart."""
    if show:
        from maata import __version__

        typer.echo(__version__)
        raise typer.Exit


if __name__ == "__main__":
    app()
