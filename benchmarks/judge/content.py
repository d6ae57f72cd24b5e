"""A language model as a second opinion on whether an answer fits, asked at any OpenAI address.

Optional, and never instead of the written keys: a model's verdict depends on its version, prefers
its own style and is printed under its name. Asked with temperature 0, one turn at a time, with what
the caller said before. Knows nothing of calls or rows.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult

from openai import APIConnectionError, APIStatusError, DefaultHttpxClient, OpenAI, OpenAIError
from openai.types.chat import ChatCompletionMessageParam

from benchmarks.judge.address import CONTENT_KEY_VARIABLE as KEY_VARIABLE
from benchmarks.judge.address import LOCAL, JudgeError, joined, named, split

_TASK = """\
You judge a Telugu voice assistant. You get the caller's earlier turns, the caller's last turn, an \
answer that would fit, and the assistant's answer. The assistant's answer fits if it responds to \
the last turn in Telugu and contradicts neither the caller nor the given facts; it need not be \
worded like the example, and an honest "I cannot do that" fits where the example says so too. \
Names, numbers, times and dates must be right. Reply with one JSON object and nothing else: \
{"fits": true or false, "reason": "one short sentence"}"""
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_TIMEOUT_S = 60.0
_RETRIES = 2
_LONGEST = 1024  # tokens: a reasoning model thinks before the object


@dataclass(frozen=True)
class Verdict:
    """What the model said; `fits` is None where it did not keep to the form."""

    fits: bool | None
    reason: str


class ContentJudge:
    """A model behind an OpenAI-compatible `/v1`. `judge` may be called from several threads."""

    def __init__(self, parts: SplitResult, model: str, key: str = "") -> None:
        """Use `of`; `parts` is the address, whose path is `/v1` unless it has one."""
        self.name = named(model, parts)
        self._model, self._url = model, joined(parts, parts.path.rstrip("/") or "/v1")
        # This machine's server is not behind the outgoing proxy.
        direct = DefaultHttpxClient(trust_env=False) if parts.hostname in LOCAL else None
        self._client = OpenAI(
            base_url=self._url,
            api_key=key or "none",
            timeout=_TIMEOUT_S,
            max_retries=_RETRIES,
            http_client=direct,
        )

    @classmethod
    def of(cls, address: str) -> "ContentJudge":
        """`http(s)://host[:port][/v1]#model`; the key, if one is needed, is in `KEY_VARIABLE`.

        Raises:
            JudgeError: the address cannot be used, or names no model.
        """
        parts, model = split(address, KEY_VARIABLE)
        if not model:
            raise JudgeError(
                f"{address} names no model: write it behind a #, as in http://host:8000/v1#model"
            )
        return cls(parts, model, os.environ.get(KEY_VARIABLE, ""))

    def judge(self, turn: str, answer: str, example: str, before: Sequence[str] = ()) -> Verdict:
        """One verdict; blocking.

        Args:
            turn: what the caller said last.
            answer: what the bot meant to say.
            example: an answer that fits, with the clock's words filled in.
            before: the caller's earlier turns of the call, oldest first.

        Raises:
            JudgeError: nobody answers there, the key or the model is refused.
        """
        case = {
            "caller_before": list(before),
            "caller": turn,
            "fitting_example": example,
            "assistant": answer,
        }
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": _TASK},
            {"role": "user", "content": json.dumps(case, ensure_ascii=False)},
        ]
        try:
            reply = self._client.chat.completions.create(
                model=self._model, messages=messages, temperature=0, max_tokens=_LONGEST
            )
        except APIConnectionError as e:
            raise JudgeError(f"no answer from the judge at {self._url}; is it running?") from e
        except APIStatusError as e:
            raise JudgeError(
                f"the judge at {self._url} refuses {self._model} (HTTP {e.status_code}): check the "
                "model's name and the key"
            ) from e
        except OpenAIError as e:
            raise JudgeError(f"the judge at {self._url} cannot be asked: {e}") from e
        return parse(reply.choices[0].message.content or "" if reply.choices else "")

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def parse(reply: str) -> Verdict:
    """The verdict in a model's reply, which may wrap the object in talk or a code fence."""
    found = _OBJECT.search(reply)
    try:
        values = json.loads(found.group()) if found else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("fits"), bool):
        return Verdict(None, f"no verdict in the reply: {reply[:80]!r}")
    return Verdict(values["fits"], str(values.get("reason", "")))
