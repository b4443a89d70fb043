"""The registry, and a small model."""

import pytest

from headrace.graph2.model import Model
from tests.graph2.random_graphs import random_case
from tests.harness import Account, Chain, Contract

MIN_MIRRORS = 2


@pytest.fixture(scope="session")
def models(chain: Chain) -> Contract:
    """A registry that wants two mirrors."""
    return chain.deploy("GraphModels", MIN_MIRRORS)


@pytest.fixture(scope="session")
def model() -> Model:
    """Eight operators."""
    return random_case(3).model


@pytest.fixture
def mirror(chain: Chain) -> Account:
    """Who keeps a copy."""
    return chain.accounts[4]


def register(models: Contract, model: Model, **options: object) -> bytes:
    """Register a model; gives its program id."""
    receipt = models.register_model(
        model.descriptors, model.input.word, model.max_units, bytes(32), **options
    )
    return bytes(receipt.only("ModelRegistered").program)
