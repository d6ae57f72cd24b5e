"""`maata weights fetch` against a hub on the loopback, by the hub's own client."""

import errno
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maata.fetch import is_own, run_fetch, wanted
from maata.profile import Profile, load_profile
from models import fetch as fetching
from models.fetch import fetch, verify
from models.fetch_errors import DiskFull, FetchError, explain
from models.fetch_repo import HALF, Hub, look_up, missing
from models.weights import WeightsMissing, local
from tests.maata.loopback_hub import LoopbackHub, Repository, serving

WEIGHTS = np.random.default_rng(0).bytes(3_000_000)
FILES = {
    "config.json": b'{"text_card": 48}',
    "model.safetensors": WEIGHTS,
    "tokenizer_spm_32k_3.model": np.random.default_rng(1).bytes(5000),
    "flax_model.msgpack": bytes(90_000),
    "original/consolidated.00.pth": bytes(90_000),
}
ADDRESS = "hf://kyutai/tiny"
NEEDED = len(WEIGHTS) + 5000 + 17


@pytest.fixture
def served():
    with serving(
        kyutai__tiny=Repository(dict(FILES)),
        meta__gated=Repository(dict(FILES), licence=None, token="hf_good"),
    ) as hub:
        yield hub


@pytest.fixture
def hub(served: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    return Hub(served.url, tmp_path / "hub", token=False)


def profile_of(address: str) -> Profile:
    return load_profile("starter", {"s2s.model": address, "s2s.codec": ""})


def test_all_of_a_repository_and_nothing_that_nobody_reads(hub: Hub):
    found = look_up(ADDRESS, hub)
    assert (found.licence, found.gated, found.allowed) == ("cc-by-4.0", False, True)
    assert found.size == sum(missing(found, hub).values()) == NEEDED
    told: Counter[str] = Counter()
    directory = fetch(found, hub, lambda file, more: told.update({file: more}))
    got = {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*.*")}
    assert got == {k: FILES[k] for k in got}
    assert set(got) == {"config.json", "model.safetensors", "tokenizer_spm_32k_3.model"}
    assert told == {name: len(content) for name, content in got.items()}
    assert missing(found, hub) == {}
    assert verify(found, hub) == 3


def test_a_second_fetch_reads_no_file(hub: Hub, served: LoopbackHub):
    fetch(look_up(ADDRESS, hub), hub)
    served.asked.clear()
    fetch(look_up(ADDRESS, hub), hub)
    assert not [path for _, path, _ in served.asked if "/resolve/" in path]


def test_a_revision_is_fetched_by_its_commit(hub: Hub, served: LoopbackHub):
    commit = served.repositories["kyutai/tiny"].commit
    pinned = look_up(f"{ADDRESS}@{commit}", hub)
    assert (pinned.revision, pinned.commit) == (commit, commit)
    assert fetch(pinned, hub).name == commit


def test_a_full_disk_keeps_the_half_and_the_next_run_goes_on(
    hub: Hub, served: LoopbackHub, monkeypatch: pytest.MonkeyPatch
):
    found = look_up(ADDRESS, hub)
    whole = fetching._Counted.write
    monkeypatch.setattr(fetching, "HEADROOM", 0)

    def full(self: fetching._Counted, chunk: bytes) -> int:
        if len(chunk) < 1_000_000:
            return whole(self, chunk)
        whole(self, chunk[:1_000_000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching._Counted, "write", full)
    with pytest.raises(DiskFull, match=r"after 0\.0 of 0\.0 GB of model\.safetensors.*HF_HOME"):
        fetch(found, hub)
    monkeypatch.setattr(fetching._Counted, "write", whole)
    assert missing(found, hub)[found.files[1]] == len(WEIGHTS) - 1_000_000
    told: Counter[str] = Counter()
    directory = fetch(found, hub, lambda file, more: told.update({file: more}))
    assert served.gets("model.safetensors") == [None, "bytes=1000000-"]
    assert told["model.safetensors"] == len(WEIGHTS) - 1_000_000
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS


def test_a_server_that_ignores_ranges_begins_anew(hub: Hub, served: LoopbackHub):
    found = look_up(ADDRESS, hub)
    blobs = hub.blobs(found.repo)
    blobs.mkdir(parents=True)
    (blobs / (found.files[1].blob + HALF)).write_bytes(b"other bytes")
    served.ranges = False
    told: Counter[str] = Counter()
    directory = fetch(found, hub, lambda file, more: told.update({file: more}))
    assert (directory / "model.safetensors").read_bytes() == WEIGHTS
    assert told["model.safetensors"] == len(WEIGHTS) - len(b"other bytes")


def test_a_half_of_other_bytes_is_found_out_and_removed(hub: Hub):
    found = look_up(ADDRESS, hub)
    blobs = hub.blobs(found.repo)
    blobs.mkdir(parents=True)
    half = blobs / (found.files[1].blob + HALF)
    half.write_bytes(b"other bytes")
    with pytest.raises(FetchError, match=r"model\.safetensors is damaged .* fetch. again"):
        fetch(found, hub)
    assert not half.exists()
    assert (fetch(found, hub) / "model.safetensors").read_bytes() == WEIGHTS


def test_what_arrives_damaged_never_enters_the_cache(hub: Hub, served: LoopbackHub):
    served.damage = True
    found = look_up(ADDRESS, hub)
    with pytest.raises(FetchError, match="damaged"):
        fetch(found, hub)
    assert not list(hub.blobs(found.repo).glob("*"))


def test_what_was_damaged_since_is_found_and_fetched_again(hub: Hub):
    found = look_up(ADDRESS, hub)
    directory = fetch(found, hub)
    blob = (directory / "model.safetensors").resolve()
    blob.write_bytes(WEIGHTS[:-1] + b"?")
    with pytest.raises(FetchError, match=r"model\.safetensors is damaged"):
        verify(found, hub)
    assert list(missing(found, hub)) == [found.files[1]]
    assert (fetch(found, hub) / "model.safetensors").read_bytes() == WEIGHTS


def test_too_small_a_disk_is_told_before_anything_comes(
    hub: Hub, served: LoopbackHub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetching, "HEADROOM", 10**15)
    with pytest.raises(DiskFull, match=r"needs 0\.0 GB and .* are free: free 9\d+\.\d GB in"):
        fetch(look_up(ADDRESS, hub), hub)
    assert served.gets("model.safetensors") == []


@pytest.mark.parametrize(
    ("address", "token", "words"),
    [
        ("hf://kyutai/none", False, "no such repository: correct the address, .* set HF_TOKEN"),
        ("hf://kyutai/tiny@v9", False, "no such revision: correct what follows the @"),
        ("hf://meta/gated", False, "gated and no token is set: accept its terms .* HF_TOKEN"),
        ("hf://meta/gated", "hf_other", "gated and your token may not read it: accept its terms"),
    ],
)
def test_what_the_hub_refuses_has_its_remedy(hub: Hub, address: str, token: str | bool, words: str):
    other = Hub(hub.endpoint, hub.cache, token)
    with pytest.raises(FetchError, match=words) as told:
        fetch(look_up(address, other), other)
    assert "\n" not in str(told.value)


def test_a_gated_repository_opens_to_the_right_token(hub: Hub):
    right = Hub(hub.endpoint, hub.cache, "hf_good")
    found = look_up("hf://meta/gated", right)
    assert (found.licence, found.gated, found.allowed) == ("not stated", True, True)
    assert (fetch(found, right) / "model.safetensors").read_bytes() == WEIGHTS


def test_no_network_has_its_remedy(tmp_path: Path):
    nowhere = Hub("http://127.0.0.1:9", tmp_path, token=False)
    with pytest.raises(FetchError, match=r"cannot be reached \(ConnectError\): connect .* HF_HOME"):
        look_up(ADDRESS, nowhere)


def test_an_unknown_failure_of_the_system_names_the_file():
    denied = PermissionError(errno.EACCES, "Permission denied", "/srv/hub")
    assert "Permission denied (/srv/hub)" in str(explain(denied, ADDRESS))


def test_the_command_says_terms_and_fetches(hub: Hub, capsys: pytest.CaptureFixture[str]):
    profile = profile_of(ADDRESS)
    assert run_fetch(profile, dry_run=True, hub=hub) == 0
    told = capsys.readouterr().out
    assert "licence: cc-by-4.0; open to everyone" in told
    assert "0.00 GB in 3 files; 0.00 GB in 3 files to come" in told
    assert "for s2s.model; commit" in told
    assert not (hub.cache or Path()).exists()
    assert run_fetch(profile, check=True, hub=hub) == 0
    assert "is here, verified" in capsys.readouterr().out


def test_the_command_fails_where_terms_are_not_accepted(
    hub: Hub, capsys: pytest.CaptureFixture[str]
):
    assert run_fetch(profile_of("hf://meta/gated"), dry_run=True, hub=hub) == 1
    assert "your token may not read it yet" in capsys.readouterr().out
    assert run_fetch(profile_of("hf://meta/gated"), hub=hub) == 1
    assert "accept its terms" in capsys.readouterr().out


def test_a_killed_fetch_goes_on_and_then_needs_no_hub(tmp_path: Path):
    """The whole way with the environment's settings, in processes of their own."""
    whole = np.random.default_rng(2).bytes(24_000_000)  # the client writes 10 MB at a time
    profile = tmp_path / "mine.toml"
    profile.write_text(f'[s2s]\nmodel = "{ADDRESS}"\ncodec = ""\n')
    code = (
        "from maata.profile import load_profile; from maata.fetch import run_fetch;"
        f"code = run_fetch(load_profile({str(profile)!r}));"
        f"from models.weights import local; print(local({ADDRESS!r})); raise SystemExit(code)"
    )
    home = tmp_path / "home"
    with serving(kyutai__tiny=Repository(FILES | {"model.safetensors": whole})) as served:
        env = {**os.environ, "HF_ENDPOINT": served.url, "HF_HOME": str(home)}
        served.drip = 0.02
        first = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE)
        until = time.monotonic() + 60
        while not any(p.stat().st_size for p in home.rglob("*" + HALF)):
            assert first.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.02)
        first.kill()
        first.communicate()
        served.drip = 0.0
        again = run(code, env)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "all weights are here" in again.stdout
        assert served.gets("model.safetensors")[0] is None
        assert re.fullmatch(r"bytes=[1-9]\d+-", str(served.gets("model.safetensors")[-1]))
        served.asked.clear()
        offline = run(code, env | {"HF_HUB_OFFLINE": "1"})
        assert offline.returncode == 0, offline.stderr
        directory = Path(offline.stdout.splitlines()[-1])
        assert (directory / "model.safetensors").read_bytes() == whole
        assert served.asked == []


def run(code: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )


def test_local_never_fetches(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(WeightsMissing, match="maata weights fetch"):
        local("hf://kyutai/surely-not-here")


def test_which_addresses_a_profile_names():
    overrides = {
        "s2s.model": "hf://a/s2s@v1",
        "s2s.adapters": {"te": "hf://a/te"},
        "s2s.captions": "hf://a/asr",
        "cascade.asr.model": "hf://a/asr",
        "cascade.llm.backend": "openai",
        "cascade.llm.base_url": "http://127.0.0.1:8000/v1",
        "cascade.llm.model": "a/llm",
    }
    profile = load_profile("starter", overrides)
    assert {w.address: w.settings for w in wanted(profile)} == {
        "hf://a/asr": ("cascade.asr.model", "s2s.captions"),
        "hf://a/s2s@v1": ("s2s.model",),
        "hf://a/te": ("s2s.adapters.te",),
        "hf://a/llm": ("cascade.llm.model",),
    }
    assert [w.address for w in wanted(profile, "cascade")] == ["hf://a/asr", "hf://a/llm"]
    assert wanted(load_profile("starter")) == []
    spoken = load_profile(
        "starter", {"cascade.tts.engine": "speecht5", "cascade.tts.model": "hf://a/tts@v2"}
    )
    assert [(w.address, w.settings) for w in wanted(spoken, "cascade")] == [
        ("hf://a/tts@v2", ("cascade.tts.model",))
    ]
    far = load_profile(
        "starter", overrides | {"cascade.llm.base_url": "https://api.example.com/v1"}
    )
    assert "hf://a/llm" not in [w.address for w in wanted(far)]


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost:8000/v1", True),
        ("http://vllm:8000/v1", True),
        ("http://10.0.0.7/v1", True),
        ("https://api.example.com/v1", False),
        ("http://8.8.8.8/v1", False),
        ("", False),
    ],
)
def test_whose_server_an_address_is(url: str, own: bool):
    assert is_own(url) is own
