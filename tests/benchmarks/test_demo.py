"""The demo runs as users run it, and leaves no server behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from benchmarks.server.child import Server, ServerFailed

ROOT = Path(__file__).parents[2]


def demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.demo", "--out", str(out), *arguments]
    env = os.environ | {"COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_that_cannot_start_is_one_sentence(tmp_path):
    done = demo(tmp_path, "--set", "nonsense=1")
    assert done.returncode == 1
    assert "nonsense" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_server_that_ends_early_is_named(tmp_path):
    with (
        pytest.raises(ServerFailed, match="ended before it was ready"),
        Server(tmp_path / "log", "--no-such-option"),
    ):
        pass


@pytest.mark.slow
def test_the_demo_answers_three_turns(tmp_path):
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("నమస్కారం నా పేరు అనిత", "cascade", "recording"):
        assert words in done.stdout
    frames, rate = soundfile.read(tmp_path / "demo-cascade" / "call.wav", dtype="int16")
    assert rate == 24_000
    assert (abs(frames).max(axis=0) > 1000).all()  # both sides are there


@pytest.mark.slow
def test_the_server_ends_with_its_block(tmp_path):
    with Server(tmp_path / "log") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.pid is not None
        assert is_running(server.pid)
    assert not is_running(server.pid)
