# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Books
@license AGPL-3.0-only
@notice The contracts that accounts can let reserve their money, by index.
@dev INVARIANT: an index, once taken, stays the same book's for ever, and a book has one index.
"""

MAX_BOOKS: constant(uint256) = 16
# Books from this index on are in storage.
_FIXED: constant(uint256) = 2

# The books at index 0 and 1: they are on every job's path, so they cost no storage read.
ESCROW: public(immutable(address))
REGISTRY: public(immutable(address))

# The books from index 2 on. Only ever appended to.
_books: DynArray[address, 14]
# book => its index, for the books from index 2 on; zero if it is none
_index_of: HashMap[address, uint256]


@deploy
def __init__(escrow: address, registry: address):
    assert escrow != empty(address) and registry != empty(address), "vault: first book is zero"
    assert escrow != registry, "vault: first books are the same"
    ESCROW = escrow
    REGISTRY = registry


@external
@view
def book_at(index: uint256) -> address:
    """
    @notice The book at an index.
    @param index The index.
    @return The book; zero if there is none.
    """
    if index == 0:
        return ESCROW
    if index == 1:
        return REGISTRY
    if index >= self._count():
        return empty(address)
    return self._books[unsafe_sub(index, _FIXED)]  # SAFETY: at least 2.


@internal
@view
def _count() -> uint256:
    return unsafe_add(len(self._books), _FIXED)  # SAFETY: at most 16.


@internal
@view
def _index(book: address) -> uint256:
    if book == ESCROW:
        return 0
    if book == REGISTRY:
        return 1
    index: uint256 = self._index_of[book]
    assert index != 0, "vault: caller is no book"
    return index


@internal
@view
def _require_exist(mask: uint256):
    # Bits of the first two books are always good: no storage read for them.
    if mask >> _FIXED != 0:
        assert mask >> self._count() == 0, "vault: no such book"


@internal
def _append(book: address) -> uint256:
    assert book != empty(address), "vault: book is zero"
    exists: bool = book == ESCROW or book == REGISTRY or self._index_of[book] != 0
    assert not exists, "vault: book exists"
    index: uint256 = self._count()
    assert index < MAX_BOOKS, "vault: too many books"
    self._books.append(book)
    self._index_of[book] = index
    return index
