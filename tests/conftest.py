"""Shared by all rooms' tests: the engines on the starter weights, loaded once a run.

`make test` runs two workers: calls, which mostly wait for real time to pass, one after the other in
the first; everything that only computes in the second, on one thread, so that a call under test has
a core of its own.
"""

import os
import sys

if "PYTEST_XDIST_WORKER" in os.environ:  # before anybody imports torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from loguru import logger

from maata.profile import Profile, load_profile
from pipelines.engines import Engines
from tests.live import ESPEAK

REAL_TIME = (
    "tests/benchmarks/",
    "tests/deploy/test_drain.py",
    "tests/deploy/test_tracing.py",
    "tests/pipelines/",
    "tests/services/",
    "tests/web/",
    "tests/models/test_duplex_load.py",
    "tests/models/test_host.py",
    "tests/models/test_host_pace.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Calls first, and all in one worker."""
    for item in items:
        if item.nodeid.startswith(REAL_TIME):
            item.add_marker(pytest.mark.xdist_group("real time"))
    items.sort(key=lambda item: not item.nodeid.startswith(REAL_TIME))


@pytest.fixture
def log_as_before():
    """For who sets up the log: it would go on writing to a stream that the test has closed."""
    yield
    logger.remove()
    logger.add(sys.stderr)


@pytest.fixture(scope="session")
def starter_profile() -> Profile:
    return load_profile("starter", ESPEAK)


@pytest.fixture(scope="session")
def engines(starter_profile: Profile) -> Engines:
    """The real starter models, as every server of the tests shares them."""
    loaded = Engines(starter_profile)
    loaded.check()
    loaded.load()
    return loaded
