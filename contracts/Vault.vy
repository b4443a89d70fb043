# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Vault
@license AGPL-3.0-only
@notice The only contract that holds tokens: what each account has free, and what each book has
        reserved of it. A book is a contract that an account lets reserve what is free; it moves
        nothing but what it has reserved, and not out of the vault.
@dev Money is in modules/accounts and moves, books are in modules/books. This contract says who
     may do what, and alone talks to the token. INVARIANT: its balance is at least `total_held`.
@custom:security Wants a plain ERC-20: a fee on transfer is refused at deposit; if the token takes
                 some of the balance away later, the depositors lose and the sink comes last.
@custom:kill Has no switch: free money can always leave, reserved money as the books release it.
"""

from ethereum.ercs import IERC20

from interfaces import IVault

implements: IVault

from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from snekmate.utils import eip712_domain_separator
from contracts.modules import accounts
from contracts.modules import books as registered
from contracts.modules import moves
from contracts.modules import signatures

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: eip712_domain_separator
initializes: accounts
initializes: moves[accounts := accounts]
initializes: registered

exports: (
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
    eip712_domain_separator.eip712Domain,
    accounts.account_of,
    accounts.free_of,
    accounts.reserved_of,
    accounts.may_reserve,
    accounts.total_held,
    accounts.sunk,
    registered.book_at,
    registered.ESCROW,
    registered.REGISTRY,
)

_M80: constant(uint256) = 2**80 - 1
_AUTHORISE_TYPE: constant(bytes32) = keccak256(
    "Authorise(address account,uint256 books,bool allowed,uint256 nonce,uint256 deadline)"
)

TOKEN: public(reentrant(immutable(IERC20)))
# Gets what is flushed out of the sink.
SINK_RECEIVER: public(reentrant(immutable(address)))
# account => number of signed authorisations used or cancelled
nonces: public(reentrant(HashMap[address, uint256]))


@deploy
def __init__(
    token: IERC20, owner: address, sink_receiver: address, escrow: address, registry: address
):
    """
    @notice Fix the token, the sink's receiver and the first two books for the life of the vault.
    @param token The ERC-20 that all amounts are in.
    @param owner May add books, nothing else.
    @param sink_receiver The account that the sink is flushed to.
    @param escrow The book at index 0; may have no code yet.
    @param registry The book at index 1; may have no code yet.
    """
    assert token.address.is_contract, "vault: token has no code"
    assert owner != empty(address), "vault: owner is zero"
    assert sink_receiver not in [empty(address), self], "vault: bad sink receiver"
    ownable.__init__()  # makes the deployer the owner
    ownable_2step.__init__()
    ownable_2step._transfer_ownership(owner)
    eip712_domain_separator.__init__("Headrace Vault", "1")
    registered.__init__(escrow, registry)
    TOKEN = token
    SINK_RECEIVER = sink_receiver
    log IVault.BookAdded(index=0, book=escrow)
    log IVault.BookAdded(index=1, book=registry)


# ---- an account


@external
def deposit(amount: uint256):
    """
    @notice Pay into the caller's free balance. The vault needs the caller's allowance.
    @param amount Token units, above zero.
    """
    self._deposit(msg.sender, amount)


@external
def deposit_and_authorise(amount: uint256, books: uint256):
    """
    @notice `deposit`, then `authorise`: all that it takes to take part, in one transaction.
    @param amount Token units, above zero.
    @param books Bit mask of the books that may reserve from now on; zero for none.
    """
    self._deposit(msg.sender, amount)
    self._authorise(msg.sender, books, True)


@external
def deposit_with_permit(
    amount: uint256, books: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
):
    """
    @notice `deposit_and_authorise` with the allowance out of an EIP-2612 signature. If the permit
            fails but the allowance is there (somebody sent it first), the deposit goes on.
    @param amount Token units, above zero; what the permit is for.
    @param books Bit mask of the books that may reserve from now on; zero for none.
    @param deadline Last second of the permit.
    @param v Recovery id of the permit's signature.
    @param r First half of the permit's signature.
    @param s Second half of the permit's signature.
    """
    # May fail: anyone who saw the signature can have sent it. Then the allowance is there.
    permitted: bool = raw_call(
        TOKEN.address,
        abi_encode(
            msg.sender,
            self,
            amount,
            deadline,
            v,
            r,
            s,
            method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),
        ),
        revert_on_failure=False,
    )
    allowed: bool = permitted or staticcall TOKEN.allowance(msg.sender, self) >= amount
    assert allowed, "vault: permit failed"
    self._deposit(msg.sender, amount)
    self._authorise(msg.sender, books, True)


@external
def withdraw(amount: uint256, receiver: address):
    """
    @notice Take out of the caller's free balance.
    @param amount Token units, above zero and at most what is free.
    @param receiver The account that is paid; not the vault.
    """
    assert amount != 0, "vault: withdrawal is zero"
    assert receiver not in [empty(address), self], "vault: bad receiver"
    accounts._take_out(msg.sender, amount)
    log IVault.Withdrawn(account=msg.sender, receiver=receiver, amount=amount)

    assert extcall TOKEN.transfer(
        receiver, amount, default_return_value=True
    ), "vault: token refused to pay"


@external
def authorise(books: uint256):
    """
    @notice Let books reserve what is free of the caller.
    @param books Bit mask of book indices, not zero.
    """
    assert books != 0, "vault: no book given"
    self._authorise(msg.sender, books, True)


@external
def revoke(books: uint256):
    """
    @notice Stop books from reserving more. What they have reserved stays until they release it.
            Cancels what the caller has signed for `authorise_by_signature` and nobody has used yet.
    @param books Bit mask of book indices, not zero.
    """
    assert books != 0, "vault: no book to revoke"
    # Else an authorisation signed earlier could undo the revocation.
    self.nonces[msg.sender] += 1
    self._authorise(msg.sender, books, False)


# ---- anyone


@external
def authorise_by_signature(
    account: address, books: uint256, allowed: bool, deadline: uint256, signature: Bytes[512]
):
    """
    @notice `authorise` or `revoke` for an account that signed it (EIP-712, docs/encoding.md).
    @param account The account; a key or an ERC-1271 wallet.
    @param books Bit mask of book indices, not zero.
    @param allowed Whether the books may reserve from now on.
    @param deadline Last second of the signature.
    @param signature Over the account's current nonce, which it uses up.
    """
    assert books != 0, "vault: no book signed"
    assert block.timestamp <= deadline, "vault: signature expired"
    nonce: uint256 = self.nonces[account]
    self.nonces[account] = nonce + 1
    digest: bytes32 = eip712_domain_separator._hash_typed_data_v4(
        keccak256(abi_encode(_AUTHORISE_TYPE, account, books, allowed, nonce, deadline))
    )
    # A signature that nobody made recovers to zero.
    assert account != empty(address), "vault: signer is zero"
    assert signatures._signer(account, digest, signature) == account, "vault: wrong signer"
    self._authorise(account, books, allowed)


@external
def flush_sink():
    """
    @notice Send the sink, and tokens that came in past `deposit`, to the sink's receiver.
    """
    owed: uint256 = accounts._owed()
    balance: uint256 = staticcall TOKEN.balanceOf(self)
    # INVARIANT: the accounts come first, also if the token took some of the vault's balance away.
    assert balance > owed, "vault: nothing to flush"
    amount: uint256 = unsafe_sub(balance, owed)  # SAFETY: just compared.
    accounts._empty_sink(owed)
    log IVault.SinkFlushed(receiver=SINK_RECEIVER, amount=amount)

    assert extcall TOKEN.transfer(
        SINK_RECEIVER, amount, default_return_value=True
    ), "vault: token refused the flush"


# ---- the owner


@external
def add_book(book: address):
    """
    @notice Append a book. It can reserve nothing until accounts authorise it, which nothing that
            they authorised before does: bits of books that don't exist can't be set.
    @param book The contract; never removed or replaced.
    """
    ownable._check_owner()
    index: uint256 = registered._append(book)
    log IVault.BookAdded(index=index, book=book)


# ---- a book
#
# No lock here: they call nothing, and what they read and write is settled before the token is called
# and read again after: a token that re-enters here finds what it finds between two transactions.


@external
@reentrant
def reserve(account: address, amount: uint256):
    """
    @notice Put free money of an account aside for the calling book.
    @param account The account; must have authorised the book.
    @param amount Token units.
    """
    index: uint256 = registered._index(msg.sender)
    moves._set_aside(account, index, amount)
    log IVault.Reserved(account=account, index=index, amount=amount)


@external
@reentrant
def release(account: address, amount: uint256):
    """
    @notice Give an account back what the calling book has reserved of it.
    @param account The account.
    @param amount Token units.
    """
    index: uint256 = registered._index(msg.sender)
    moves._take(account, index, amount, amount, 0)
    log IVault.Released(account=account, index=index, amount=amount)


@external
@reentrant
def pay(payer: address, payee: address, amount: uint256):
    """
    @notice Pay out of what the calling book has reserved of one account to what is free of another.
    @param payer The account that pays.
    @param payee The account that is paid.
    @param amount Token units.
    """
    index: uint256 = registered._index(msg.sender)
    moves._take(payer, index, amount, 0, 0)
    if amount != 0:
        moves._give(payee, amount)
    log IVault.Paid(payer=payer, payee=payee, index=index, amount=amount)


@external
@reentrant
def sink(account: address, amount: uint256):
    """
    @notice Move what the calling book has reserved of an account to the sink.
    @param account The account.
    @param amount Token units.
    """
    index: uint256 = registered._index(msg.sender)
    moves._take(account, index, amount, 0, 0)
    accounts._sink(amount)
    log IVault.Sunk(account=account, index=index, amount=amount)


@external
@reentrant
def pledge(payer: address, held: uint256, payment: uint256, locker: address, lock: uint256):
    """
    @notice Put both sides of a match aside, in the locker's lane: the payer's payment, first out of
            what the book holds of it, and the locker's stake. Logs nothing: the book's event does.
    @param payer The account that pays; must have authorised the book to pay more than `held`.
    @param held Token units that the book gives back to `payer` before it pays.
    @param payment Token units from what is free of `payer`.
    @param locker The account whose stake is put aside; must have authorised the book.
    @param lock Token units from what is free of `locker`.
    """
    index: uint256 = 0
    if msg.sender != registered.ESCROW:
        index = registered._index(msg.sender)
    moves._pay_in(payer, index, held, payment)
    moves._lock(locker, index, lock, payment)


@external
@reentrant
def settle(
    account: address,
    out: uint256,
    back: uint256,
    kept: uint256,
    payer: address,
    to_free: uint256,
    to_reserved: uint256,
    first: address,
    first_amount: uint256,
    second: address,
    second_amount: uint256,
    sunk: uint256,
):
    """
    @notice Divide what the calling book has reserved of one account. What goes out has to come in.
            Logs nothing: the book's own event says it all.
    @param account The account.
    @param out Token units out of what the book has reserved of `account`.
    @param back Token units to what is free of `account`.
    @param kept Token units to what book 1 has reserved of `account`, for it to send to the sink;
                only book 0 may. The cheap way there: the account's word is written anyway.
    @param payer An account; may be any of the others.
    @param to_free Token units to what is free of `payer`.
    @param to_reserved Token units to what the book has reserved of `payer`.
    @param first An account.
    @param first_amount Token units to what is free of `first`.
    @param second An account.
    @param second_amount Token units to what is free of `second`.
    @param sunk Token units to the sink.
    """
    index: uint256 = 0
    if msg.sender != registered.ESCROW:
        index = registered._index(msg.sender)
        assert kept == 0 or index == 0, "vault: only book 0 keeps"
    # INVARIANT: money is conserved.
    # SAFETY: sums of amounts of at most 80 bits; if one is larger the first half fails anyway, as no
    # amount above 80 bits can be there.
    ours: uint256 = unsafe_add(unsafe_add(back, kept), unsafe_add(to_free, to_reserved))
    others: uint256 = unsafe_add(unsafe_add(first_amount, second_amount), sunk)
    largest: uint256 = (
        out | back | kept | to_free | to_reserved | first_amount | second_amount | sunk
    )
    assert (largest <= _M80 and out == unsafe_add(ours, others)), "vault: out differs from in"
    # What goes out goes before anything comes in: no lane holds what isn't there.
    moves._take(account, index, out, back, kept)
    if to_free | to_reserved != 0:
        moves._refund(payer, index, to_free, to_reserved)
    if first_amount != 0:
        moves._give(first, first_amount)
    if second_amount != 0:
        moves._give(second, second_amount)
    if sunk != 0:
        accounts._sink(sunk)


# ---- internal


@internal
def _deposit(account: address, amount: uint256):
    assert amount != 0, "vault: deposit is zero"
    # Only locked functions change the total: there is still room after the token was called.
    accounts._require_room(amount)
    # The token's word is not enough: some take a fee, some move nothing and say yes.
    before: uint256 = staticcall TOKEN.balanceOf(self)
    assert extcall TOKEN.transferFrom(
        account, self, amount, default_return_value=True
    ), "vault: token refused to pull"
    assert staticcall TOKEN.balanceOf(self) == before + amount, "vault: not the amount came in"
    accounts._bring_in(account, amount)
    log IVault.Deposited(account=account, payer=account, amount=amount)


@internal
def _authorise(account: address, books: uint256, allowed: bool):
    registered._require_exist(books)
    accounts._authorise(account, books, allowed)
