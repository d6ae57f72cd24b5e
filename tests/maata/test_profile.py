"""Profiles: parsed once, overridden in order, and clear about mistakes."""

import pytest

from maata.profile import ProfileError, load_profile, profile_names


def test_every_shipped_profile_parses():
    for name in profile_names():
        assert load_profile(name).name == name


def test_overrides_are_typed_like_toml():
    profile = load_profile(
        "starter", {"limits.max_calls": "3", "cascade.turns.smart_turn": "false"}
    )
    assert profile.limits.max_calls == 3
    assert profile.cascade.turns.smart_turn is False


def test_command_line_wins_over_environment(monkeypatch):
    monkeypatch.setenv("MAATA_LIMITS__MAX_CALLS", "5")
    assert load_profile("starter").limits.max_calls == 5
    assert load_profile("starter", {"limits.max_calls": "6"}).limits.max_calls == 6


def test_variables_that_are_no_settings_are_left_alone(monkeypatch):
    monkeypatch.setenv("MAATA_WEIGHTS", "/somewhere")
    monkeypatch.setenv("MAATA_TOKEN", "secret")
    assert load_profile("starter").name == "starter"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("limits.max_cals", "3", "did you mean limits.max_calls"),
        ("limits.max_calls", "many", "limits.max_calls"),
        ("limits.max_calls", "0", "greater than or equal to 1"),
        ("engine", "warp", "cascade"),
        ("cascade.llm.backend", "cloud", "ctranslate2"),
        ("engine.x", "1", "engine is a value"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(key, value, words):
    with pytest.raises(ProfileError, match=words.replace(".", r"\.")):
        load_profile("starter", {key: value})


def test_a_missing_profile_lists_the_shipped_ones():
    with pytest.raises(ProfileError, match="starter"):
        load_profile("no-such")


def test_a_broken_file_says_where(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("engine = \n")
    with pytest.raises(ProfileError, match="line 1"):
        load_profile(str(path))


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[voice]\ndefault = "ravi"\n')
    profile = load_profile(str(path))
    assert (profile.name, profile.voice.default, profile.engine) == ("mine", "ravi", "cascade")


def test_an_engine_asked_for_by_name_is_served_beside_the_profile_s():
    assert load_profile("starter", {"engine": "s2s"}).engines == ["cascade", "s2s"]
    assert load_profile("starter", {"engine": "cascade"}).engines == ["cascade"]
    alone = load_profile("starter", {"engine": "s2s", "engines": ["s2s"]})
    assert alone.engines == ["s2s"]
