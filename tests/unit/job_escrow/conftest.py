"""What the tests of JobEscrow have in common."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.models.job_money import Moves
from tests.system import System

Books = Callable[[Moves], AbstractContextManager[None]]


@pytest.fixture
def books(system: System) -> Books:
    """
    `with books(moves):` asserts that the block moves in the Vault just what `moves` says: the lanes
    of everybody, and the sink, to the unit.
    """

    @contextmanager
    def compare(moves: Moves) -> Iterator[None]:
        assert moves.total() == 0
        others = set(moves.changes()) - set(system.people)
        before, sunk = system.balances(*others), system.vault.sunk()
        yield
        assert system.changes(before) == moves.changes()
        assert system.vault.sunk() - sunk == moves.sunk
        system.assert_conserved(*others)

    return compare
