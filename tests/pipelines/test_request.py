"""Requests: defaults, unknown words, origins and tokens."""

import pytest

from maata.profile import load_profile
from pipelines.request import CallRequest, Refusal, check_origin, check_token, parse_request

PROFILE = load_profile("starter")


def test_an_empty_request_takes_the_profiles_choices():
    assert parse_request({}, PROFILE) == CallRequest("cascade", "priya", "neutral")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"engine": "s2s"}, "not available"),
        ({"engine": "warp"}, "unknown engine"),
        ({"voice": "hal"}, "arjun"),
        ({"emotion": "hungry"}, "happy"),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(query, words):
    with pytest.raises(Refusal, match=words) as refusal:
        parse_request(query, PROFILE)
    assert refusal.value.code == 4400


@pytest.mark.parametrize(
    ("origin", "allowed", "passes"),
    [
        (None, [], True),
        ("http://localhost:7860", [], True),
        ("http://evil.example", [], False),
        ("https://app.example", ["https://app.example"], True),
        ("http://localhost:7860", ["https://app.example"], False),
    ],
)
def test_origins(origin, allowed, passes):
    if passes:
        check_origin(origin, "localhost:7860", allowed)
    else:
        with pytest.raises(Refusal):
            check_origin(origin, "localhost:7860", allowed)


def test_tokens():
    check_token(None, "")
    check_token("s3cret", "s3cret")
    for given in (None, "", "wrong", "s3cretx", "తెలుగు"):
        with pytest.raises(Refusal):
            check_token(given, "s3cret")
