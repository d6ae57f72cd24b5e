"""The remote judge against a small server on this machine that keeps what it was sent."""

import json
import wave
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import urlsplit

import numpy as np
import pytest

from benchmarks.judge.judge import RATE, JudgeError, load
from benchmarks.judge.openai import KEY_VARIABLE, OpenAiJudge

SAID = "మీ పేరు ఏమిటి"


class Scripted(ThreadingHTTPServer):
    """Answers with `replies` one after another, the last for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[tuple[int, bytes]] = [(200, json.dumps({"text": f" {SAID} "}).encode())]
        self.asked: list[tuple[str, str | None, dict[str, bytes]]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        scripted = self.server
        assert isinstance(scripted, Scripted)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = {}
        for part in message_from_bytes(head + body).walk():
            if name := part.get_param("name", header="content-disposition"):
                parts[name] = part.get_payload(decode=True)
        scripted.asked.append((self.path, self.headers["Authorization"], parts))
        code, reply = scripted.replies[0]
        if len(scripted.replies) > 1:
            scripted.replies.pop(0)
        self.send_response(code)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def judge(server, waits) -> OpenAiJudge:
    url = f"{server.base}/v1/audio/transcriptions"
    return OpenAiJudge(urlsplit(url), "telugu-large", "secret", sleep=waits.append)


def clip() -> np.ndarray:
    return (0.25 * np.sin(np.arange(RATE // 2) / 10)).astype(np.float32)


def test_the_clip_arrives_whole_with_the_model_and_the_language(server, judge):
    assert judge.hear(clip()) == SAID
    path, key, parts = server.asked[0]
    assert path == "/v1/audio/transcriptions"
    assert key == "Bearer secret"
    assert parts["model"] == b"telugu-large"
    assert parts["language"] == b"te"
    with wave.open(BytesIO(parts["file"])) as sent:
        assert (sent.getframerate(), sent.getnchannels(), sent.getsampwidth()) == (RATE, 1, 2)
        pcm = np.frombuffer(sent.readframes(sent.getnframes()), "<i2")
    assert np.allclose(pcm / 32768, clip(), atol=1e-4)
    assert "secret" not in judge.name


@pytest.mark.parametrize(
    ("suffix", "path", "model"),
    [
        ("", "/v1/audio/transcriptions", "whisper-1"),
        ("/", "/v1/audio/transcriptions", "whisper-1"),
        ("/v1#telugu", "/v1/audio/transcriptions", "telugu"),
        ("/api/v1/#org/telugu", "/api/v1/audio/transcriptions", "org/telugu"),
        ("/v1/audio/transcriptions#t", "/v1/audio/transcriptions", "t"),
    ],
)
def test_one_string_names_the_address_and_the_model(server, monkeypatch, suffix, path, model):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    judge = load(server.base + suffix)
    assert judge.hear(clip()) == SAID
    asked, key, parts = server.asked[0]
    assert (asked, key, parts["model"].decode()) == (path, None, model)
    assert judge.name == f"{model} at {server.base.removeprefix('http://')}"


def test_the_key_comes_from_one_variable_alone(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "somebody else's")
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    load(server.base).hear(clip())
    monkeypatch.setenv(KEY_VARIABLE, "ours")
    load(server.base).hear(clip())
    assert [key for _, key, _ in server.asked] == [None, "Bearer ours"]


def test_a_busy_server_is_asked_again(server, judge, waits):
    server.replies = [(503, b"loading"), (429, b"slow down"), *server.replies]
    assert judge.hear(clip()) == SAID
    assert len(server.asked) == 3
    assert waits == [1.0, 3.0]


@pytest.mark.parametrize(
    ("code", "said", "tries"),
    [
        (401, KEY_VARIABLE, 1),
        (404, "serves 'telugu-large'", 1),
        (413, "no clips of this length", 1),
        (500, "server's log", 1),
        (429, "over its limit", 3),
    ],
)
def test_a_refusal_names_the_remedy(server, judge, code, said, tries):
    server.replies = [(code, b"no\n  way")]
    with pytest.raises(JudgeError, match=said) as error:
        judge.hear(clip())
    assert f"HTTP {code} 'no way'" in str(error.value)
    assert "secret" not in str(error.value)
    assert len(server.asked) == tries


@pytest.mark.parametrize("reply", [b"<html>hello</html>", b'{"error": 1}', b"[]", b'{"text": 3}'])
def test_a_reply_that_is_no_transcription_is_said(server, judge, reply):
    server.replies = [(200, reply)]
    with pytest.raises(JudgeError, match="text"):
        judge.hear(clip())


def test_nobody_at_the_address_is_an_error_after_three_tries(waits):
    nowhere = urlsplit("http://127.0.0.1:1/v1/audio/transcriptions")
    judge = OpenAiJudge(nowhere, "m", sleep=waits.append)
    with pytest.raises(JudgeError, match="is the server up"):
        judge.hear(clip())
    assert len(waits) == 2


@pytest.mark.parametrize(
    "address",
    ["http://", "http://user:pass@host/v1", "https://host/v1?key=1", "http://host:port/v1"],
)
def test_addresses_that_cannot_be_used(address):
    with pytest.raises(JudgeError, match="http"):
        load(address)
