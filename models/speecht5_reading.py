"""A process that reads aloud what it is told and says how that went: for those who measure.

    python -m models.speecht5_reading '{"model": "starter/tts", "threads": 1}'

The argument is what `speecht5_host.load` takes; speech is made in a host process as it is when
served, or in the one at the `address` among the options, and timed from outside it. On stdin a
line of JSON is a task:

    {"read": [{"id", "text", "voice", "emotion", "seed"}, ...], "folder": DIR}   all at once
    {"watch": [{"text", "voice", "emotion", "seed"}, ...]}            `speecht5_margins`

For each the process writes lines `{"row": {...}}`, then `{"done": true}` or `{"failed": "why"}`.
Rows of `read` name a WAV in the folder, which must be there. Knows nothing of texts, of judges or
of files of rows.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.audio import write_wav
from models.host import EngineSpec, Host
from models.host_client import HostError, Stream
from models.speecht5_clauses import WORDS
from models.speecht5_mel import SAMPLE_RATE
from models.weights import WeightsMissing, resolve

if TYPE_CHECKING:
    from models.speecht5_layout import SpeechT5Parts

FACTORY = "models.speecht5_host:load"
Row = dict[str, Any]


class Reading:
    """A voice in its host process, from `start` to `close`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._host = Host(options.get("address") or EngineSpec(FACTORY, options))
        self._parts: SpeechT5Parts | None = None  # for `watch`, which needs no host

    async def start(self) -> None:
        """Raises HostLost with the reason when it cannot be loaded."""
        self._host.start()
        await self._host.wait_ready()

    async def close(self) -> None:
        """Ends the host."""
        await self._host.close()

    async def run(self, task: Row) -> AsyncIterator[Row]:
        """The rows of one task. Raises ValueError for one that is none, HostError."""
        if "read" in task:
            folder = Path(task["folder"])
            for row in await asyncio.gather(*(self._read(t, folder) for t in task["read"])):
                yield row
        elif "watch" in task:
            for row in self._watch(task["watch"]):
                yield row
        else:
            raise ValueError("a task is 'read' or 'watch'")

    def _watch(self, texts: list[Row]) -> Iterator[Row]:
        # torch takes seconds to import, and reading aloud needs none of it here.
        from models.speecht5_layout import load
        from models.speecht5_margins import Text, decode

        self._parts = self._parts or load(resolve(self._options["model"]))
        words = int(self._options.get("words", WORDS))
        yield from decode(self._parts, [Text(**text) for text in texts], words=words)

    async def _read(self, text: Row, folder: Path) -> Row:
        """One text, heard to its end: when each piece came, in ms from the asking."""
        options = {k: text[k] for k in ("text", "voice", "emotion", "seed")}
        asked = time.perf_counter()
        stream = await self._host.open(options)
        pieces: list[np.ndarray] = []
        came: list[float] = []
        fault = await _hear(stream, pieces, came, asked)
        await stream.settled()
        pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
        wav = folder / f"{text['id']}.wav"
        await asyncio.to_thread(write_wav, wav, pcm, SAMPLE_RATE)  # others are being timed
        return {
            "id": text["id"],
            "wav": str(wav),
            "rate": SAMPLE_RATE,
            "pieces": [len(piece) for piece in pieces],
            "came_ms": [round(ms, 2) for ms in came],
            "retries": int(stream.counters.get("retries", 0.0)),
            "fault": fault,
        }


async def _hear(stream: Stream, pieces: list[np.ndarray], came: list[float], asked: float) -> str:
    """Fills both lists; returns why the stream broke, if it did."""
    try:
        async for chunk in stream:
            came.append((time.perf_counter() - asked) * 1000.0)
            pieces.append(np.frombuffer(chunk.pcm, "<i2"))
    except HostError as error:
        return str(error) or type(error).__name__
    return ""


async def serve(options: dict[str, Any], answers) -> int:
    """Tasks from stdin until it closes."""
    reading = Reading(options)

    def say(told: Row) -> None:
        answers.write(json.dumps(told, ensure_ascii=False) + "\n")

    try:
        await reading.start()
        say({"done": True})  # it is loaded
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                async for row in reading.run(json.loads(line)):
                    say({"row": row})
                say({"done": True})
            except (ValueError, HostError, WeightsMissing) as error:
                say({"failed": str(error)})
    except HostError as error:
        say({"failed": str(error)})
        return 1
    finally:
        await reading.close()
    return 0


def main() -> int:
    """The command."""
    # Libraries print; the protocol keeps the real stdout for itself.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return asyncio.run(serve(json.loads(sys.argv[1]), answers))


if __name__ == "__main__":
    sys.exit(main())
