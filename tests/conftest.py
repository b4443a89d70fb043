"""The chain that all tests of a process share, and the walls between them."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.harness import Chain
from tests.system import System

# A first call compiles and starts a node, so no example has a deadline.
_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("dev", max_examples=25, stateful_step_count=20, **_COMMON)
settings.register_profile(
    "ci",
    max_examples=40,
    stateful_step_count=30,
    print_blob=True,
    derandomize=True,
    # Shrinking a real failure on a chain takes minutes: the blob repeats it under `dev`.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    **_COMMON,
)
settings.register_profile("nightly", max_examples=1000, stateful_step_count=80, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    """One node a process; started only when a test asks for it."""
    node = Chain()
    yield node
    node.stop()


@pytest.fixture(autouse=True)
def _isolate(request: pytest.FixtureRequest) -> Iterator[None]:
    """Undoes what a test did; what module and session fixtures did before it stays."""
    if "chain" not in request.fixturenames:
        yield
        return
    with request.getfixturevalue("chain").isolated():
        yield


@pytest.fixture(scope="session")
def system(chain: Chain) -> System:
    """The whole system, deployed and funded once a process (tests/system.py)."""
    return System(chain)
