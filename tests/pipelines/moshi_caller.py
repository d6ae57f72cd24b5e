"""Callers in Moshi's protocol: the installed `moshi.client` with a sound card in memory."""

import argparse
import asyncio
import io
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import sphn

RATE, FRAME = 24_000, 1_920


def opus(pcm: np.ndarray) -> list[bytes]:
    """Ogg bytes of each 80 ms."""
    writer = sphn.OpusStreamWriter(RATE)
    return [writer.append_pcm(pcm[i : i + FRAME]) for i in range(0, len(pcm), FRAME)]


class SoundCard:
    """What the client uses of `sounddevice`: a microphone that plays, a speaker that records."""

    def __init__(self, speech: np.ndarray) -> None:
        self._speech = speech
        self.recorded: list[list[np.ndarray]] = []  # of each speaker, blocks of 80 ms

    def InputStream(self, *, callback: Callable[..., None], **format: Any) -> "Device":
        def speak(block: int) -> None:
            pcm = self._speech[block * FRAME : (block + 1) * FRAME]
            callback(np.pad(pcm, (0, FRAME - len(pcm)))[:, None], FRAME, None, None)

        return Device(speak, **format)

    def OutputStream(self, *, callback: Callable[..., None], **format: Any) -> "Device":
        recording: list[np.ndarray] = []
        self.recorded.append(recording)

        def listen(block: int) -> None:
            pcm = np.empty((FRAME, 1), dtype=np.float32)
            callback(pcm, FRAME, None, None)
            recording.append(pcm[:, 0])

        return Device(listen, **format)

    def heard(self, speaker: int = 0) -> np.ndarray:
        """What came, without the blocks of silence that the client plays when nothing has."""
        blocks = [block for block in self.recorded[speaker] if block.any()]
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


class Device:
    """A clock that calls back once a block, on a thread as PortAudio's does."""

    def __init__(
        self, turn: Callable[[int], None], *, samplerate: float, channels: int, blocksize: int
    ) -> None:
        assert (samplerate, channels, blocksize) == (RATE, 1, FRAME)
        self._turn = turn
        self._off = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        start = time.monotonic()
        for block in count():
            if self._off.wait(max(0.0, start + block * FRAME / RATE - time.monotonic())):
                return
            self._turn(block)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._off.set()
        self._thread.join()


class StockClient:
    """`python -m moshi.client --port …` in this process, on the sound card given."""

    def __init__(self, client: ModuleType, card: SoundCard, port: int) -> None:
        self.card = card
        self._out, self._log = io.StringIO(), io.StringIO()
        printer = client.RawPrinter(self._out, self._log)
        args = argparse.Namespace(host="127.0.0.1", port=port, https=False, url=None)
        self.running = asyncio.create_task(client.run(printer, args))

    @property
    def text(self) -> str:
        return self._out.getvalue()

    @property
    def log(self) -> str:
        return self._log.getvalue()

    async def hang_up(self) -> None:
        """As Ctrl-C does."""
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
