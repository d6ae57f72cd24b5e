"""A judge behind an OpenAI-compatible transcription address: one multipart POST a clip.

Works with any server that answers `POST /v1/audio/transcriptions` as OpenAI's does (vLLM, speaches,
`transformers serve`, hosted services). The key, if one is needed, is the value of `JUDGE_API_KEY`;
it is never logged, and no other variable is sent anywhere. Knows nothing of rows.
"""

import io
import os
import time
import wave
from collections.abc import Callable
from urllib.parse import SplitResult

import httpx2
import numpy as np

from benchmarks.judge.address import KEY_VARIABLE, LOCAL, JudgeError, joined, named, split
from benchmarks.judge.judge import RATE
from models.audio import to_int16

DEFAULT_MODEL = "whisper-1"  # what OpenAI-compatible servers take for "your Whisper"
_ENDPOINT = "/audio/transcriptions"
_BUSY = {429, 502, 503, 504}  # passing: worth another try
_WAITS_S = (1.0, 3.0)  # before the second and the third try
_SHOWN = 200  # characters of a server's reply in a message


class OpenAiJudge:
    """One model at one address."""

    def __init__(
        self,
        parts: SplitResult,
        model: str,
        key: str = "",
        *,
        timeout_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Use `of`; the path of `parts` is that of the endpoint."""
        self.name = named(model, parts)
        self._url, self._model, self._sleep = joined(parts, parts.path), model, sleep
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout_s,
            trust_env=parts.hostname not in LOCAL,  # that server is not behind the outgoing proxy
        )

    @classmethod
    def of(cls, address: str) -> "OpenAiJudge":
        """`http(s)://host[:port][/v1][#model]`, or the endpoint's whole address.

        Raises:
            JudgeError: the address cannot be used.
        """
        parts, model = split(address, KEY_VARIABLE)
        path = parts.path.rstrip("/")
        if not path.endswith(_ENDPOINT):
            path = (path or "/v1") + _ENDPOINT
        key = os.environ.get(KEY_VARIABLE, "")
        return cls(parts._replace(path=path), model or DEFAULT_MODEL, key)

    def hear(self, pcm: np.ndarray) -> str:
        """The text of float32 `[T]` at 16 kHz; up to three tries while the server is busy.

        Raises:
            JudgeError: no connection, a refusal, or a reply that is no transcription.
        """
        reply = self._post(_wav(pcm))
        try:
            text = reply.json()["text"]
        except (ValueError, KeyError, TypeError) as e:
            raise JudgeError(
                f'{self.name} sent no {{"text": …}} but {_shown(reply.text)}: is it an '
                f"OpenAI-compatible {_ENDPOINT}?"
            ) from e
        if not isinstance(text, str):
            raise JudgeError(f'{self.name} sent a "text" that is no text: {_shown(reply.text)}')
        return text.strip()

    def _post(self, wav: bytes) -> httpx2.Response:
        data = {"model": self._model, "language": "te", "response_format": "json"}
        problem = ""
        for wait in (*_WAITS_S, None):
            try:
                reply = self._client.post(
                    self._url,
                    data=data | {"temperature": "0"},
                    files={"file": ("answer.wav", wav, "audio/wav")},
                )
            except httpx2.HTTPError as e:
                problem = f"{type(e).__name__}: is the server up, and the address right?"
            else:
                if reply.is_success:
                    return reply
                problem = _refusal(reply, self._model)
                if reply.status_code not in _BUSY:
                    break
            if wait is not None:
                self._sleep(wait)
        raise JudgeError(f"{self.name} did not answer: {problem}")


def _refusal(reply: httpx2.Response, model: str) -> str:
    code = reply.status_code
    remedy = {
        401: f"set {KEY_VARIABLE}",
        403: f"check the key in {KEY_VARIABLE}",
        404: f"check the address, and that it serves {model!r} (address#model names another)",
        413: "the server takes no clips of this length",
        429: "it is over its limit: wait, or choose another judge",
    }.get(code, "see the server's log")
    return f"HTTP {code} {_shown(reply.text)}: {remedy}"


def _shown(body: str) -> str:
    return repr(" ".join(body.split())[:_SHOWN])


def _wav(pcm: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(to_int16(pcm).astype("<i2").tobytes())
    return buffer.getvalue()
