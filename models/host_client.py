"""The front's side of a host's door: streams as async iterators, and a named error for each ill.

One connection carries all streams of a process. Knows nothing of engines, nor of how the host came
to be (`models.host` starts and restarts one). Everything is async; nothing here blocks the loop.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import msgspec
import zmq
import zmq.asyncio

from models import host_messages as m

log = logging.getLogger(__name__)

PING_EVERY = 1.0  # seconds
SILENCE = 10.0  # seconds without a word from the host before it counts as hung
UNREAD = 250  # chunks a stream may hold for its reader: 20 s of 80 ms frames
SEND_PATIENCE = 2.0  # seconds a send may wait for a host that does not read


class HostError(RuntimeError):
    """Base of what can go wrong at the door."""


class HostLost(HostError):
    """The host process died, hangs, or never came up."""


class StreamRefused(HostError):
    """The engine takes no such stream; `retry_after` (seconds) says when it may."""

    def __init__(self, reason: str, retry_after: float | None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class StreamBroken(HostError):
    """The engine ended this stream for a fault; the message is the reason."""


class StreamOverrun(HostError):
    """This stream's reader took too long, and its output was let go."""


class StreamClosed(HostError):
    """Something was pushed into a stream that is over."""


class Stream:
    """One conversation with the engine: push chunks, iterate over what comes back.

    Iteration ends when the stream does, or raises HostLost, StreamBroken or StreamOverrun. What
    came before the end is always delivered first, except after an overrun.
    """

    def __init__(self, client: "HostClient", number: int) -> None:
        self._client = client
        self.number = number
        self._output: asyncio.Queue[m.Chunk | None] = asyncio.Queue()
        self._over: HostError | None = None
        self.reason: str | None = None  # why it is over
        self.counters: dict[str, float] = {}  # of the engine, once it has said its last word
        self._settled = asyncio.Event()

    async def push(self, chunk: m.Chunk) -> None:
        """Gives the engine a chunk. Raises StreamClosed, HostLost."""
        self._require_open()
        await self._client.send(m.Push(self.number, chunk))

    async def finish(self) -> None:
        """No more input follows; the rest of the output still comes. Raises as `push`."""
        self._require_open()
        await self._client.send(m.Finish(self.number))

    async def close(self) -> None:
        """Ends the stream from this side; does nothing when it is over already."""
        if self.reason is None:
            self.end("closed", None)
            self._client.leaving[self.number] = self
            with suppress(HostLost):  # a lost host has no stream to close
                await self._client.send(m.Close(self.number))

    async def settled(self, patience: float = 1.0) -> None:
        """Returns when the engine's counters of an ended stream are here, or will not come."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), patience)
        self._client.leaving.pop(self.number, None)

    def settle(self, counters: dict[str, float]) -> None:
        """The engine's last word on this stream."""
        self.counters = counters
        self._settled.set()

    async def __aiter__(self) -> AsyncIterator[m.Chunk]:
        while (chunk := await self._output.get()) is not None:
            yield chunk
        self._output.put_nowait(None)  # whoever iterates again is told the same
        if self._over is not None:
            raise self._over

    def give(self, chunk: m.Chunk) -> bool:
        """Hands over one chunk of output; False when the reader does not keep up."""
        if self.reason is None:
            if self._output.qsize() >= UNREAD:
                return False
            self._output.put_nowait(chunk)
        return True

    def end(self, reason: str, error: HostError | None, *, forget: bool = False) -> None:
        """Marks the stream as over, once; `forget` drops what its reader has not taken."""
        self._client.streams.pop(self.number, None)
        if self.reason is None:
            self.reason, self._over = reason, error
            while forget and not self._output.empty():
                self._output.get_nowait()
            self._output.put_nowait(None)

    def _require_open(self) -> None:
        if isinstance(self._over, HostLost):
            raise self._over
        if self.reason is not None:
            raise StreamClosed(f"the stream is over: {self.reason}")


class HostClient:
    """A connection to the host at `address`; open one per process, `async with` or `close` it.

    `on_lost` is called once when the host dies or hangs, or cannot load its engine.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        ping_every: float = PING_EVERY,
        silence: float = SILENCE,
        on_lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._clock = clock
        self._ping_every = ping_every
        self._silence = silence
        self._on_lost = on_lost
        self.streams: dict[int, Stream] = {}
        self.leaving: dict[int, Stream] = {}  # closed from this side, not yet by the host
        self.health: dict[str, float] = {}  # the engine's figures, as of its last word
        self.lost: str | None = None  # why, once it is
        self.ready = asyncio.Event()  # set by the host's first word, and for good
        self._instance: str | None = None
        self._heard: float | None = None
        self._numbers = itertools.count(1)
        self._opening: dict[int, asyncio.Future[None]] = {}
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.SNDHWM, m.WAITING)
        self._socket.setsockopt(zmq.RCVHWM, m.WAITING)
        self._socket.setsockopt(zmq.MAXMSGSIZE, m.LONGEST)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(m.require_local(address))
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ping())]

    async def __aenter__(self) -> "HostClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, options: Mapping[str, m.Option], *, patience: float = 10.0) -> Stream:
        """A new stream.

        Raises:
            StreamRefused: the engine has no room, or does not know these options.
            HostLost: the host is gone, or did not answer in time.
        """
        number = next(self._numbers)
        stream = Stream(self, number)
        answer = asyncio.get_running_loop().create_future()
        self.streams[number], self._opening[number] = stream, answer
        try:
            await self.send(m.Open(number, dict(options)))
            await asyncio.wait_for(answer, patience)
        except TimeoutError:
            await stream.close()  # in case it opens it later
            raise HostLost(f"the host did not open the stream within {patience:g} s") from None
        except BaseException as e:
            self.streams.pop(number, None)
            if isinstance(e, asyncio.CancelledError):
                await stream.close()
            raise
        finally:
            self._opening.pop(number, None)
        return stream

    async def send(self, message: m.FromClient) -> None:
        """Sends one message. Raises HostLost when the host is gone or does not read."""
        if self.lost is not None:
            raise HostLost(self.lost)
        sent = asyncio.ensure_future(self._socket.send(m.encode(message)))
        if sent.done():  # as it is unless a thousand messages wait already
            sent.result()
            return
        try:
            await asyncio.wait_for(sent, SEND_PATIENCE)
        except TimeoutError:
            self.lose("the host does not read what it is sent")
            raise HostLost("the host does not read what it is sent") from None

    def lose(self, reason: str) -> None:
        """Ends every stream with HostLost, once; the connection is of no more use."""
        if self.lost is not None:
            return
        self.lost = reason
        for stream in list(self.streams.values()):
            stream.end(reason, HostLost(reason))
            stream.settle({})
        for stream in self.leaving.values():
            stream.settle({})
        self.leaving.clear()
        for answer in self._opening.values():
            if not answer.done():
                answer.set_exception(HostLost(reason))
        self._on_lost(reason)

    async def close(self) -> None:
        """Closes all streams and the connection."""
        for stream in list(self.streams.values()):
            await stream.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # What was sent a moment ago (closing streams, above all) leaves before the socket does.
        self._socket.close(linger=200)

    async def _ping(self) -> None:
        while self.lost is None:
            with suppress(HostLost):
                await self.send(m.Ping())
            await asyncio.sleep(self._ping_every)
            if self._heard is not None and self._clock() - self._heard > self._silence:
                self.lose(f"the host has said nothing for {self._silence:g} s")

    async def _read(self) -> None:
        while True:
            data = await self._socket.recv()
            self._heard = self._clock()
            try:
                self._handle(m.decode_host(data))
            except msgspec.DecodeError as e:
                self.lose(f"the host speaks another version of this protocol: {e}")

    def _handle(self, message: m.FromHost) -> None:
        match message:
            case m.Pong(instance=instance, health=health):
                if self._instance not in (None, instance):
                    self.lose("the host was replaced by a new process")
                    return
                self._instance, self.health = instance, health
                self.ready.set()
            case m.Failed(reason=reason):
                self.lose(reason)
            case m.Opened(stream=number):
                self._answer(number, None)
            case m.Refused(stream=number, reason=reason, retry_after=retry_after):
                self._answer(number, StreamRefused(reason, retry_after))
            case m.Output(stream=number, chunk=chunk):
                stream = self.streams.get(number)
                if stream is not None and not stream.give(chunk):
                    self._overrun(stream)
            case m.Ended(stream=number, reason=reason, fault=fault, counters=counters):
                stream = self.streams.get(number) or self.leaving.pop(number, None)
                if stream is not None:
                    stream.settle(counters)
                    stream.end(reason, StreamBroken(reason) if fault else None)

    def _answer(self, number: int, error: HostError | None) -> None:
        answer = self._opening.get(number)
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    def _overrun(self, stream: Stream) -> None:
        reason = f"{UNREAD} chunks of the stream were not read"
        stream.end(reason, StreamOverrun(reason), forget=True)
        # Not awaited: the host is reading, or it could not have sent this much.
        self._socket.send(m.encode(m.Close(stream.number)), zmq.NOBLOCK)
