"""The court that the tests of GraphProof share."""

import numpy as np
import pytest

from headrace.graph2.trace import Trace
from tests.harness import Account, Chain
from tests.unit.graph_proof.court import Claim, Court, lie, small_model


@pytest.fixture(scope="session")
def court(chain: Chain) -> Court:
    """The small model on three units."""
    rng = np.random.default_rng(11)
    tensor = rng.integers(-128, 128, (240, 40)).astype(np.int8)
    return Court.of(chain, small_model(), tensor)


@pytest.fixture(scope="session")
def right(court: Court) -> Trace:
    """The right trace."""
    return court.right()


@pytest.fixture
def prover(chain: Chain) -> Account:
    """Who proves."""
    return chain.accounts[3]


@pytest.fixture
def demander(chain: Chain) -> Account:
    """Who demands data."""
    return chain.accounts[4]


@pytest.fixture
def answerer(chain: Chain) -> Account:
    """Who answers."""
    return chain.accounts[5]


@pytest.fixture
def honest(court: Court, right: Trace) -> Claim:
    """A right claim, made in the latest block."""
    return court.claim(right)


@pytest.fixture
def false(court: Court, right: Trace) -> Claim:
    """A claim with one wrong element in operator 1."""
    return court.claim(lie(right))
