"""A language model's address on the loopback: says that an answer fits if it holds a word.

The word is the first of the example that it was sent. Keeps what it was asked, and with which key.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "small"


class ScriptedModel(ThreadingHTTPServer):
    """Up until `shutdown`; `url` is its address up to `/v1`."""

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
        assert isinstance(self.server, ScriptedModel)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        if self.path != "/v1/chat/completions" or body["model"] != MODEL:
            self._send(404, {"error": {"message": "no such model"}})
            return
        case = json.loads(body["messages"][-1]["content"])
        right = case["fitting_example"].split()[0] in case["assistant"]
        said = f"```json\n{json.dumps({'fits': right, 'reason': 'because'})}\n```"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}
        choice["message"]["content"] = said
        self._send(
            200,
            {"id": "1", "object": "chat.completion", "created": 0, "model": MODEL}
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


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    """The server on a thread of its own."""
    server = ScriptedModel()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
