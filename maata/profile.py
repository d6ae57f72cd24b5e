"""A profile: one TOML file, parsed once at the edge, that says what a call runs on.

It names the engine, every model by address, devices, voices, turn timing and limits. Knows nothing
of how any of it is loaded: a wrong word in a profile is caught here, missing weights are caught by
whoever loads them.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROFILES = Path(__file__).parent / "profiles"
ENV_PREFIX = "MAATA_"
# Variables with the prefix that are not settings of a profile.
ENV_RESERVED = {
    "MAATA_WEIGHTS",
    "MAATA_CACHE",
    "MAATA_DATA",
    "MAATA_TOKEN",
    "MAATA_LOG_LEVEL",
    "MAATA_LOG_JSON",
}

Engine = Literal["cascade", "s2s"]


class ProfileError(Exception):
    """A setting that cannot be used; the sentence names the key and the remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AsrSettings(_Section):
    """The recogniser of the cascade."""

    model: str = "starter/asr"
    device: Literal["cpu", "cuda"] = "cpu"
    compute_type: str = "int8"
    threads: int = Field(default=2, ge=1, le=64)
    interim_ms: int = Field(default=600, ge=0, le=5000)  # 0: no transcripts while the user speaks


class LlmSettings(_Section):
    """The language model of the cascade: in this process or behind an OpenAI-style address."""

    backend: Literal["ctranslate2", "openai"] = "ctranslate2"
    model: str = "starter/llm"
    device: Literal["cpu", "cuda"] = "cpu"
    compute_type: str = "int8"
    threads: int = Field(default=1, ge=1, le=64)
    base_url: str = ""  # of the OpenAI-compatible server, up to and including /v1
    api_key_env: str = ""  # name of the variable that holds the key; the key itself never here
    max_tokens: int = Field(default=96, ge=1, le=4096)
    temperature: float = Field(default=0.0, ge=0, le=2)
    memory_turns: int = Field(default=10, ge=1, le=200)
    system_prompt: str = ""  # {time} and {date} are filled in, in Telugu words, at every turn


class TtsSettings(_Section):
    """The voice of the cascade."""

    engine: Literal["espeak", "speecht5"] = "espeak"
    model: str = "starter/tts"  # of speecht5: a directory as on the hub
    vocoder: str = ""  # of speecht5: another directory; empty: the one beside the model
    device: Literal["cpu", "cuda"] = "cpu"  # of speecht5
    threads: int = Field(default=1, ge=1, le=64)  # of its host process, on a CPU
    rows: int = Field(default=8, ge=1, le=256)  # clauses decoded together
    words: int = Field(default=6, ge=1, le=20)  # of a clause, as it was trained
    rate: float = Field(default=1.0, ge=0.5, le=2.0)
    pitch: float = Field(default=1.0, ge=0.5, le=2.0)


class TurnSettings(_Section):
    """When the user's turn begins and ends. Silero decides speech, Smart Turn the end of a turn."""

    vad_confidence: float = Field(default=0.7, ge=0, le=1)
    vad_start_ms: int = Field(default=96, ge=32, le=2000)
    vad_stop_ms: int = Field(default=200, ge=32, le=2000)
    vad_min_volume: float = Field(default=0.6, ge=0, le=1)
    smart_turn: bool = True
    hold_ms: int = Field(
        default=700, ge=100, le=10000
    )  # silence that ends a turn whatever the model says


class CascadeSettings(_Section):
    """The models of the cascade engine."""

    asr: AsrSettings = AsrSettings()
    llm: LlmSettings = LlmSettings()
    tts: TtsSettings = TtsSettings()
    turns: TurnSettings = TurnSettings()


class S2sSettings(_Section):
    """The speech-to-speech engine: one full-duplex model, many calls a step."""

    model: str = "starter/s2s"  # a directory as Moshi's on the hub: config, weights, tokenizer
    codec: str = "starter/codec"  # empty: the codec that lies in the model's own directory
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    threads: int = Field(default=1, ge=1, le=64)  # of the host process, on a CPU
    slots: int = Field(default=8, ge=1, le=256)  # calls stepped together
    budget_ms: float = Field(default=64, gt=0, le=80)  # the most the p99 of a step may take
    temperature: float = Field(default=0.8, ge=0, le=2)  # 0: the likeliest tokens
    temperature_text: float = Field(default=0.7, ge=0, le=2)
    temperature_padding: float | None = Field(default=None, gt=0, le=2)
    top_k: int = Field(default=250, ge=1)
    top_k_text: int = Field(default=25, ge=1)
    adapters: dict[str, str] = {}  # name -> address; chosen per call
    fuse: str = ""  # name of the adapter merged into the model, for all calls
    adapter: str = ""  # the one a caller gets who chose none
    captions: str = "starter/asr"  # writes what the caller says, off the audio's way; empty: none
    caption_interim_ms: int = Field(default=0, ge=0, le=5000)
    fallback: Literal["", "cascade"] = ""  # who answers when every place is taken
    address: str = ""  # of a host that serves the model already, as tcp://127.0.0.1:PORT; `model`
    # then only says what its text tokens mean (empty: no captions)


class VoiceSettings(_Section):
    """What a caller hears who chose nothing."""

    default: str = "priya"
    emotion: str = "neutral"


class LimitSettings(_Section):
    """Bounds that keep one caller from harming the others."""

    max_calls: int = Field(default=8, ge=1, le=1000)
    max_call_minutes: float = Field(default=60, gt=0, le=24 * 60)
    idle_minutes: float = Field(default=10, gt=0, le=24 * 60)
    max_message_kb: int = Field(default=64, ge=4, le=1024)
    drain_seconds: float = Field(default=10, ge=0, le=600)


class ServerSettings(_Section):
    """Where the server listens and whom it answers."""

    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)
    allowed_origins: list[str] = []  # empty: the page's own origin only
    token_env: str = "MAATA_TOKEN"  # when that variable is set, /ws asks for its value
    metrics_port: int = Field(default=0, ge=0, le=65535)  # 0: /metrics on the main port
    metrics_host: str = "127.0.0.1"
    traces: str = ""  # of an OTLP/HTTP collector, as http://127.0.0.1:4318; empty: no traces


class Profile(_Section):
    """Everything `maata serve` needs to know."""

    name: str = "starter"
    engine: Engine = "cascade"
    engines: list[Engine] = ["cascade"]
    cascade: CascadeSettings = CascadeSettings()
    s2s: S2sSettings = S2sSettings()
    voice: VoiceSettings = VoiceSettings()
    limits: LimitSettings = LimitSettings()
    server: ServerSettings = ServerSettings()


def load_profile(name: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """Read a profile and lay the environment's and the caller's overrides over it.

    Args:
        name: a shipped profile's name, or the path of a TOML file.
        overrides: dotted keys to values, strings as typed on a command line.

    Raises:
        ProfileError: no such profile, unknown key or wrong type.
    """
    table = _read(name)
    chosen = {**_environment(), **(overrides or {})}
    for key, value in chosen.items():
        _lay(table, key, value)
    # Who asks for an engine by name has it beside those of the profile.
    if "engine" in chosen and "engines" not in chosen:
        listed = table.get("engines", ["cascade"])
        table["engines"] = [*listed, *({chosen["engine"]} - {*listed})]
    try:
        return Profile.model_validate(table)
    except ValidationError as e:
        raise ProfileError(_sentence(name, e)) from e


def profile_names() -> list[str]:
    """The names of the shipped profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not path.is_file():
        raise ProfileError(
            f"no profile {name!r}: choose {', '.join(profile_names())} or give the path of a .toml"
        )
    try:
        return {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ProfileError(f"{path} is no valid TOML: {e}") from e


def _environment() -> dict[str, str]:
    """`MAATA_LIMITS__MAX_CALLS=4` is `limits.max_calls = 4`."""
    return {
        key.removeprefix(ENV_PREFIX).lower().replace("__", "."): value
        for key, value in os.environ.items()
        if key.startswith(ENV_PREFIX) and key not in ENV_RESERVED
    }


def _lay(table: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ProfileError(f"{key}: {parent} is a value, not a section")
    table[leaf] = _toml_value(value) if isinstance(value, str) else value


def _toml_value(text: str) -> Any:
    """`4`, `true` and `["a"]` as TOML reads them; anything else is the string itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(name: str, error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(key, _keys(Profile), n=1, cutoff=0.4)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return f"profile {name}: unknown key {key}{hint}"
    return f"profile {name}: {key} = {first['input']!r}: {first['msg'].lower()}"


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for field, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _keys(kind, f"{prefix}{field}.")
        keys.append(prefix + field)
    return keys
