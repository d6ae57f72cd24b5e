"""The commands that train models and make their data; each imports its recipe when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maata.errors import user_errors

if TYPE_CHECKING:
    import numpy as np

    from training.speecht5_log import Rater

train = typer.Typer(no_args_is_help=True, help="Training recipes; each resumes where it stopped.")
data = typer.Typer(no_args_is_help=True, help="Steps of the data pipeline.")

Preset = Annotated[
    str, typer.Option(help="starter (2 cores, an hour or two), gpu (minutes), tiny (a test)")
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
    from training.corpus import DataMissing

    with user_errors(ValueError, FileNotFoundError, DataMissing):
        typer.echo(main(preset=preset, data=data, out=out or Path("runs/asr"), resume=resume))


@train.command("llm")
def train_llm(preset: Preset = "starter", out: OutDir = None, resume: Resume = False) -> None:
    """The starter language model: a small Llama on authored Telugu dialogues."""
    from training.llm import main

    with user_errors(ValueError, FileExistsError):
        typer.echo(main(preset=preset, out=out or Path("runs/llm"), resume=resume))


@train.command("speecht5")
def train_speecht5(
    preset: Preset = "starter",
    data: DataDir = Path("data"),
    part: Annotated[str, typer.Option(help="acoustic, vocoder, or voice: both put together")] = (
        "acoustic"
    ),
    asr: Annotated[str, typer.Option(help="recogniser that listens to samples")] = "starter/asr",
    out: OutDir = None,
    start: Annotated[str | None, typer.Option(help="weights address to start from")] = None,
    dry_run: Annotated[bool, typer.Option(help="say what the run will take, and end")] = False,
    tensorboard: Annotated[bool, typer.Option(help="write TensorBoard's files, too")] = False,
    dnsmos: Annotated[bool, typer.Option(help="rate samples where speechmos is installed")] = True,
    resume: Resume = False,
) -> None:
    """The cascade's voice: SpeechT5 in the agent's four voices, and its vocoder."""
    from models.espeak import EspeakMissing
    from models.speecht5_layout import SpeechT5Invalid
    from models.weights import WeightsMissing, resolve
    from training.corpus import DataMissing
    from training.speecht5 import main

    with user_errors(
        ValueError, FileNotFoundError, DataMissing, WeightsMissing, EspeakMissing, SpeechT5Invalid
    ):
        typer.echo(
            main(
                preset=preset,
                data=data,
                out=out or Path("runs/speecht5"),
                part=part,  # pyright: ignore[reportArgumentType]  (checked there)
                asr=None if part == "voice" else resolve(asr),
                start=start,
                rate=_dnsmos() if dnsmos and not dry_run and part != "voice" else None,
                tensorboard=tensorboard,
                dry_run=dry_run,
                resume=resume,
            )
        )


def _dnsmos() -> "Rater | None":
    """The bench's predictor of ratings, so that recipes need not know the bench."""
    from benchmarks.sound.dnsmos import Dnsmos, DnsmosMissing

    try:
        predictor = Dnsmos.load()
    except DnsmosMissing as missing:
        typer.echo(missing, err=True)
        return None

    def rate(pcm: "np.ndarray") -> dict[str, float]:
        found = predictor.predict(pcm)
        return {"dnsmos": found.ovrl, "dnsmos_sig": found.sig} if found else {}

    return rate


@train.command("codec")
def train_codec(
    preset: Preset = "starter",
    data: DataDir = Path("data"),
    asr: Annotated[str, typer.Option(help="recogniser whose encoder is distilled")] = "starter/asr",
    out: OutDir = None,
    resume: Resume = False,
) -> None:
    """The neural codec of the speech-to-speech engine: a small Mimi on synthetic speech."""
    from models.codec import CodecError
    from models.espeak import EspeakMissing
    from models.weights import WeightsMissing, resolve
    from training.codec import main
    from training.corpus import DataMissing

    with user_errors(
        ValueError, FileNotFoundError, DataMissing, WeightsMissing, CodecError, EspeakMissing
    ):
        typer.echo(
            main(
                preset=preset,
                data=data,
                asr=resolve(asr),
                out=out or Path("runs/codec"),
                resume=resume,
            )
        )


@train.command("moshi")
def train_moshi(
    preset: Annotated[
        str,
        typer.Option(help="starter, starter-more, starter-gpu, gpu, hub (LoRA on the 7B) or tiny"),
    ] = "starter",
    data: DataDir = Path("data"),
    codec: Annotated[str, typer.Option(help="weights address of the codec")] = "starter/codec",
    dialogues: Annotated[
        Path | None, typer.Option(help="manifest of a stereo dataset, instead of synthetic ones")
    ] = None,
    base: Annotated[str | None, typer.Option(help="weights address to start from")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="of training at most, for a rented GPU")
    ] = None,
    out: OutDir = None,
    resume: Resume = False,
) -> None:
    """The speech-to-speech model: a Moshi on full-duplex Telugu dialogues, whole or by LoRA."""
    from models.weights import WeightsMissing
    from training.corpus import DataMissing
    from training.moshi import main

    with user_errors(ValueError, FileNotFoundError, DataMissing, WeightsMissing):
        typer.echo(
            main(
                preset=preset,
                data=data,
                codec=codec,
                dialogues=dialogues,
                base=base,
                minutes=minutes,
                out=out or Path("runs/moshi"),
                resume=resume,
            )
        )


@data.command("dialogues")
def data_dialogues(
    out: Path,
    count: Annotated[int, typer.Option(help="dialogues")] = 1000,
    seed: int = 0,
    seconds: Annotated[float, typer.Option(help="the longest a dialogue may be")] = 30.0,
    held_out: Annotated[bool, typer.Option(help="wordings and voices that never train")] = False,
    processes: int = 2,
) -> None:
    """Full-duplex dialogues as stereo WAVs and word times, in moshi-finetune's format."""
    from models.espeak import EspeakMissing
    from training.duplex_dataset import make

    with user_errors(ValueError, FileNotFoundError, EspeakMissing):
        typer.echo(make(out, count, seed, seconds, held_out, processes))
