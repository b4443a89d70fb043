"""The rules before a registry, deployed once a module."""

import pytest

from tests.graph2.onchain.court import Court
from tests.harness import Chain


@pytest.fixture(scope="module")
def court(chain: Chain) -> Court:
    return Court.of(chain)
