"""Dialling a call and hanging up: what a refusal or a broken connection means, in one sentence.

Knows WebSocket close codes and HTTP statuses; nothing about what is said on the line.
"""

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

MAX_MESSAGE = 4 * 2**20  # bytes

REFUSALS = {
    4400: "the server does not know what was asked for",
    4401: "the token is missing or wrong (set MAATA_TOKEN)",
    4403: "the server does not accept this origin",
    4408: "the server's time limit for a call was reached",
    4429: "all lines are busy",
    4503: "the server is not ready",
}
STATUSES = {
    401: REFUSALS[4401],
    403: "the server does not let this caller in (token or origin)",
    404: "there is no call at this address; the path is /ws",
    429: REFUSALS[4429],
    503: REFUSALS[4503],
}


class Refused(Exception):
    """The server would not take or continue the call; the message is one clear sentence."""


async def dial(url: str, timeout_s: float) -> ClientConnection:
    """An open connection to `url`.

    Raises:
        Refused: nobody there, no WebSocket server, or one that turns this caller away.
    """
    try:
        return await connect(
            url,
            compression=None,  # costs milliseconds a packet and saves nothing on PCM
            max_size=MAX_MESSAGE,
            open_timeout=timeout_s,
            close_timeout=2,
            proxy=None,
        )
    except InvalidURI as e:
        raise Refused(f"{url} is no address of a call") from e
    except InvalidStatus as e:
        status = e.response.status_code
        why = STATUSES.get(status, "it is no maata server, or a broken one")
        raise Refused(f"the server refused the call: {why} (HTTP {status})") from e
    except InvalidHandshake as e:
        raise Refused(f"what answers there is no WebSocket server ({e})") from e
    except TimeoutError as e:
        raise Refused(f"nobody answered within {timeout_s:g} s") from e
    except OSError as e:
        raise Refused(f"nobody answers there ({e.strerror or e}); is `maata serve` running?") from e


def hung_up(socket: ClientConnection) -> tuple[str, bool]:
    """A sentence about a closed connection, and whether the server meant to refuse the call."""
    code, reason = socket.close_code, socket.close_reason
    if code in REFUSALS:
        said = f": {reason}" if reason else ""
        return f"the server refused the call: {REFUSALS[code]}{said} ({code})", True
    if code is None or code == 1006:
        return "the connection broke: the server died or the network failed", False
    return f"the server hung up{': ' + reason if reason else ''} ({code})", False
