"""The command line: one typer app; every command imports its room only when it is called.

Named errors become a sentence (`errors.py`). Knows nothing of how anything is done.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from maata.errors import fail, user_errors
from maata.profile import Engine, ProfileError, load_profile
from maata.recipes import data, train

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A self-hosted Telugu voice agent, and the bench that tells its two engines apart.",
    pretty_exceptions_enable=False,
)

Setting = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="override one profile setting")
]


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
    log_json: Annotated[
        bool,
        typer.Option("--log-json", envvar="MAATA_LOG_JSON", help="the log as JSON lines"),
    ] = False,
    ray: Annotated[bool, typer.Option("--ray", help="on replicas, by Ray Serve")] = False,
    replicas: Annotated[
        str | None, typer.Option(help="with --ray: how many, as 2, or as the calls need, as 1:4")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(help="with --ray: of one replica; else as the profile needs")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="with --ray: of a running cluster, auto or HOST:6379")
    ] = None,
) -> None:
    """Serve the page at / and calls at /ws."""
    overrides = _overrides_or_fail(settings)
    for key, value in (("engine", engine), ("server.host", host), ("server.port", port)):
        if value is not None:
            overrides[key] = str(value)
    with user_errors():
        loaded = load_profile(profile, overrides)
    for name, value in (("--replicas", replicas), ("--gpus", gpus), ("--address", address)):
        if value is not None and not ray:
            fail(f"{name} is of --ray: give both, or neither")
    from maata.log import set_up_log

    log_level = log_level.upper()
    set_up_log(log_level, as_json=log_json)
    if ray:
        from pipelines.cluster.plan import ClusterError, LogChoice, make_plan, require_ray
        from pipelines.cluster.run import deploy_onto, serve_alone

        with user_errors(ClusterError):
            plan, log = make_plan(loaded, replicas or "1", gpus), LogChoice(log_level, log_json)
            require_ray()
            if address is None:
                serve_alone(loaded, plan, log)
            else:
                deploy_onto(address, loaded, plan, log)
        return
    from models.weights import WeightsMissing
    from pipelines.listen import PortInUse
    from pipelines.run import EngineError
    from pipelines.run import serve as run_server
    from pipelines.tracing import TracingUnavailable

    with user_errors(EngineError, PortInUse, TracingUnavailable, WeightsMissing):
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
    from benchmarks.caller.call import run_call

    token = os.environ.get("MAATA_TOKEN")
    raise typer.Exit(
        run_call(url, wav, engine=engine, voice=voice, emotion=emotion, out=out, token=token)
    )


@app.command()
def bench(
    engines: Annotated[
        str | None, typer.Option(help="cascade,s2s (both), or what a server at --url has")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="smoke, standard (the default), full, duplex, load or voice")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT:FOLDER",
            help="recorded speech instead of a suite: folder, common-voice, fleurs, indicvoices or "
            "kathbath",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="of the corpus")] = "test",
    profile: Annotated[str, typer.Option(help="a shipped profile or a .toml")] = "starter",
    url: Annotated[str | None, typer.Option(help="measure this server, start none")] = None,
    out: Annotated[Path | None, typer.Option(help="the run's directory")] = None,
    resume: Annotated[bool, typer.Option(help="go on with the run in --out")] = False,
    repeats: Annotated[int | None, typer.Option(help="of every conversation")] = None,
    settings: Setting = [],  # noqa: B006
    judge: Annotated[
        str, typer.Option(help="starter/asr, a Whisper directory, http://host/v1#model, or none")
    ] = "starter/asr",
    content_judge: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="a language model, http://host/v1#model, that is asked whether answers fit",
        ),
    ] = None,
    quality: Annotated[bool, typer.Option(help="rate the sound of the answers")] = True,
    limit: Annotated[
        int | None,
        typer.Option(
            help="stimuli a task of the suite duplex, sentences of voice, or clips of a corpus"
        ),
    ] = None,
    listening_kit: Annotated[
        bool, typer.Option(help="also write a blind listening test; alone for a finished --out")
    ] = False,
) -> None:
    """Measure both engines side by side and write the report; the last line is JSON."""
    overrides = _overrides_or_fail(settings)
    if suite == "voice":
        raise typer.Exit(_voice_suite(profile, overrides, out, limit, judge, resume))
    from benchmarks.suite.command import run_bench

    named = [e.strip() for e in engines.split(",") if e.strip()] if engines else None
    raise typer.Exit(
        run_bench(
            named,
            suite,
            corpus=corpus,
            split=split,
            profile=profile,
            url=url,
            out=out,
            resume=resume,
            repeats=repeats,
            settings=overrides,
            token=os.environ.get("MAATA_TOKEN"),
            judge=judge,
            content_judge=content_judge,
            quality=quality,
            limit=limit,
            listening_kit=listening_kit,
        )
    )


def _voice_suite(
    profile: str,
    overrides: dict[str, str],
    out: Path | None,
    limit: int | None,
    judge: str,
    resume: bool,
) -> int:
    """The voice alone, read aloud and listened to: no call is made."""
    from benchmarks.voice.plan import VoiceError, plan_of
    from benchmarks.voice.run import run_voice

    with user_errors(ProfileError, VoiceError):
        loaded = load_profile(profile, overrides)
        plan = plan_of(loaded, out or Path("runs/voice"), limit=limit, watch=400)
    return run_voice(plan, judge=judge, resume=resume)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="a run of `maata bench`")],
    baseline: Annotated[Path | None, typer.Option(help="an earlier run; exit 1 if worse")] = None,
    ratings: Annotated[list[Path], typer.Option(help="CSVs of the listening test")] = [],  # noqa: B006
    readme: Annotated[Path | None, typer.Option(help="write the table between its markers")] = None,
) -> None:
    """Render results.json, report.md and report.html of a run, byte-identically."""
    from benchmarks.report.report import run_report

    raise typer.Exit(run_report(directory, baseline=baseline, readme=readme, ratings=ratings))


@app.command()
def score(
    refs: Annotated[Path, typer.Option(help="references: one utterance a line, or JSON Lines")],
    hyps: Annotated[Path, typer.Option(help="hypotheses; may be the same JSON Lines file")],
    normalizer: Annotated[
        str, typer.Option(help="raw, te-strict, te-std, te-indicnlp, te-num, whisper-basic or all")
    ] = "te-std",
    system: Annotated[str | None, typer.Option(help="one system of a file with several")] = None,
) -> None:
    """WER and CER of any system's Telugu transcripts; the last line is JSON."""
    from benchmarks.score.score import run_score

    raise typer.Exit(run_score(refs, hyps, normalizer, system=system))


@app.command()
def plan(
    rows: Annotated[Path, typer.Option("--from", help="a directory with load.jsonl")],
    gpu: Annotated[str, typer.Option(help="l4, a40, l40s, a100, h100, h200, or measured")],
    callers: Annotated[int | None, typer.Option(help="plan GPUs for so many at once")] = None,
    price: Annotated[float | None, typer.Option(help="USD per GPU-hour, not the table's")] = None,
    cascade_gpu: Annotated[str | None, typer.Option(help="another GPU for the cascade")] = None,
    cascade_price: Annotated[float | None, typer.Option(help="USD per hour of that one")] = None,
    context: Annotated[float | None, typer.Option(help="frames of history to plan for")] = None,
    v2v_ms: Annotated[float, typer.Option(help="what a cascade's v2v p95 may be")] = 1100.0,
    blocking: Annotated[float, typer.Option(help="share of callers turned away")] = 0.01,
) -> None:
    """Sessions per GPU, cost per caller and cross-over, from a measured ramp."""
    from benchmarks.plan.plan import run_plan

    raise typer.Exit(
        run_plan(
            rows,
            gpu,
            callers,
            price=price,
            cascade_gpu=cascade_gpu,
            cascade_price=cascade_price,
            context=context,
            v2v_ms=v2v_ms,
            blocking=blocking,
        )
    )


@app.command()
def doctor(
    profile: Annotated[str, typer.Option(help="a shipped profile or a .toml")] = "starter",
    as_json: Annotated[bool, typer.Option("--json", help="JSON as the last line")] = False,
    settings: Setting = [],  # noqa: B006
) -> None:
    """What this machine can run, and what is missing."""
    overrides = _overrides_or_fail(settings)
    with user_errors():
        loaded = load_profile(profile, overrides)
    from maata.doctor import run_doctor

    raise typer.Exit(run_doctor(loaded, as_json=as_json))


weights = typer.Typer(no_args_is_help=True, help="Weights of a profile.")


@weights.command("fetch")
def weights_fetch(
    profile: Annotated[str, typer.Option(help="a shipped profile or a .toml")] = "starter",
    engine: Annotated[Engine | None, typer.Option(help="only this engine's")] = None,
    dry_run: Annotated[bool, typer.Option(help="say what would come")] = False,
    check: Annotated[bool, typer.Option(help="read again what is here")] = False,
    settings: Setting = [],  # noqa: B006
) -> None:
    """Fetch a profile's weights from the hub: resumes, verifies, then works offline."""
    overrides = _overrides_or_fail(settings)
    with user_errors():
        loaded = load_profile(profile, overrides)
    from maata.fetch import run_fetch

    raise typer.Exit(run_fetch(loaded, engine=engine, dry_run=dry_run, check=check))


app.add_typer(weights, name="weights")
app.add_typer(train, name="train")
app.add_typer(data, name="data")


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
