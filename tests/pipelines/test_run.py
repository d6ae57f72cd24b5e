"""The server process: its socket."""

import socket

import pytest

from pipelines.listen import PortInUse, listen


def test_the_socket_says_that_it_is_tcp():
    """Else asyncio leaves Nagle's algorithm on, and audio packets wait for 25 ms."""
    with listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_a_taken_port_is_a_named_error():
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(PortInUse, match="--port"):
            listen("127.0.0.1", taken.getsockname()[1])
