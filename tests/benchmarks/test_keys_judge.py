"""The judge against a small server on the loopback that speaks the OpenAI wire."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from benchmarks.keys_judge import Judge, JudgeError, Verdict, parse


class _Server(ThreadingHTTPServer):
    """Says that an answer fits if it holds the example's first word."""

    daemon_threads = True
    asked: list[dict[str, Any]]
    keys: list[str | None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked, self.keys = [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        if self.path != "/v1/chat/completions" or body["model"] != "small":
            self._send(404, {"error": {"message": "no such model"}})
            return
        case = json.loads(body["messages"][-1]["content"])
        right = case["fitting_example"].split()[0] in case["assistant"]
        said = f"```json\n{json.dumps({'fits': right, 'reason': 'because'})}\n```"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}
        choice["message"]["content"] = said
        self._send(
            200,
            {"id": "1", "object": "chat.completion", "created": 0, "model": "small"}
            | {"choices": [choice]},
        )

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests print nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_verdict_over_the_wire(server):
    judge = Judge(server.url, "small", "secret")
    before = ["నా పేరు మాధురి"]
    assert judge.judge("నా పేరేంటి", "మీ పేరు మాధురి", "మాధురి గారు", before) == Verdict(True, "because")
    assert judge.judge("నా పేరేంటి", "తెలియదు", "మాధురి గారు").fits is False
    judge.close()
    case = json.loads(server.asked[0]["messages"][-1]["content"])
    assert case == {
        "caller_before": before,
        "caller": "నా పేరేంటి",
        "fitting_example": "మాధురి గారు",
        "assistant": "మీ పేరు మాధురి",
    }
    assert server.asked[0]["temperature"] == 0
    assert server.keys[0] == "Bearer secret"


def test_a_model_that_is_not_there(server):
    with pytest.raises(JudgeError, match=r"refuses large \(HTTP 404\)"):
        Judge(server.url, "large").judge("ఎంత", "పది", "పది")


def test_nobody_there(server, monkeypatch):
    monkeypatch.setattr("benchmarks.keys_judge._RETRIES", 0)
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(JudgeError, match="is it running"):
        Judge(url, "small").judge("ఎంత", "పది", "పది")


@pytest.mark.parametrize(
    ("reply", "fits"),
    [
        ('{"fits": true, "reason": "ok"}', True),
        ('Sure!\n{"fits": false, "reason": "wrong name"} Done.', False),
        ('{"fits": "yes"}', None),
        ("it fits", None),
        ("{fits}", None),
        ("", None),
    ],
)
def test_what_a_reply_may_look_like(reply, fits):
    verdict = parse(reply)
    assert verdict.fits is fits
    assert verdict.reason
