"""`maata call`: a headless call from the command line, and its one line of JSON.

Turns files and flags into utterances and an address, places the call, writes `call.wav` and
`events.jsonl`, and says what happened: progress and reasons on stderr, the result as the last line
of stdout. Knows nothing about the wire.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from benchmarks.caller.caller import Call, place_call
from benchmarks.caller.line import Refused
from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE
from benchmarks.ruler.recording import Turn, Utterance
from benchmarks.server.info import fetch_info, http_base
from models.audio import AudioError, read_wav, to_int16

ANSWERED, UNANSWERED, USAGE = 0, 1, 2  # exit codes
LATE_MS = 20.0  # a packet this far behind its deadline: the caller's machine, not the server
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


class BadAddress(ValueError):
    """What was given is no address of a server; the sentence shows a right one."""


@dataclass(frozen=True)
class Outcome:
    """A call and its files."""

    call: Call
    turns: list[Turn]
    stereo: Path

    @property
    def answered(self) -> bool:
        return bool(self.turns) and all(turn.answered for turn in self.turns)


def call_url(
    url: str,
    *,
    engine: str | None = None,
    voice: str | None = None,
    emotion: str | None = None,
    token: str | None = None,
) -> str:
    """The `ws://host:port/ws?…` behind `http(s)://…`, `ws(s)://…` or a bare `host:port`.

    Raises:
        BadAddress: no host, or a scheme that is not spoken here.
    """
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    try:
        host = parts.hostname and (parts.port or True)
    except ValueError as e:
        raise BadAddress(f"{url!r}: {e}; write http://127.0.0.1:7860") from e
    if parts.scheme not in SCHEMES or not host:
        raise BadAddress(f"{url!r} is no server address; write http://127.0.0.1:7860")
    given = {"engine": engine, "voice": voice, "emotion": emotion, "token": token}
    query = dict(parse_qsl(parts.query)) | {k: v for k, v in given.items() if v is not None}
    path = parts.path if parts.path not in ("", "/") else "/ws"
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, urlencode(query), ""))


def load_utterance(path: Path) -> Utterance:
    """One turn from a WAV of any rate and channel count.

    Raises:
        AudioError: the file cannot be used.
    """
    return Utterance(str(path), to_int16(read_wav(path, IN_RATE)))


def run_call(
    url: str,
    wavs: list[Path],
    *,
    engine: str | None = None,
    voice: str | None = None,
    emotion: str | None = None,
    token: str | None = None,
    out: Path | None = None,
    manners: Manners | None = None,
) -> int:
    """Places one call, one turn a WAV, and prints its JSON line; returns the exit code.

    0: every turn was answered. 1: one was not, or the call broke off (the files are there).
    2: wrong arguments or a refusal, with one sentence on stderr; JSON only if the refusal came
    after the call had begun.
    """
    try:
        address = call_url(url, engine=engine, voice=voice, emotion=emotion, token=token)
        if not wavs:
            raise AudioError("nothing to say: give at least one --wav FILE")
        utterances = [load_utterance(Path(wav)) for wav in wavs]
        directory = out or Path("calls") / time.strftime("%Y%m%d-%H%M%S")
        directory.mkdir(parents=True, exist_ok=True)
        engine = engine or fetch_info(http_base(address)).get("default_engine")
        outcome = asyncio.run(_until_ctrl_c(address, utterances, directory, manners))
    except (BadAddress, AudioError, Refused) as e:
        return _fail(str(e))
    except OSError as e:
        return _fail(f"cannot write the recording: {e}; choose another --out")
    _explain(outcome, utterances)
    print(json.dumps(summary(outcome, engine), ensure_ascii=False), flush=True)
    if outcome.call.refused:
        return USAGE
    return ANSWERED if outcome.answered and not outcome.call.ended else UNANSWERED


def _say(line: str) -> None:
    print(f"maata call: {line}", file=sys.stderr, flush=True)


async def record(
    address: str,
    utterances: list[Utterance],
    out: Path,
    manners: Manners | None = None,
    *,
    progress: Callable[[str], None] = _say,
    hang_up: asyncio.Event | None = None,
) -> Outcome:
    """Places the call and writes its files into `out`.

    Raises:
        Refused: the call never began.
        OSError: `out` cannot be written.
    """
    call = await place_call(address, utterances, manners, progress=progress, hang_up=hang_up)
    # Off the event loop: other calls of this process may still be sending their 20 ms packets.
    return await asyncio.to_thread(_finish, call, out)


async def _until_ctrl_c(
    address: str, utterances: list[Utterance], out: Path, manners: Manners | None
) -> Outcome:
    """`record`, which Ctrl-C ends like a call: hung up, with its files written."""
    hang_up = asyncio.Event()
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hang_up.set)
    return await record(address, utterances, out, manners, hang_up=hang_up)


def _finish(call: Call, out: Path) -> Outcome:
    turns = call.recording.turns()
    for turn in turns:
        call.recording.events.append({"event": "measured", **vars(turn)})
    return Outcome(call, turns, call.recording.save(out, call.user))


def summary(outcome: Outcome, engine: str | None) -> dict[str, object]:
    """The JSON object of the contract."""
    keys = ("wav", "user_end_ms", "bot_start_ms", "v2v_ms", "user_text", "bot_text")
    return {
        "engine": engine,
        "turns": [{key: getattr(turn, key) for key in keys} for turn in outcome.turns],
        "underruns": len(outcome.call.recording.playback.underruns),
        "stereo": str(outcome.stereo),
    }


def _explain(outcome: Outcome, utterances: list[Utterance]) -> None:
    for n, turn in enumerate(outcome.turns, 1):
        delay = "no answer" if turn.v2v_ms is None else f"{turn.v2v_ms:.0f} ms"
        _say(f"turn {n}: {delay} | you: {turn.user_text or '…'} | bot: {turn.bot_text or '…'}")
        if turn.user_end_ms is None:
            _say(f"turn {n}: nothing is audible in {turn.wav}, so there is no latency to measure")
    if outcome.call.malformed:
        _say(f"{outcome.call.malformed} messages of the server were malformed; see events.jsonl")
    worst = max(outcome.call.late_ms, default=0.0)
    if worst > LATE_MS:
        _say(f"this machine sent up to {worst:.0f} ms late: the latencies include its own delay")
    if outcome.call.ended:
        missing = len(utterances) - sum(turn.answered for turn in outcome.turns)
        _say(f"{outcome.call.ended}; {missing} of {len(utterances)} turns unanswered")


def _fail(sentence: str) -> int:
    _say(sentence)
    return USAGE
