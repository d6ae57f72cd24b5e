"""What a run says about the machine it ran on."""

from benchmarks.suite.environment import PACKAGES, environment, hardware, profile_identity, weights
from benchmarks.suite.environment import tree_sha256 as tree
from maata.profile import load_profile


def test_the_machine_is_named():
    found = environment()
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0.1
    assert found["cpu"]
    assert {*found["versions"]} == {*PACKAGES}
    assert found["versions"]["torch"]
    assert (found["gpu"] is None) == (found["driver"] is None)
    assert (found["commit"] is None) == (found["dirty"] is None)
    assert hardware(found | {"gpu": None}) == f"{found['cpu']}, {found['cores']} cores"
    assert hardware(found | {"gpu": "NVIDIA L4"}) == "NVIDIA L4"


def test_a_setting_changes_the_profile():
    plain = profile_identity(load_profile("starter"))
    assert plain == profile_identity(load_profile("starter"))
    assert plain["name"] == "starter"
    other = profile_identity(load_profile("starter", {"cascade.llm.max_tokens": 10}))
    assert other["sha256"] != plain["sha256"]


def test_weights_are_known_by_their_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "model.bin").write_bytes(b"abc")
    before = tree(tmp_path)
    found = weights({"cascade": {"asr": str(tmp_path), "tts": "espeak-ng", "llm": "hf://a/b@c"}})
    assert found == {"asr": before}
    (tmp_path / "sub" / "model.bin").write_bytes(b"abd")
    assert tree(tmp_path) != before
