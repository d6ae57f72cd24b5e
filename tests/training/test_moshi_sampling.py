"""The exam draws as a call of the starter profile does, and a profile's temperatures arrive."""

import dataclasses

from maata.profile import load_profile
from pipelines.s2s_engine import spec
from training.moshi_score import SAMPLING

DRAWN = ("temperature", "temperature_text", "temperature_padding", "top_k", "top_k_text")


def test_the_exam_and_the_host_draw_as_the_starter_profile_says() -> None:
    profile = load_profile("starter")
    engine = spec(profile)
    assert not isinstance(engine, str)
    examined = dataclasses.asdict(SAMPLING)
    for name in DRAWN:
        said = getattr(profile.s2s, name)
        assert said is not None
        assert examined[name] == engine.options[name] == said
