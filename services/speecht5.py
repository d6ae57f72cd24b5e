"""SpeechT5 behind the TTS interface: a host process speaks, espeak-ng stands in where it cannot.

The model is eager torch and lives in a process of its own; its door is asynchronous, the interface
is not, so one thread keeps the door and hands sound over. Knows nothing of how speech is made.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
from loguru import logger
from pipecat.processors.frameworks.rtvi.frames import RTVIServerMessageFrame

from models.audio import resample
from models.host import EngineSpec, Host, HostHealth
from models.host_client import HostError, Stream, StreamRefused
from models.telugu.spoken import speakable
from models.upsample import DOWN, OUT_RATE, Upsampler
from models.voices import EMOTIONS, VOICES
from services.offload import iterate
from services.speech import SpeechService, Synthesizer

FACTORY = "models.speecht5_host:load"
VOICE, STAND_IN = "SpeechT5", "espeak-ng"
_LOOK = 0.02  # seconds between two looks at whether to stop
_SILENT = 5.0  # seconds without sound after which a stream is given up

Replaced = Callable[[str], None]  # told why, when the stand-in takes over


class SpeechT5Synthesizer:
    """A voice engine for all calls of a server; `start` before the first, `close` after the last.

    24 kHz, so that nothing behind it resamples: the model's 16 kHz gain a millisecond on the way.
    """

    sample_rate = OUT_RATE

    def __init__(self, engine: EngineSpec | str, *, stand_in: Synthesizer | None = None) -> None:
        """`engine` is what the host loads, or the address of one; `stand_in` speaks instead."""
        self._engine, self._stand_in = engine, stand_in
        self._host: Host | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="speecht5", daemon=True)
        self.replaced = 0  # texts, or rests of them, that the stand-in said

    def start(self, patience: float = 120.0) -> None:
        """Starts the host; returns when the voice is loaded. Blocks.

        Raises:
            HostLost: it could not be loaded; the sentence says why. The host goes on trying.
        """
        self._thread.start()
        self._run(self._start()).result(patience)

    def close(self) -> None:
        """Ends the host and the thread."""
        if self._host is not None:
            self._run(self._host.close()).result(10.0)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5.0)
        if not self._loop.is_running():
            self._loop.close()

    @property
    def health(self) -> HostHealth | None:
        """Of the host process; None before `start`."""
        return self._host.health if self._host else None

    def stream(
        self,
        text: str,
        voice: str,
        emotion: str = "neutral",
        *,
        rate: float = 1.0,
        pitch: float = 1.0,
        stop: threading.Event | None = None,
        replaced: Replaced | None = None,
    ) -> Iterator[np.ndarray]:
        """int16 pieces at 24 kHz as they are made; ends within one of `stop` being set.

        Where the model is away or loses its place, the stand-in says the rest, from the first word
        that was not heard whole, and `replaced` is told why. Raises ValueError for an unknown voice
        or emotion, HostError when there is nobody to stand in.
        """
        known = (voice, [v.id for v in VOICES]), (emotion, EMOTIONS)
        for name, names in known:
            if name not in names:
                raise ValueError(f"Unknown voice or emotion '{name}'; one of {', '.join(names)}.")
        return self._pieces(text, voice, emotion, rate, pitch, stop or threading.Event(), replaced)

    def _pieces(
        self,
        text: str,
        voice: str,
        emotion: str,
        rate: float,
        pitch: float,
        stop: threading.Event,
        replaced: Replaced | None,
    ) -> Iterator[np.ndarray]:
        said = speakable(text)
        if not said:
            return
        options = {"text": said, "voice": voice, "emotion": emotion, "rate": rate, "pitch": pitch}
        spoken = _Spoken()
        try:
            yield from self._hosted(options, stop, spoken)
        except HostError as error:
            if self._stand_in is None or stop.is_set():
                raise
            self.replaced += 1
            logger.warning("SpeechT5 did not speak ({}); {} does", error, STAND_IN)
            if replaced:
                replaced(f"{VOICE}: {error}")
            rest = " ".join(said.split()[spoken.words :])
            chunks = self._stand_in.stream(rest, voice, emotion, rate=rate, pitch=pitch, stop=stop)
            whole = list(chunks)  # a clause takes espeak 2 ms
            if whole and not stop.is_set():
                pcm = np.concatenate(whole).astype(np.float32)
                made = resample(pcm, self._stand_in.sample_rate, OUT_RATE)
                yield np.clip(np.rint(made), -32768, 32767).astype(np.int16)

    def _hosted(
        self, options: dict[str, Any], stop: threading.Event, spoken: "_Spoken"
    ) -> Iterator[np.ndarray]:
        pieces: queue.SimpleQueue[np.ndarray | BaseException | None] = queue.SimpleQueue()
        pump = self._run(self._pump(options, pieces, spoken))
        upsampler = Upsampler()
        waited = 0.0
        try:
            while not stop.is_set():
                try:
                    piece = pieces.get(timeout=_LOOK)
                except queue.Empty:
                    waited += _LOOK
                    if waited > _SILENT:
                        raise HostError(f"no sound for {_SILENT:g} s") from None
                    continue
                waited = 0.0
                if isinstance(piece, BaseException):
                    raise piece
                if piece is None:
                    # What the filter still holds: its delay, in samples at 16 kHz.
                    yield upsampler.push(np.zeros(upsampler.delay + DOWN, np.int16))
                    return
                yield upsampler.push(piece)
        finally:
            pump.cancel()  # closes the stream, and so ends the work in the host

    async def _pump(
        self, options: dict[str, Any], pieces: queue.SimpleQueue, spoken: "_Spoken"
    ) -> None:
        """Opens a stream and hands its sound to the thread that waits."""
        stream: Stream | None = None
        try:
            assert self._host is not None
            stream = await self._host.open(options)
            async for chunk in stream:
                pieces.put(np.frombuffer(chunk.pcm, "<i2"))
            pieces.put(None)
        except HostError as error:
            if stream is not None:
                spoken.words = int(stream.counters.get("words", 0.0))
            # A text that no host takes is the caller's mistake, not the host's.
            refused = isinstance(error, StreamRefused) and error.retry_after is None
            pieces.put(ValueError(str(error)) if refused else error)
        finally:
            if stream is not None:
                await stream.close()

    async def _start(self) -> None:
        self._host = Host(self._engine)
        self._host.start()
        await self._host.wait_ready()

    def _run(self, work) -> Future:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class _Spoken:
    """How many words of a text were heard before its stream broke."""

    words = 0


class SpeechT5Service(SpeechService):
    """Speaks clauses with SpeechT5, and says on the page when another voice stands in for it."""

    def __init__(self, synthesizer: SpeechT5Synthesizer, **settings: Any) -> None:
        """As SpeechService."""
        super().__init__(synthesizer, **settings)
        self._speecht5 = synthesizer
        self._stood_in = False  # whether the page shows the other voice

    async def _pcm(self, text: str) -> AsyncIterator[bytes]:
        reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
        chunks = iterate(
            lambda stop: self._speecht5.stream(
                text,
                self.voice,
                self.emotion,
                rate=self._rate,
                pitch=self._pitch,
                stop=stop,
                replaced=reasons.put,
            )
        )
        replaced = False  # in this clause
        try:
            async for chunk in chunks:
                if not reasons.empty():
                    await self._tell(stood_in=True, reason=reasons.get())
                    replaced = True
                elif self._stood_in and not replaced:
                    await self._tell(stood_in=False)
                yield chunk.astype("<i2", copy=False).tobytes()
        finally:
            await chunks.aclose()

    async def _tell(self, *, stood_in: bool, reason: str = "") -> None:
        """Which voice answers now, for the page."""
        self._stood_in = stood_in
        name = STAND_IN if stood_in else VOICE
        told = {"type": "voice", "id": name, "fallback": stood_in, "reason": reason}
        await self.push_frame(RTVIServerMessageFrame(told))
