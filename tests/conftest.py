"""Shared by all rooms' tests: the engines on the starter weights, loaded once a run."""

import pytest

from maata.profile import Profile, load_profile
from pipelines.engines import Engines


@pytest.fixture(scope="session")
def starter_profile() -> Profile:
    return load_profile("starter")


@pytest.fixture(scope="session")
def engines(starter_profile: Profile) -> Engines:
    """The real starter models, as every server of the tests shares them."""
    loaded = Engines(starter_profile)
    loaded.check()
    loaded.load()
    return loaded
