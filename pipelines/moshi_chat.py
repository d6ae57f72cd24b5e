"""One chat in Moshi's own protocol: a caller's socket at one end, a stream of a host at the other.

The stock clients of Moshi (`python -m moshi.client`, its web page) call here as they call their own
server. The sampling parameters some of them put into the address (`text_temperature`, `text_topk`,
`audio_temperature`, `audio_topk`, `pad_mult`, `repetition_penalty`, `repetition_penalty_context`,
`text_seed`, `audio_seed`) are not read: all callers of a batch are sampled alike. Knows nothing of
who may call, of profiles or of models.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from loguru import logger
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from models.host import Host
from models.host_client import (
    HostError,
    HostLost,
    Stream,
    StreamClosed,
    StreamOverrun,
    StreamRefused,
)
from models.host_messages import Chunk, Option
from models.telugu.captions import CaptionStream
from pipelines.moshi_wire import (
    HANDSHAKE,
    AnswerAudio,
    BadAudio,
    BadMessage,
    CallerAudio,
    Kind,
    audio_message,
    error_message,
    parse,
    text_message,
)
from pipelines.request import BAD_REQUEST, LIMIT_REACHED, MODEL_FAILED, NOT_READY, TOO_MANY_CALLS

MAX_REJECTED = 500  # a client that sends this much nonsense is broken or hostile
# A send may wait this long for a caller who does not read. Opus is so small that the buffers on the
# way hold minutes of it: whoever reads nothing at all misses the web server's pings before that.
SEND_SECONDS = 10.0
PARTING_SECONDS = 1.0  # for the last words
LONGEST_REASON = 123  # bytes of a close frame's reason (RFC 6455, 5.5)


@dataclass(frozen=True)
class Ending:
    """How a chat ended: a word or two to count, and what the caller, if still there, is told."""

    outcome: str
    code: int | None = None  # closes the socket
    sentence: str = ""


HUNG_UP = Ending("hung up")


async def chat(
    websocket: WebSocket,
    host: Host,
    pieces: Sequence[bytes],
    options: Mapping[str, Option],
    *,
    longest: float = 3600.0,
    idle: float = 600.0,
    count: Callable[[Mapping[str, float]], None] = lambda counters: None,
) -> str:
    """Carries one chat until it ends; the socket may be accepted already or not yet.

    Args:
        websocket: the caller. An error message and the close frame say why a chat ended.
        host: a host of duplex streams (`models.duplex_streams`), 24 kHz.
        pieces: UTF-8 of every text token (`models.telugu.captions`).
        options: of the stream: `voice`, `emotion`.
        longest: seconds a chat may last.
        idle: seconds a caller may send no audio, silent audio being audio.
        count: called once with the engine's counters of the stream, if there was one.

    Returns:
        "hung up", "finished", "full", "refused", "engine lost", "engine failed", "not reading",
        "bad input", "idle" or "too long".
    """
    stream: Stream | None = None
    try:
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.accept()
        stream = await host.open(options)
        ending = await _converse(websocket, stream, pieces, longest, idle)
    except HostError as e:
        ending = _ending(e)
    except (WebSocketDisconnect, OSError):
        ending = HUNG_UP
    finally:
        if stream is not None:
            await stream.close()
            await stream.settled()
            count(stream.counters)
    if ending.code is not None:
        await tell(websocket, ending.code, ending.sentence)
    return ending.outcome


async def tell(websocket: WebSocket, code: int, sentence: str) -> None:
    """Says why, in every way a client may look at, and closes the socket.

    Stock clients show words only: the terminal's calls an error message unknown, the page is silent
    about it. So the sentence follows as words too, in brackets, since the model did not say it.
    """
    try:
        async with asyncio.timeout(PARTING_SECONDS):  # whoever stopped reading cannot hold us
            if websocket.application_state is WebSocketState.CONNECTING:
                await websocket.accept()
            if sentence:
                await websocket.send_bytes(error_message(sentence))
                await websocket.send_bytes(text_message(f" [{sentence}]"))
            reason = sentence.encode()[:LONGEST_REASON].decode(errors="ignore")
            await websocket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError) as e:
        logger.debug("could not tell the caller why: {}", type(e).__name__)


async def _converse(
    websocket: WebSocket, stream: Stream, pieces: Sequence[bytes], longest: float, idle: float
) -> Ending:
    """Both directions at once, until one of them is over."""
    await _send(websocket, HANDSHAKE)
    ways = [
        asyncio.create_task(_listen(websocket, stream, idle)),
        asyncio.create_task(_speak(websocket, stream, CaptionStream(pieces))),
    ]
    try:
        over, _ = await asyncio.wait(ways, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    if not over:
        return Ending("too long", LIMIT_REACHED, f"calls end after {longest / 60:g} minutes")
    return over.pop().result()


async def _listen(websocket: WebSocket, stream: Stream, idle: float) -> Ending:
    """From the caller to the engine."""
    audio = CallerAudio()
    rejected: set[str] = set()
    count = 0
    clock = asyncio.get_running_loop().time
    silent_since = clock()
    while True:
        try:
            async with asyncio.timeout_at(silent_since + idle):
                event = await websocket.receive()
        except TimeoutError:
            sentence = f"no audio came for {idle / 60:g} minutes; the call was ended"
            return Ending("idle", LIMIT_REACHED, sentence)
        if event["type"] == "websocket.disconnect":
            return HUNG_UP
        try:
            data = event.get("bytes")
            if data is None:
                raise BadMessage("a text message, where Moshi's protocol is binary")
            kind, payload = parse(data)
            if kind is Kind.AUDIO:
                silent_since = clock()
                for pcm in audio.decode(payload):
                    # When the engine has ended the stream, the other direction knows why.
                    with suppress(StreamClosed):
                        await stream.push(Chunk(pcm=pcm))
        except BadMessage as e:
            count += 1
            if str(e) not in rejected:
                rejected.add(str(e))
                logger.debug("ignored {}", e)
            if count == MAX_REJECTED:
                return Ending("bad input", BAD_REQUEST, f"too many bad messages; the last: {e}")
        except BadAudio as e:
            return Ending("bad input", BAD_REQUEST, str(e))


async def _speak(websocket: WebSocket, stream: Stream, captions: CaptionStream) -> Ending:
    """From the engine to the caller: of each frame its sound, then its words."""
    audio = AnswerAudio()
    try:
        async for chunk in stream:
            if ogg := audio.encode(chunk.pcm):
                await _send(websocket, audio_message(ogg))
            if text := "".join(captions.token(token) for token in chunk.tokens):
                await _send(websocket, text_message(text))
        if text := captions.flush():
            await _send(websocket, text_message(text))
    except TimeoutError:
        sentence = f"nothing was read for {SEND_SECONDS:g} seconds; the call was ended"
        return Ending("not reading", LIMIT_REACHED, sentence)
    except (WebSocketDisconnect, OSError):
        return HUNG_UP
    return Ending("finished", 1000)


async def _send(websocket: WebSocket, data: bytes) -> None:
    """Waits while the socket's buffers are full, for SEND_SECONDS at most."""
    async with asyncio.timeout(SEND_SECONDS):
        await websocket.send_bytes(data)


def _ending(error: HostError) -> Ending:
    """What the caller is told of what went wrong at the host's door."""
    match error:
        case StreamRefused(retry_after=seconds) if seconds is not None:
            sentence = f"{error}; try again in {math.ceil(seconds)} seconds"
            return Ending("full", TOO_MANY_CALLS, sentence)
        case StreamRefused():  # waiting will not help
            return Ending("refused", BAD_REQUEST, str(error))
        case HostLost():
            return Ending("engine lost", NOT_READY, f"{error}; call again in a few seconds")
        case StreamOverrun():
            return Ending("not reading", LIMIT_REACHED, f"{error}; the call was ended")
        case _:
            return Ending("engine failed", MODEL_FAILED, f"the engine ended the call: {error}")
