"""The court that the tests of FaultProof share."""

import numpy as np
import pytest

from headrace.graph.trace import Trace
from tests.harness import Account, Chain
from tests.unit.fault_proof.court import Claim, Court, random_input, small_model


@pytest.fixture(scope="session")
def court(chain: Chain) -> Court:
    """The small model on three rows."""
    model = small_model()
    return Court.of(chain, model, random_input(np.random.default_rng(11), 3, model.input_width))


@pytest.fixture(scope="session")
def right(court: Court) -> Trace:
    """The right trace."""
    return court.right


@pytest.fixture
def prover(chain: Chain) -> Account:
    """Who proves."""
    return chain.accounts[3]


@pytest.fixture
def demander(chain: Chain) -> Account:
    """Who demands traces."""
    return chain.accounts[4]


@pytest.fixture
def publisher(chain: Chain) -> Account:
    """Who publishes traces."""
    return chain.accounts[5]


@pytest.fixture
def honest(court: Court, right: Trace) -> Claim:
    """A right claim, made in the latest block."""
    return court.claim(right.root)
