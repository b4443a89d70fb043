# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Accounts
@license AGPL-3.0-only
@notice What each account has free, what each book has reserved of it, and the totals.
@dev Owns the accounts' words; what books do with them is in modules/moves.
     INVARIANT: what is free and reserved of all accounts, and the sink, add up to `total_held`,
     which has at most 80 bits. So no lane can overflow whatever a book does, no credit needs a
     check, and nobody can block a refund by filling an account up.
"""

from interfaces import IVault

_M80: constant(uint256) = 2**80 - 1
_M128: constant(uint256) = 2**128 - 1
_M240: constant(uint256) = 2**240 - 1
_MAX_BOOKS: constant(uint256) = 16
# Books below this index have a lane in the account's word, the others a slot per account.
_LANES: constant(uint256) = 2

# account => authorised books 16 | reserved for book 1 80 | reserved for book 0 80 | free 80
_words: HashMap[address, uint256]
# account => index => reserved for the book, for the books that have no lane
_reserved: HashMap[address, HashMap[uint256, uint256]]
# total_held 128 | sunk 128
_totals: uint256


# ---- views


@external
@view
def account_of(account: address) -> IVault.Account:
    """
    @notice All that one word says of an account.
    @param account The account.
    @return What is free, what the books at 0 and 1 have reserved, the mask of authorised books.
    """
    word: uint256 = self._words[account]
    return IVault.Account(
        free=word & _M80,
        reserved_escrow=(word >> 80) & _M80,
        reserved_registry=(word >> 160) & _M80,
        books=word >> 240,
    )


@external
@view
def free_of(account: address) -> uint256:
    """
    @notice What an account can withdraw, and its books reserve.
    @param account The account.
    @return Token units.
    """
    return self._words[account] & _M80


@external
@view
def reserved_of(account: address, index: uint256) -> uint256:
    """
    @notice What a book has reserved of an account.
    @param account The account.
    @param index The book's index.
    @return Token units; zero if there is no such book.
    """
    if index < _LANES:
        return (self._words[account] >> self._lane(index)) & _M80
    return self._reserved[account][index]


@external
@view
def may_reserve(account: address, index: uint256) -> bool:
    """
    @notice Whether an account lets a book reserve.
    @param account The account.
    @param index The book's index.
    @return Whether it does; False if there is no such book.
    """
    return index < _MAX_BOOKS and self._is_authorised(self._words[account], index)


@external
@view
def total_held() -> uint256:
    """
    @notice What is free and reserved of all accounts, and the sink.
    @return Token units.
    """
    return self._totals >> 128


@external
@view
def sunk() -> uint256:
    """
    @notice What came into the sink since it was last flushed.
    @return Token units.
    """
    return self._totals & _M128


# ---- internal


@internal
@view
def _require_room(amount: uint256):
    # INVARIANT: all that is held fits one lane.
    # SAFETY: the total has 80 bits, so it is at most the mask.
    assert amount <= unsafe_sub(_M80, self._totals >> 128), "vault: total above 80 bits"


@internal
def _bring_in(account: address, amount: uint256):
    """
    @dev Wants `_require_room` before.
    """
    # SAFETY: there is room in the total, of which this account is a part.
    self._words[account] = unsafe_add(self._words[account], amount)
    self._totals = unsafe_add(self._totals, amount << 128)


@internal
def _take_out(account: address, amount: uint256):
    word: uint256 = self._words[account]
    assert word & _M80 >= amount, "vault: not enough free"
    # SAFETY: the account holds `amount`, so the total does.
    self._words[account] = unsafe_sub(word, amount)
    self._totals = unsafe_sub(self._totals, amount << 128)


@internal
@view
def _owed() -> uint256:
    """
    @return What is free and reserved of all accounts.
    """
    totals: uint256 = self._totals
    return unsafe_sub(totals >> 128, totals & _M128)  # SAFETY: the sink is part of the total.


@internal
def _empty_sink(owed: uint256):
    """
    @dev Wants `_owed()`, read in the same call.
    """
    self._totals = owed << 128


@internal
def _authorise(account: address, books: uint256, allowed: bool):
    word: uint256 = self._words[account]
    old: uint256 = word >> 240
    new: uint256 = old | books if allowed else old & ~books
    if new == old:
        return
    self._words[account] = (word & _M240) | (new << 240)
    for index: uint256 in range(_MAX_BOOKS):
        changed: uint256 = (old ^ new) >> index
        if changed == 0:
            break
        if changed & 1 == 1:
            log IVault.Authorised(account=account, index=index, allowed=allowed)


@internal
def _sink(amount: uint256):
    if amount != 0:
        # SAFETY: the sink is part of the total, which has 80 bits.
        self._totals = unsafe_add(self._totals, amount)


@internal
@pure
def _lane(index: uint256) -> uint256:
    return unsafe_mul(80, unsafe_add(index, 1))  # SAFETY: the index is 0 or 1.


@internal
@pure
def _is_authorised(word: uint256, index: uint256) -> bool:
    return (word >> unsafe_add(240, index)) & 1 == 1  # SAFETY: an index has 4 bits.
