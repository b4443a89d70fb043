import pytest

from tests.harness import reverts
from tests.unit.vault.world import ALL, ESCROW, REGISTRY, THIRD, World, seen


@pytest.mark.parametrize("books", [ESCROW, REGISTRY, THIRD, ESCROW | THIRD, ALL])
def test_lets_exactly_these_books_reserve(bare: World, books: int) -> None:
    bare.fund(bare.alice, 100, books=0)
    receipt = bare.vault.authorise(books, sender=bare.alice)

    given = [i for i in range(3) if books >> i & 1]
    assert seen(receipt, bare.vault) == [("Authorised", bare.alice.address, i, True) for i in given]
    assert bare.vault.account_of(bare.alice) == (100, 0, 0, books)
    assert [bare.vault.may_reserve(bare.alice, i) for i in range(3)] == [
        i in given for i in range(3)
    ]
    for i, book in enumerate(bare.books):
        if i in given:
            bare.vault.reserve(bare.alice, 1, sender=book)
        else:
            with reverts("vault: book not authorised"):
                bare.vault.reserve(bare.alice, 1, sender=book)


def test_only_what_changed_is_logged(bare: World) -> None:
    bare.vault.authorise(REGISTRY, sender=bare.alice)
    receipt = bare.vault.authorise(ALL, sender=bare.alice)
    alice = bare.alice.address
    assert seen(receipt, bare.vault) == [
        ("Authorised", alice, 0, True),
        ("Authorised", alice, 2, True),
    ]
    assert bare.vault.authorise(ALL, sender=bare.alice).events == []
    assert bare.vault.account_of(bare.alice).books == ALL


@pytest.mark.parametrize("books", [8, ALL | 8, 1 << 15, 1 << 16, 1 << 255, 2**256 - 1])
def test_refuses_books_that_are_not_there(bare: World, books: int) -> None:
    with reverts("vault: no such book"):
        bare.vault.authorise(books, sender=bare.alice)


def test_refuses_none(bare: World) -> None:
    with reverts("vault: no book given"):
        bare.vault.authorise(0, sender=bare.alice)


def test_leaves_signatures_alone(bare: World) -> None:
    bare.vault.authorise(ESCROW, sender=bare.alice)
    assert bare.vault.nonces(bare.alice) == 0
