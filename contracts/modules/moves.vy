# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Moves
@license AGPL-3.0-only
@notice What a book may do with accounts: put aside, take out of what it has put aside, give.
@dev Writes the words that modules/accounts owns. INVARIANT: what a function takes and doesn't give
     its caller gives away in the same call, and all is taken before any is given. So the sum stays,
     and on the way it is never larger than what is held.
"""

from contracts.modules import accounts

uses: accounts

_M80: constant(uint256) = 2**80 - 1
# As in modules/accounts. Shifts stand here by hand: these functions are on every job's path, and a call of
# an internal function costs more than what it does.
_LANES: constant(uint256) = 2
_BOOKS: constant(uint256) = 240


@internal
def _set_aside(account: address, index: uint256, amount: uint256):
    """
    @dev From what is free of `account` to what the book at `index` has reserved of it.
    """
    word: uint256 = accounts._words[account]
    assert (word >> unsafe_add(_BOOKS, index)) & 1 == 1, "vault: book not authorised"
    assert word & _M80 >= amount, "vault: not enough to reserve"
    # SAFETY: it leaves what is free for a lane of the same account, and all of it fits one lane.
    word = unsafe_sub(word, amount)
    if index < _LANES:
        word = unsafe_add(word, amount << accounts._lane(index))
    else:
        accounts._reserved[account][index] = unsafe_add(accounts._reserved[account][index], amount)
    accounts._words[account] = word


@internal
def _pay_in(account: address, index: uint256, held: uint256, payment: uint256):
    """
    @dev `held` goes back from what the book at `index` has reserved of `account`, and `payment` out
         of what is free of it then.
    """
    if held == payment:
        self._take(account, index, held, 0, 0)
        return
    if held != 0:
        self._take(account, index, held, held, 0)
    word: uint256 = accounts._words[account]
    # More than is held is a new promise: the book must still have the account's word for it.
    assert (
        payment <= held or (word >> unsafe_add(_BOOKS, index)) & 1 == 1
    ), "vault: payer not authorised"
    assert word & _M80 >= payment, "vault: not enough to pay"
    # SAFETY: just compared.
    accounts._words[account] = unsafe_sub(word, payment)


@internal
def _lock(account: address, index: uint256, lock: uint256, payment: uint256):
    """
    @dev `lock`, from what is free of `account`, and `payment`, which left the payer, join what the
         book at `index` has reserved of `account`.
    """
    word: uint256 = accounts._words[account]
    assert (word >> unsafe_add(_BOOKS, index)) & 1 == 1, "vault: locker not authorised"
    assert word & _M80 >= lock, "vault: not enough to lock"
    # SAFETY: it leaves what is free of this account and of the payer, and all of it fits one lane.
    word = unsafe_sub(word, lock)
    if index < _LANES:
        word = unsafe_add(word, unsafe_add(lock, payment) << unsafe_mul(80, unsafe_add(index, 1)))
    else:
        accounts._reserved[account][index] = unsafe_add(
            accounts._reserved[account][index], unsafe_add(lock, payment)
        )
    accounts._words[account] = word


@internal
def _take(account: address, index: uint256, out: uint256, back: uint256, kept: uint256):
    """
    @dev `out` leaves what the book at `index` has reserved of `account`; of that `back` joins what
         is free of it, `kept` what book 1 has reserved of it. Wants back + kept <= out.
    """
    if out == 0:
        return
    word: uint256 = accounts._words[account]
    # SAFETY: compared before each subtraction.
    if index < _LANES:
        lane: uint256 = unsafe_mul(80, unsafe_add(index, 1))
        assert (word >> lane) & _M80 >= out, "vault: not enough reserved"
        word = unsafe_sub(word, out << lane)
    else:
        reserved: uint256 = accounts._reserved[account][index]
        assert reserved >= out, "vault: not enough in the book"
        accounts._reserved[account][index] = unsafe_sub(reserved, out)
    # SAFETY: as much just left a lane of this account; all of it fits one lane.
    accounts._words[account] = unsafe_add(word, unsafe_add(back, kept << 160))


@internal
def _give(account: address, amount: uint256):
    """
    @dev `amount`, above zero, joins what is free of `account`.
    """
    assert account != empty(address), "vault: payee is zero"
    # SAFETY: as much left lanes of the vault just before; all of it fits one lane.
    accounts._words[account] = unsafe_add(accounts._words[account], amount)


@internal
def _refund(account: address, index: uint256, to_free: uint256, to_reserved: uint256):
    """
    @dev `to_free` joins what is free of `account`, `to_reserved` what the book at `index` has
         reserved of it; not both zero.
    """
    assert account != empty(address), "vault: refund to zero"
    # SAFETY: as much left a lane of the vault just before; all of it fits one lane.
    word: uint256 = unsafe_add(accounts._words[account], to_free)
    if to_reserved != 0:
        if index < _LANES:
            word = unsafe_add(word, to_reserved << accounts._lane(index))
        else:
            reserved: uint256 = accounts._reserved[account][index]
            accounts._reserved[account][index] = unsafe_add(reserved, to_reserved)
    accounts._words[account] = word
