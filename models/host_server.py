"""The inside of a host process: one engine, one socket, one thread, one loop.

    python -m models.host_server ADDRESS MODULE:FUNCTION '{"option": ...}' [--with-parent]

calls the function with the options as keywords and serves the engine it returns at the address.
With `--with-parent` it exits when its standard input closes: whoever started it holds the other
end, and is gone. Knows nothing of any particular engine. Messages are read between ticks, so an
engine needs no locks.
"""

import importlib
import json
import logging
import math
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import zmq

from models import host_messages as m
from models.host_engine import End, HostEngine, HostStream, OpenRefused
from models.host_pace import Pace

log = logging.getLogger(__name__)

IDLE = 0.5  # seconds to wait for a message when the engine has nothing to do
SILENCE = 10.0  # seconds without a word from a client before its streams are closed
WITH_PARENT = "--with-parent"
FATAL = 3  # exit status when the engine broke while serving


@dataclass
class _Peer:
    streams: dict[int, HostStream] = field(default_factory=dict)
    heard: float = 0.0


class HostServer:
    """Serves one engine to any number of clients. `socket` is a bound ROUTER."""

    def __init__(
        self,
        socket: zmq.Socket,
        engine: HostEngine,
        *,
        clock: Callable[[], float] = time.monotonic,
        silence: float = SILENCE,
    ) -> None:
        self._socket = socket
        self._engine = engine
        self._clock = clock
        self._silence = silence
        self._peers: dict[bytes, _Peer] = {}
        self._instance = uuid.uuid4().hex
        self._pace = Pace(engine.period, clock=clock) if engine.period else None
        self._busy = False

    def run(self) -> None:
        """Until the engine breaks; its streams are told, and its exception is raised."""
        try:
            while True:
                self.step()
        except BaseException as e:
            self._end_all(f"the engine broke: {type(e).__name__}: {e}")
            raise

    def step(self) -> None:
        """Reads what has come until a tick is due, then ticks and sends what came of it."""
        if self._pace is None:
            self._read(0.0 if self._busy else IDLE)
            self._busy = self._engine.tick(None)
        else:
            while wait := self._pace.wait():
                self._read(wait)
            self._read(0.0)
            deadline, skipped = self._pace.begin()
            if skipped:
                self._engine.skipped(skipped)
            self._engine.tick(deadline)
        self._deliver()
        self._drop_silent()

    def _read(self, wait: float) -> None:
        """Handles everything that has come, after waiting up to `wait` seconds for the first."""
        if not self._socket.poll(math.ceil(wait * 1000)):
            return
        for _ in range(m.WAITING):  # a flood must not keep the engine from its tick
            try:
                peer, data = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            except ValueError:
                continue  # not one of ours: wrong number of parts
            try:
                message = m.decode_client(data)
            except msgspec.DecodeError as e:
                log.warning("a client sent what is no message: %s", e)
                continue
            self._handle(peer, message)

    def _handle(self, peer: bytes, message: m.FromClient) -> None:
        known = self._peers.setdefault(peer, _Peer())
        known.heard = self._clock()
        match message:
            case m.Ping():
                self._send(peer, m.Pong(self._instance, self._engine.health()))
            case m.Open(stream=stream, options=options):
                self._open(peer, known, stream, options)
            case m.Push(stream=stream, chunk=chunk) if stream in known.streams:
                try:
                    known.streams[stream].push(chunk)
                except ValueError as e:
                    self._end(peer, stream, End(str(e), fault=True))
            case m.Finish(stream=stream) if stream in known.streams:
                known.streams[stream].finish()
            case m.Close(stream=stream) if stream in known.streams:
                self._end(peer, stream, End("closed"))
            case m.Push(stream=stream) | m.Finish(stream=stream):
                self._send(peer, m.Ended(stream, "no such stream", fault=True))
            case m.Close():
                pass

    def _open(self, peer: bytes, known: _Peer, stream: int, options: dict[str, m.Option]) -> None:
        if stream in known.streams:
            self._send(peer, m.Refused(stream, f"stream {stream} is open already"))
            return
        try:
            known.streams[stream] = self._engine.open(options)
        except OpenRefused as e:
            self._send(peer, m.Refused(stream, e.reason, e.retry_after))
        except ValueError as e:
            self._send(peer, m.Refused(stream, str(e)))
        else:
            self._send(peer, m.Opened(stream))

    def _deliver(self) -> None:
        for peer, known in list(self._peers.items()):
            for number, stream in list(known.streams.items()):
                for chunk in stream.take():
                    self._send(peer, m.Output(number, chunk))
                if peer not in self._peers:
                    break  # it went away while being sent to
                if stream.end is not None:
                    self._end(peer, number, stream.end)

    def _end(self, peer: bytes, number: int, end: End) -> None:
        stream = self._peers[peer].streams.pop(number)
        counters = stream.counters
        stream.close()
        self._send(peer, m.Ended(number, end.reason, end.fault, counters))

    def _end_all(self, reason: str) -> None:
        for peer, known in list(self._peers.items()):
            for number in list(known.streams):
                self._send(peer, m.Ended(number, reason, fault=True))

    def _drop_silent(self) -> None:
        now = self._clock()
        for peer, known in list(self._peers.items()):
            if now - known.heard > self._silence:
                self._forget(peer, "fell silent")

    def _forget(self, peer: bytes, why: str) -> None:
        known = self._peers.pop(peer, None)
        if known is not None and known.streams:
            log.warning("a client %s: closing its %d streams", why, len(known.streams))
            for stream in known.streams.values():
                stream.close()

    def _send(self, peer: bytes, message: m.FromHost) -> None:
        try:
            self._socket.send_multipart([peer, m.encode(message)], zmq.NOBLOCK)
        except zmq.Again:
            self._forget(peer, "does not read")
        except zmq.ZMQError as e:
            if e.errno != zmq.EHOSTUNREACH:
                raise
            self._forget(peer, "went away")


def bind(address: str) -> zmq.Socket:
    """A ROUTER at a local address that says when a client is gone or stuck instead of dropping."""
    socket = zmq.Context.instance().socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.SNDHWM, m.WAITING)
    socket.setsockopt(zmq.RCVHWM, m.WAITING)
    socket.setsockopt(zmq.MAXMSGSIZE, m.LONGEST)
    socket.setsockopt(zmq.LINGER, 500)  # ms: last words
    socket.bind(m.require_local(address))
    return socket


def tell_failure(socket: zmq.Socket, reason: str, seconds: float = 2.0) -> None:
    """Answers whoever asks (or has asked, while the engine loaded) that there will be no engine."""
    until = time.monotonic() + seconds
    told: set[bytes] = set()
    while (left := until - time.monotonic()) > 0 and not told:
        while socket.poll(int(left * 1000) if not told else 0):
            peer = socket.recv_multipart()[0]
            if peer not in told:
                told.add(peer)
                socket.send_multipart([peer, m.encode(m.Failed(reason))])


def main(address: str, factory: str, options: str, parent: str = "") -> int:
    """Loads the engine and serves it; the exit status says how that ended."""
    if parent == WITH_PARENT:
        threading.Thread(target=_exit_with_parent, name="parent", daemon=True).start()
    socket = bind(address)
    try:
        module, _, function = factory.partition(":")
        engine: HostEngine = getattr(importlib.import_module(module), function)(
            **json.loads(options)
        )
    except Exception as e:
        log.exception("the engine could not be loaded")
        tell_failure(socket, f"{type(e).__name__}: {e}")
        socket.close()
        return 1
    try:
        HostServer(socket, engine).run()
    except Exception:
        log.exception("the engine broke")
    socket.close()
    zmq.Context.instance().term()
    return FATAL


def _exit_with_parent() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s host %(levelname)s %(message)s")
    raise SystemExit(main(*sys.argv[1:5]))
