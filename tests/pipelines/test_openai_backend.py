"""The second language-model back end, against a real OpenAI-compatible server.

`transformers serve` holds the starter weights from their local directory, as vLLM would in
production: the call asks over HTTP, streams, and apologises when that server is gone.
"""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from maata.profile import load_profile
from models.int8_files import unpack_directory
from models.weights import resolve
from pipelines.cascade_models import CascadeModels
from pipelines.engines import Engines
from tests.live import ESPEAK, QUESTION, calling, serving

pytestmark = pytest.mark.slow
TRANSFORMERS = Path(sys.executable).with_name("transformers")


@dataclass
class LlmServer:
    url: str
    model: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def llm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlmServer]:
    """With the starter model in the form that stock tools read."""
    model = unpack_directory(resolve("starter/llm"), tmp_path_factory.mktemp("llm") / "llm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [TRANSFORMERS, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        wait_for_answer(url, str(model))
        yield LlmServer(url, str(model), process)
    finally:
        process.kill()
        process.wait()


def wait_for_answer(url: str, model: str, seconds: float = 90) -> None:
    """The server loads a model when it is first asked for."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "నమస్కారం"}],
        "max_tokens": 4,
    }
    request = urllib.request.Request(
        f"{url}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline = monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(request, timeout=60).read()
            return
        except OSError:
            assert monotonic() < deadline
            sleep(0.5)


@pytest.fixture
def live(llm_server, engines):
    profile = load_profile(
        "starter",
        ESPEAK
        | {
            "cascade.llm.backend": "openai",
            "cascade.llm.model": llm_server.model,
            "cascade.llm.base_url": llm_server.url,
        },
    )
    remote = Engines(profile)
    remote.check()
    assert isinstance(engines.cascade, CascadeModels)
    shared = engines.cascade
    remote.cascade = CascadeModels(shared.recognizer, None, shared.synthesizer, shared.turns)
    with serving(profile, remote) as server:
        yield server


async def test_the_server_elsewhere_answers_and_its_death_is_apologised_for(live, llm_server):
    async with calling(live.url) as caller:
        ended = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(ended), 30)
        await caller.until(lambda: "bot-stopped-speaking" in caller.kinds(), 30)
        first = " ".join(d["text"] for d in caller.of("bot-tts-text"))
        assert any("\u0c00" <= c <= "\u0c7f" for c in first)
        assert "క్షమించండి, ఇప్పుడు" not in first

        llm_server.process.kill()
        again = await caller.speak(QUESTION, quiet=1.0)
        await caller.until(lambda: caller.loud(again), 30)
        await caller.until(lambda: caller.kinds().count("bot-stopped-speaking") > 1, 30)
    assert "క్షమించండి, ఇప్పుడు" in " ".join(d["text"] for d in caller.of("bot-tts-text"))
