"""The language model that judges content, against a small server that speaks the OpenAI wire."""

import json
from collections.abc import Iterator

import pytest

from benchmarks.judge.address import JudgeError
from benchmarks.judge.content import KEY_VARIABLE, ContentJudge, Verdict, parse
from tests.benchmarks.scripted_model import ScriptedModel, scripted_model


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with scripted_model() as server:
        yield server


def test_a_verdict_over_the_wire(server, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    judge = ContentJudge.of(f"{server.url}#small")
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
        ContentJudge.of(f"{server.url}#large").judge("ఎంత", "పది", "పది")


def test_nobody_there(server, monkeypatch):
    monkeypatch.setattr("benchmarks.judge.content._RETRIES", 0)
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(JudgeError, match="is it running"):
        ContentJudge.of(f"{url}#small").judge("ఎంత", "పది", "పది")


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


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://host/v1", "names no model"),
        ("http://name:word@host/v1#m", "a key goes into CONTENT_JUDGE_API_KEY"),
        ("host/v1#m", "must be http"),
    ],
)
def test_an_address_that_is_none_is_a_sentence(address, words):
    with pytest.raises(JudgeError, match=words):
        ContentJudge.of(address)
