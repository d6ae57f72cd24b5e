"""`maata call` as a program: addresses, exit codes, the JSON line and the files."""

import json
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.caller.call import BadAddress, call_url, run_call
from benchmarks.caller.manners import Manners
from benchmarks.caller.wire import IN_RATE, OUT_RATE
from models.audio import first_audible, speech_end, write_wav
from tests.benchmarks.scripted_server import Served, ready, serving, silence, tone

QUICK = Manners(lead_in_ms=100, answer_over_ms=200, answer_timeout_s=1)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "u.wav"
    write_wav(path, np.concatenate((silence(50, 48_000), tone(300, 48_000))), 48_000)
    return path


async def answer_twice(served: Served) -> None:
    await ready(served)
    for _ in range(2):
        await served.next_user_end()
        await served.say("user-transcription", {"text": "నమస్తే", "final": True})
        await served.say("bot-output", {"text": "నమస్కారం.", "segment_id": 1})
        await served.answer(tone(300, OUT_RATE))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:7860", "ws://127.0.0.1:7860/ws"),
        ("localhost", "ws://localhost/ws"),
        ("http://h:1", "ws://h:1/ws"),
        ("http://h:1/", "ws://h:1/ws"),
        ("https://h/", "wss://h/ws"),
        ("ws://h:1/ws", "ws://h:1/ws"),
        ("wss://h/proxy/ws?engine=s2s", "wss://h/proxy/ws?engine=s2s"),
        ("[::1]:7860", "ws://[::1]:7860/ws"),
    ],
)
def test_addresses(given, url):
    assert call_url(given) == url


def test_choices_go_into_the_query():
    url = call_url("h:1", engine="cascade", voice="priya", emotion="calm", token="a&b")
    assert url == "ws://h:1/ws?engine=cascade&voice=priya&emotion=calm&token=a%26b"


@pytest.mark.parametrize("given", ["", "ftp://h", "http://", "h:port", "h:99999"])
def test_bad_addresses_are_named(given):
    with pytest.raises(BadAddress, match="http://127.0.0.1:7860"):
        call_url(given)


def test_an_answered_call(wav, tmp_path, capsys):
    with serving(answer_twice) as address:
        code = run_call(
            address, [wav, wav], engine="cascade", out=tmp_path / "out", manners=QUICK, token="x"
        )
    out, err = capsys.readouterr()
    result = json.loads(out.strip().splitlines()[-1])
    assert code == 0, err
    assert set(result) == {"engine", "turns", "underruns", "stereo"}
    assert result["engine"] == "cascade"
    assert result["underruns"] == 0
    assert [t["user_text"] for t in result["turns"]] == ["నమస్తే"] * 2
    assert [t["bot_text"] for t in result["turns"]] == ["నమస్కారం."] * 2
    keys = {"wav", "user_end_ms", "bot_start_ms", "v2v_ms", "user_text", "bot_text"}
    for turn in result["turns"]:
        assert set(turn) == keys
        assert turn["wav"] == str(wav)
        assert 230 < turn["v2v_ms"] < 400  # 200 ms of endpointing and the jitter

    frames, rate = soundfile.read(result["stereo"], dtype="int16")
    assert rate == OUT_RATE
    first = result["turns"][0]
    # The same figures can be read off the file by anyone who opens it.
    assert first_audible(frames[:, 1], rate) == pytest.approx(first["bot_start_ms"] * 24, abs=24)
    until = round(first["bot_start_ms"] * 24)
    assert speech_end(frames[:until, 0], rate) == pytest.approx(first["user_end_ms"] * 24, abs=24)

    text = (tmp_path / "out" / "events.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    kinds = [e["event"] for e in events]
    assert kinds.count("turn") == kinds.count("measured") == 2
    assert "bot-ready" in kinds
    assert "token" not in text


def test_an_unanswered_turn_is_exit_code_1(wav, tmp_path, capsys):
    async def once(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        await served.answer(tone(300, OUT_RATE))

    with serving(once) as address:
        assert run_call(address, [wav, wav], out=tmp_path, manners=QUICK) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["turns"][0]["v2v_ms"] is not None
    assert result["turns"][1]["v2v_ms"] is None
    assert result["engine"] is None  # not asked for, and this server does not say


def test_a_server_that_dies_is_exit_code_1_and_leaves_the_files(wav, tmp_path, capsys):
    async def die(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        served.socket.transport.abort()

    with serving(die) as address:
        assert run_call(address, [wav, wav], out=tmp_path, manners=QUICK) == 1
    out, err = capsys.readouterr()
    assert "connection broke" in err
    assert "2 of 2 turns unanswered" in err
    assert Path(json.loads(out)["stereo"]).stat().st_size > IN_RATE
    assert "ended-early" in (tmp_path / "events.jsonl").read_text(encoding="utf-8")


def test_ctrl_c_hangs_up_and_leaves_the_files(wav, tmp_path, capsys):
    async def patient(served: Served) -> None:
        await ready(served)
        await served.next_user_end()
        os.kill(os.getpid(), signal.SIGINT)

    with serving(patient) as address:
        assert run_call(address, [wav, wav], out=tmp_path, manners=QUICK) == 1
    out, err = capsys.readouterr()
    assert "the caller hung up; 2 of 2 turns unanswered" in err
    assert json.loads(out)["turns"][0]["user_end_ms"] > 300
    assert (tmp_path / "call.wav").stat().st_size > IN_RATE


def test_ctrl_c_before_the_call_began_is_a_sentence(wav, tmp_path, capsys):
    async def mute(served: Served) -> None:
        await served.socket.recv()
        os.kill(os.getpid(), signal.SIGINT)

    with serving(mute) as address:
        assert run_call(address, [wav], out=tmp_path, manners=QUICK) == 2
    assert "hung up before the call began" in capsys.readouterr().err


def test_refusals_and_bad_arguments_are_exit_code_2(wav, tmp_path, capsys):
    async def busy(served: Served) -> None:
        await served.socket.close(4429, "2 calls at most")

    silent = tmp_path / "text.wav"
    silent.write_text("hello")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{s.getsockname()[1]}"
        with serving(busy) as address:
            for url, wavs, words in [
                (address, [wav], "all lines are busy: 2 calls at most (4429)"),
                (nobody, [wav], "nobody answers there"),
                ("ftp://x", [wav], "no server address"),
                (address, [], "at least one --wav"),
                (address, [tmp_path / "absent.wav"], "no such file"),
                (address, [silent], "not a readable audio file"),
            ]:
                assert run_call(url, wavs, out=tmp_path, manners=QUICK) == 2
                out, err = capsys.readouterr()
                assert out == ""
                assert words in err
                assert len(err.strip().splitlines()) == 1
                assert "Traceback" not in err


def test_an_output_that_cannot_be_written_is_a_sentence(wav, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run_call("127.0.0.1:9", [wav], out=blocked, manners=QUICK) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_a_silent_file_has_no_latency(tmp_path, capsys):
    wav = tmp_path / "silent.wav"
    write_wav(wav, silence(300, IN_RATE), IN_RATE)

    async def patient(served: Served) -> None:
        await ready(served)

    with serving(patient) as address:
        assert run_call(address, [wav], out=tmp_path, manners=QUICK) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["turns"][0]["user_end_ms"] is None
    assert "nothing is audible" in err
