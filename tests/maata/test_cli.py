"""The command line's manners: one sentence and exit code 2 for a user's mistake."""

import socket
import subprocess
import sys

import pytest


def maata(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "maata.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_is_quick_and_imports_no_model():
    code = "import sys; import maata.cli; print('torch' in sys.modules, 'pipecat' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--profile", "no-such"], {}, "no profile 'no-such'"),
        (["--set", "limits.max_cals=3"], {}, "did you mean limits.max_calls"),
        (["--set", "limits.max_calls"], {}, "KEY=VALUE"),
        (["--engine", "s2s", "--set", "s2s.model=/nowhere"], {}, "no weights at '/nowhere'"),
        (["--engine", "s3s"], {}, "engine"),
        ([], {"MAATA_WEIGHTS": "/nonexistent"}, "no weights at 'starter/asr'"),
        (["--set", "cascade.asr.model=hf://bad"], {}, "hf://owner/name@revision"),
        (["--set", "cascade.asr.device=cuda"], {}, "no usable GPU"),
        (["--set", "cascade.llm.backend=openai"], {}, "base_url"),
    ],
)
def test_mistakes_get_a_sentence(arguments, environment, words):
    result = maata("serve", "--port", "0", *arguments, **environment)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_port_in_use_names_the_remedy():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = maata("serve", "--port", str(other.getsockname()[1]))
    assert result.returncode == 2
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_recipe_without_its_text_says_what_to_give():
    for recipe in ("asr", "codec"):
        result = maata("train", recipe, "--data", "/nowhere")
        assert result.returncode == 2
        assert "--data" in result.stderr
        assert "Traceback" not in result.stderr
