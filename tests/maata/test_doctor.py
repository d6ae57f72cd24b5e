"""`maata doctor` on machines made of answers, and once on this one."""

import errno
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from maata.doctor import run_doctor
from maata.doctor_capacity import capacities, memory_needed
from maata.doctor_checks import Finding, checks
from maata.doctor_needs import addresses
from maata.doctor_probes import (
    Driver,
    Gpu,
    ProbeFailed,
    Probes,
    bind,
    driver,
    free_disk,
    memory,
    models_served,
    torch_build,
)
from maata.profile import load_profile

L4 = Driver("550.54", (12, 4), (Gpu("NVIDIA L4", 24_152_899_584, 23_800_000_000),))
A40 = Driver("550.54", (12, 4), (Gpu("NVIDIA A40", 48_305_799_168, 47_900_000_000),))
LLAMA = "meta-llama/Llama-3.2-1B-Instruct"


def raises(sentence: str) -> Callable[..., Any]:
    def probe(*asked: Any) -> Any:
        raise ProbeFailed(sentence)

    return probe


def machine(**other: Any) -> Probes:
    """A pod with an A40, everything in place."""
    answers: dict[str, Any] = {
        "driver": lambda: A40,
        "torch_build": lambda: ("2.13.0", (12, 8)),
        "ctranslate2_problem": lambda: "",
        "memory": lambda: (64 * 10**9, 60 * 10**9),
        "cores": lambda: 8,
        "free_disk": lambda directory: 200 * 10**9,
        "bind": lambda host, port: "",
        "installed": lambda package: True,
        "espeak": lambda: None,
        "weights": lambda address: Path("/weights") / address.rpartition("/")[2],
        "hub_cache": lambda: Path("/cache"),
        "page": lambda: True,
        "models_served": lambda url, key: [LLAMA],
    }
    return Probes(**(answers | other))


def failing(profile: str, probes: Probes, **overrides: str) -> dict[str, Finding]:
    found = checks(load_profile(profile, overrides), probes)
    return {f.name: f for f in found if f.state != "ok"}


def test_a_machine_with_everything_passes(capsys: pytest.CaptureFixture[str]):
    assert run_doctor(load_profile("a40"), probes=machine(), as_json=True) == 0
    told = capsys.readouterr().out
    result = json.loads(told.splitlines()[-1])
    assert result["ok"] is True
    assert [e["engine"] for e in result["engines"]] == ["cascade", "s2s"]
    assert [e["basis"] for e in result["engines"]] == ["predicted", "predicted"]
    assert all(0 < e["calls"] <= 10 for e in result["engines"])
    assert "predicted, not measured" in told
    assert "it answers in English; the cascade answers in Telugu" in told
    assert {f["name"] for f in result["findings"]} >= {
        *("gpu", "torch", "ctranslate2", "gpu memory", "memory", "moshi", "espeak-ng", "ffmpeg"),
        *("weights", "disk", "port", "page", "llm server"),
    }


@pytest.mark.parametrize(
    ("name", "other", "words", "engines"),
    [
        ("gpu", {"driver": raises("nvidia-smi is not installed")}, "install NVIDIA's driver", 2),
        ("torch", {"torch_build": lambda: ("2.13.0+cpu", None)}, "UV_TORCH_BACKEND=auto", 1),
        ("torch", {"torch_build": lambda: ("2.13.0", (13, 0))}, "driver to one for CUDA 13", 1),
        ("torch", {"torch_build": raises("torch is not installed")}, "make setup", 2),
        ("ctranslate2", {"ctranslate2_problem": lambda: "no BLAS: install it"}, "install it", 2),
        (
            "gpu memory",
            {"driver": lambda: replace(A40, gpus=(Gpu("NVIDIA A40", 48 * 10**9, 9 * 10**9),))},
            "end other programs on the card",
            2,
        ),
        ("gpu memory", {"driver": lambda: L4}, "lower s2s.slots, serve one engine", 2),
        ("memory", {"memory": lambda: (8 * 10**9, 6 * 10**9)}, "12 GB are needed to convert", 2),
        ("moshi", {"installed": lambda package: False}, "make setup", 1),
        ("espeak-ng", {"espeak": raises("no library: install maata[espeak]")}, "install maata", 1),
        ("weights", {"weights": raises("not here")}, "maata weights fetch --profile a40", 1),
        ("disk", {"free_disk": lambda directory: 10**8}, "set HF_HOME to a larger disk", 0),
        ("port", {"bind": lambda host, port: "Address already in use"}, "--set server.port", 0),
        ("page", {"page": lambda: False}, "make page", 0),
        ("llm server", {"models_served": raises("no answer")}, "docker compose --profile gpu", 1),
        ("llm server", {"models_served": lambda url, key: ["other"]}, "cascade.llm.model to", 1),
    ],
)
def test_each_failure_has_its_remedy(
    name: str,
    other: dict[str, Any],
    words: str,
    engines: int,
    capsys: pytest.CaptureFixture[str],
):
    probes = machine(**other)
    found = failing("a40", probes)[name]
    assert found.state == "fail"
    assert words in found.remedy
    assert len(found.engines) == engines
    assert run_doctor(load_profile("a40"), probes=probes) == 1
    told = capsys.readouterr().out
    assert "something is missing" in told
    assert words in told


def test_without_a_gpu_a_profile_for_the_cpu_passes():
    probes = machine(driver=raises("nvidia-smi is not installed"))
    assert failing("starter", probes) == {}
    assert run_doctor(load_profile("starter"), probes=probes) == 0
    (cascade,) = capacities(load_profile("starter"), probes, [])
    assert (cascade.runs, cascade.calls, cascade.basis) == (True, 2, "measured")
    lonely = machine(driver=raises("none"), cores=lambda: 1)
    (cascade,) = capacities(load_profile("starter"), lonely, [])
    assert (cascade.calls, cascade.basis) == (None, "unknown")


def test_within_one_major_number_an_older_driver_will_do():
    older = replace(A40, cuda=(12, 2))
    assert failing("a40", machine(driver=lambda: older)) == {}


def test_too_little_free_memory_is_only_a_warning_where_there_is_enough():
    found = failing("a40", machine(memory=lambda: (64 * 10**9, 2 * 10**9)))["memory"]
    assert (found.state, found.engines) == ("warn", ())


def test_what_is_converted_needs_no_memory_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAATA_CACHE", str(tmp_path))
    small = machine(memory=lambda: (8 * 10**9, 6 * 10**9))
    assert "memory" in failing("a40", small)
    converted = tmp_path / "ct2" / "whisper-telugu-large-v2-float16-0123456789ab"
    converted.mkdir(parents=True)
    (converted / "model.bin").touch()
    assert "memory" not in failing("a40", small)


def test_an_l4_holds_the_engines_one_at_a_time():
    probes = machine(driver=lambda: L4)
    assert failing("l4", probes) == {}
    (cascade,) = capacities(load_profile("l4"), probes, [])
    assert (cascade.calls, cascade.basis) == (5, "predicted")
    alone = load_profile("l4", {"engines": '["s2s"]', "engine": "s2s"})
    (s2s,) = capacities(alone, probes, [])
    assert (s2s.runs, s2s.calls) == (True, 3)
    assert "3.9 by time" in s2s.said
    in_bf16 = load_profile(
        "l4", {"engines": '["s2s"]', "s2s.model": "hf://kyutai/moshiko-pytorch-bf16"}
    )
    (s2s,) = capacities(in_bf16, probes, [])
    assert (s2s.runs, s2s.calls) == (False, 0)
    assert "its steps cannot hold even one: take 8-bit weights" in s2s.said


def test_memory_taken_by_others_lowers_the_calls():
    busy = replace(A40, gpus=(Gpu("NVIDIA A40", 48 * 10**9, 25 * 10**9),))
    calls = [
        next(c.calls for c in capacities(load_profile("a40"), m, []) if c.engine == "s2s")
        for m in (machine(), machine(driver=lambda: busy))
    ]
    assert calls == [8, 3]


def test_of_an_unknown_card_nothing_is_predicted():
    odd = replace(A40, gpus=(Gpu("NVIDIA GeForce GTX 1", 48 * 10**9, 47 * 10**9),))
    for engine in capacities(load_profile("a40"), machine(driver=lambda: odd), []):
        assert (engine.calls, engine.basis) == (None, "unknown")
        assert "maata bench --suite load" in engine.said


def test_the_7b_is_not_promised_on_a_cpu():
    profile = load_profile(
        "starter", {"engines": '["s2s"]', "s2s.model": "hf://kyutai/moshiko-pytorch-bf16"}
    )
    (s2s,) = capacities(profile, machine(), [])
    assert (s2s.runs, s2s.calls) == (False, 0)
    small = load_profile("starter", {"engines": '["s2s"]'})
    (s2s,) = capacities(small, machine(), [])
    assert (s2s.runs, s2s.calls, s2s.basis) == (True, None, "unknown")


def test_only_what_an_engine_loads_here_is_looked_for():
    starter = ["starter/asr", "starter/llm", "starter/tts"]
    assert list(addresses(load_profile("starter"))) == starter
    both = addresses(load_profile("a40"))
    assert both["hf://vasista22/whisper-telugu-large-v2"] == ("cascade", "s2s")
    assert not any("Llama" in address for address in both)  # vLLM loads it
    far = load_profile("a40", {"s2s.address": "tcp://127.0.0.1:9", "engines": '["s2s"]'})
    assert list(addresses(far)) == ["hf://vasista22/whisper-telugu-large-v2"]
    assert "s2s weights" not in memory_needed(far)


SPEECHT5 = {
    "cascade.tts.engine": "speecht5",
    "cascade.tts.model": "hf://me/tts",
    "cascade.tts.vocoder": "hf://microsoft/speecht5_hifigan",
}


def test_speecht5_is_looked_for_where_it_speaks():
    espeak = load_profile("starter", {"cascade.tts.engine": "espeak"})
    assert list(addresses(espeak)) == ["starter/asr", "starter/llm"]
    found = addresses(load_profile("a40", SPEECHT5))
    assert found["hf://me/tts"] == found["hf://microsoft/speecht5_hifigan"] == ("cascade",)
    gone = machine(weights=raises("not here"))
    assert failing("starter", gone, **SPEECHT5)["weights"].engines == ("cascade",)
    alone = failing("starter", machine(espeak=raises("no library: install it")), **SPEECHT5)
    assert (alone["espeak-ng"].state, alone["espeak-ng"].remedy) == ("warn", "install it")


def test_speecht5_on_a_gpu_needs_its_memory_and_a_torch_for_it():
    on_cpu, on_gpu = (
        load_profile("a40", SPEECHT5 | {"cascade.tts.device": d}) for d in ("cpu", "cuda")
    )
    assert "speecht5" not in memory_needed(on_cpu)
    needed = memory_needed(on_gpu)["speecht5"]
    assert 1.2e9 < needed < 1.5e9
    more = load_profile("a40", SPEECHT5 | {"cascade.tts.device": "cuda", "cascade.tts.rows": 40})
    assert memory_needed(more)["speecht5"] > needed + 0.8e9
    starter = load_profile("starter", {**SPEECHT5, "cascade.tts.model": "starter/tts"})
    assert memory_needed(starter) == {}
    no_cuda = machine(torch_build=lambda: ("2.13.0+cpu", None))
    settings = SPEECHT5 | {"cascade.tts.device": "cuda"}
    assert failing("l4", no_cuda, **settings)["torch"].engines == ("cascade",)
    assert failing("l4", no_cuda, **SPEECHT5)["torch"].state == "warn"
    on_voice_alone = load_profile(
        "starter", {"cascade.tts.engine": "speecht5", "cascade.tts.device": "cuda"}
    )
    names = {f.name for f in checks(on_voice_alone, machine())}
    assert "torch" in names
    calls = [capacities(p, machine(), [])[0].calls or 0 for p in (on_cpu, on_gpu)]
    assert calls[1] <= calls[0]


SMI = """#!/bin/sh
case "$1" in
  --query-gpu=*) printf '%s\\n' "NVIDIA L4, 550.54.15, 23034, 22500" ;;
  *) printf '%s\\n' "| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4 |" ;;
esac
"""


def test_the_driver_is_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    smi = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    smi.write_text(SMI)
    smi.chmod(0o755)
    found = driver()
    assert (found.version, found.cuda) == ("550.54.15", (12, 4))
    assert found.gpus == (Gpu("NVIDIA L4", 23034 << 20, 22500 << 20),)
    smi.write_text('#!/bin/sh\necho "couldn\'t communicate with the NVIDIA driver"\nexit 9\n')
    with pytest.raises(ProbeFailed, match="couldn't communicate with the NVIDIA driver"):
        driver()


def test_a_port_in_use_is_seen():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert bind("127.0.0.1", port) == os.strerror(errno.EADDRINUSE)
    assert bind("127.0.0.1", port) == ""


def test_a_server_of_models_is_asked_with_its_key(monkeypatch: pytest.MonkeyPatch):
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization"))
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"data": [{"id": LLAMA}]}).encode())

    monkeypatch.setenv("LLM_KEY", "abc")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        assert models_served(f"{url}/v1/", "LLM_KEY") == [LLAMA]
        with pytest.raises(ProbeFailed, match="no answer from"):
            models_served(f"{url}/v2", "")
        thread.join()
    assert heard == ["Bearer abc", None]
    with pytest.raises(ProbeFailed, match="no answer from"):
        models_served("http://127.0.0.1:9/v1", "")


def test_this_machine_runs_the_starter(capsys: pytest.CaptureFixture[str]):
    """The real probes, all of them."""
    total, available = memory()
    assert 0 < available <= total
    assert free_disk(Path("/nowhere/at/all")) == free_disk(Path("/"))
    version, cuda = torch_build()
    import torch

    assert version == torch.__version__
    assert cuda is None or f"{cuda[0]}.{cuda[1]}" == torch.version.cuda
    code = run_doctor(load_profile("starter", {"server.port": "0"}), as_json=True)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    missing = {f["name"] for f in result["findings"] if f["state"] == "fail"}
    assert missing <= {"page"}  # a fresh checkout has not built it
    assert code == int(bool(missing))
    assert result["engines"][0]["engine"] == "cascade"
