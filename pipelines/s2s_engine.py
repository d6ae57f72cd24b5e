"""The speech-to-speech engine of a server: one model in a host process, shared by all its calls.

Starts and watches the host, and opens a stream for each call, which is where a call is admitted or
refused. Knows the model by its weights' addresses and text pieces, nothing of how it steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maata.profile import Profile, S2sSettings
from models import weights
from models.host import EngineSpec, Host, HostHealth
from models.host_client import Stream
from models.host_messages import Option
from models.whisper import Recognizer
from pipelines.request import CallRequest
from services.turns import TurnModels

CONDITIONS = frozenset(("voice", "emotion"))
FACTORY = "models.duplex_load:load"


@dataclass(frozen=True)
class S2sModels:
    """What a server knows of its speech-to-speech model."""

    spec: EngineSpec | str  # what the host process loads, or the address of one that has
    pieces: Sequence[bytes]  # UTF-8 of every text token
    turns: TurnModels
    recognizer: Recognizer | None  # writes what callers say
    conditions: frozenset[str] = (
        CONDITIONS  # of voice and emotion, those the model was trained with
    )


class S2sEngine:
    """The engine on one event loop, from `start` to `close`."""

    def __init__(
        self,
        models: S2sModels,
        settings: S2sSettings,
        *,
        host: Callable[[EngineSpec | str], Host] = Host,
    ) -> None:
        """Nothing runs before `start`."""
        self.pieces = models.pieces
        self.turns = models.turns
        self.recognizer = models.recognizer
        self._conditions = models.conditions
        self._settings = settings
        self._host = host(models.spec)

    async def start(self) -> None:
        """Starts the host and returns when its model is loaded.

        Raises:
            HostLost: it could not be; the sentence says why. The host goes on trying.
        """
        self._host.start()
        await self._host.wait_ready()

    async def open(self, request: CallRequest) -> Stream:
        """A stream for one call.

        Raises:
            StreamRefused: no place, or the model lacks the voice, emotion or adapter.
            HostLost: the host is starting or gone.
        """
        return await self._host.open(self.options(request))

    def options(self, request: CallRequest) -> dict[str, Option]:
        """A caller's choices as options of a stream (`models.duplex_streams`).

        A model without voices (the published ones) has nothing to choose, and is not asked to.
        """
        chosen = {"voice": request.voice, "emotion": request.emotion, "adapter": request.adapter}
        known = self._conditions | {"adapter"}
        return {name: value for name, value in chosen.items() if value and name in known}

    @property
    def health(self) -> HostHealth:
        """Of the host process."""
        return self._host.health

    @property
    def host(self) -> Host:
        """For whoever speaks another protocol to the same model."""
        return self._host

    async def close(self) -> None:
        """Ends all streams and the host process."""
        await self._host.close()


def spec(profile: Profile) -> EngineSpec | str:
    """What the host loads for a profile.

    Raises:
        WeightsMissing: a model, codec or adapter is not on this machine.
    """
    s2s = profile.s2s
    if s2s.address:
        return s2s.address
    return EngineSpec(
        FACTORY,
        {
            "model": str(weights.resolve(s2s.model)),
            "codec": str(weights.resolve(s2s.codec)) if s2s.codec else "",
            "device": s2s.device,
            "dtype": s2s.dtype,
            "threads": s2s.threads,
            "slots": s2s.slots,
            "budget": s2s.budget_ms / 1000,
            "temperature": s2s.temperature,
            "temperature_text": s2s.temperature_text,
            "temperature_padding": s2s.temperature_padding,
            "top_k": s2s.top_k,
            "top_k_text": s2s.top_k_text,
            "adapters": {name: str(weights.resolve(a)) for name, a in s2s.adapters.items()},
            "fuse": s2s.fuse,
        },
    )


def text_pieces(address: str) -> list[bytes]:
    """UTF-8 of every text token of a model; none for a host whose model has no words.

    Raises:
        WeightsMissing, TokenizerInvalid: the directory or its tokenizer is not there, or none.
    """
    if not address:
        return []
    # Here, and not above: the core runs without the moshi package that reads the directory.
    from models.moshi_checkpoint import read
    from models.moshi_text import MoshiText

    return MoshiText.load(Path(read(weights.resolve(address)).tokenizer)).pieces


def conditions(address: str) -> frozenset[str]:
    """Of voice and emotion, those that a model was trained with; both of a host's unknown one.

    Raises:
        WeightsMissing, CheckpointInvalid: the directory is not there, or no Moshi's.
    """
    if not address:
        return CONDITIONS
    from models.moshi_checkpoint import read

    config = read(weights.resolve(address)).lm_config or {}
    return CONDITIONS & set(config.get("conditioners") or {})
