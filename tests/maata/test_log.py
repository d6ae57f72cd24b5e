"""The log as lines for a person, and as JSON for a machine."""

import json

import pytest
from loguru import logger

from maata.log import set_up_log

pytestmark = pytest.mark.usefixtures("log_as_before")


def test_every_line_is_one_object(capsys):
    set_up_log("INFO", as_json=True)
    logger.info("draining: {} calls", 2)
    logger.bind(json=True).info(json.dumps({"event": "turn", "total_ms": 412.5}))
    try:
        raise OSError("no space left")
    except OSError:
        logger.exception("a call failed {with braces}")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["INFO", "INFO", "ERROR"]
    assert lines[0]["message"] == "draining: 2 calls"
    assert lines[0]["where"] == __name__
    assert (lines[1]["event"], lines[1]["total_ms"]) == ("turn", 412.5)
    assert lines[2]["message"] == "a call failed {with braces}"
    assert "no space left" in lines[2]["error"]
    assert all(line["time"] for line in lines)


def test_for_a_person_only_bound_records_are_json(capsys):
    set_up_log("INFO")
    logger.info("loading asr: 10%")
    logger.bind(json=True).info(json.dumps({"event": "turn"}))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO loading asr: 10%")
    assert json.loads(second) == {"event": "turn"}
