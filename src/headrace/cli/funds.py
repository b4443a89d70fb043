"""`deposit`, `withdraw`, `authorise`, `faucet`: money in, out, and who may put it aside."""

import click

from headrace.chain.contracts import Vault
from headrace.chain.rpc import NodeError
from headrace.chain.sender import Receipt
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.session import Session
from headrace.cli.show import hexed
from headrace.errors import Rejected, UsageError

BOOKS = {
    "escrow": Vault.ESCROW_BOOK,
    "registry": Vault.REGISTRY_BOOK,
    "proof": Vault.FAULT_PROOF_BOOK,
    "graph": Vault.GRAPH_PROOF_BOOK,
}
_MEANINGS = {
    "escrow": "JobEscrow may put aside prices of your jobs and locks of your node",
    "registry": "ProviderRegistry may put aside your registration bond",
    "proof": "FaultProof may put aside the fees of traces that you demand",
    "graph": "GraphProof may put aside the fees of the parts of a trace that you demand",
}
_Names = tuple[str, ...]


def mask_of(books: _Names) -> int:
    """The bit mask of books by their names."""
    return sum(1 << BOOKS[name] for name in set(books))


def deposit_units(session: Session, amount: int, books: int = 0) -> list[Receipt]:
    """
    Pay `amount` into the Vault and authorise the books of a mask, with the allowance it takes.
    Rejected if the account has too little.
    """
    me, token, vault = session.key.address, session.token, session.vault
    has = token.balance_of(me)
    if has < amount:
        raise Rejected(
            f"{me} has {session.money.of(has)}, not {session.money.of(amount)}: send it more "
            "(`headrace faucet` gives tokens of a test chain)"
        )
    receipts = []
    if token.allowance(me, vault.address) < amount:
        receipts.append(session.send(token.approve(vault.address, amount)))
    call = vault.deposit_and_authorise(amount, books) if books else vault.deposit(amount)
    receipts.append(session.send(call))
    return receipts


@command("deposit")
@click.argument("amount")
@click.option(
    "--authorise",
    "books",
    multiple=True,
    type=click.Choice(list(BOOKS)),
    help="And let a book use it.",
)
def deposit(session: Session, amount: str, books: _Names) -> Answer:
    """Pay AMOUNT of tokens into the Vault; it stays yours until a job or a bond needs it."""
    units = session.money.parse(amount, "AMOUNT")
    receipts = deposit_units(session, units, mask_of(books))
    account = session.vault.account_of(session.key.address)
    money = session.money
    lines = [f"deposited {money.of(units)}; {money.of(account.free)} are free now"]
    if not account.books:
        lines.append("next: `headrace authorise`, so that jobs may use it")
    return Answer(
        {
            "account": session.key.address,
            "deposited": money.text(units),
            "free": money.text(account.free),
            "authorised": _names(account.books),
            "txs": [hexed(receipt.tx_hash) for receipt in receipts],
        },
        lines,
    )


@command("withdraw")
@click.argument("amount")
@click.option("--to", "receiver", metavar="ADDRESS", help="Who gets it  [the account itself]")
def withdraw(session: Session, amount: str, receiver: str | None) -> Answer:
    """Take AMOUNT (or `all` that is free) out of the Vault, at once."""
    me, money = session.key.address, session.money
    to = me if receiver is None else session.address_in(receiver, "--to")
    free = session.vault.free_of(me)
    units = free if amount == "all" else money.parse(amount, "AMOUNT")
    receipt = session.send(session.vault.withdraw(units, to))
    left = session.vault.free_of(me)
    return Answer(
        {
            "account": me,
            "receiver": to,
            "withdrawn": money.text(units),
            "free": money.text(left),
            "txs": [hexed(receipt.tx_hash)],
        },
        [f"{money.of(units)} went to {to}; {money.of(left)} are still free"],
    )


@command("authorise")
@click.argument("books", nargs=-1, type=click.Choice(list(BOOKS)))
@click.option("--revoke", is_flag=True, help="Take it back: nothing new can be put aside.")
def authorise(session: Session, books: _Names, revoke: bool) -> Answer:
    """Let contracts put aside your free balance: escrow (the default), registry, proof, graph.

    A requester needs escrow, a provider escrow and registry, a watcher proof and graph. What is
    put aside already stays where it is when you revoke.
    """
    chosen = books or ("escrow",)
    mask = mask_of(chosen)
    vault, me = session.vault, session.key.address
    before = vault.account_of(me).books
    is_done = not before & mask if revoke else before & mask == mask
    txs = []
    if not is_done:
        receipt = session.send(vault.revoke(mask) if revoke else vault.authorise(mask))
        txs = [hexed(receipt.tx_hash)]
    after = _names(vault.account_of(me).books)
    if revoke:
        lines = [f"{', '.join(chosen)}: no longer authorised"]
    else:
        lines = [_MEANINGS[name] for name in chosen]
    return Answer({"account": me, "authorised": after, "txs": txs}, lines)


@command("faucet")
@click.argument("amount", default="1000")
def faucet(session: Session, amount: str) -> Answer:
    """Get AMOUNT of test tokens, and on a local chain money for gas too."""
    units = session.money.parse(amount, "AMOUNT")
    me, token = session.address, session.token
    most = _most(session)
    got_gas = _gas(session, me)
    txs, left = [], units
    while left:
        part = min(left, most)
        txs.append(hexed(session.send(token.drip(part)).tx_hash))
        left -= part
    balance = token.balance_of(me)
    return Answer(
        {
            "account": me,
            "dripped": session.money.text(units),
            "balance": session.money.text(balance),
            "got_gas": got_gas,
            "txs": txs,
        },
        [f"{me} has {session.money.of(balance)} in its wallet; next: `headrace deposit AMOUNT`"],
    )


def _most(session: Session) -> int:
    try:
        return int(session.token.read("MAX_DRIP"))
    except (Rejected, UsageError):
        raise UsageError(
            f"{session.money.symbol} at {session.token.address} has no faucet: it is a real token"
        ) from None


def _gas(session: Session, address: str) -> bool:
    """Ether from a development node; elsewhere it has to come from somebody."""
    if session.rpc.balance(address) >= 10**17:
        return False
    try:
        session.rpc.call("anvil_setBalance", address, hex(10**19))
    except NodeError:
        return False
    return True


def _names(mask: int) -> list[str]:
    return [name for name, index in BOOKS.items() if mask >> index & 1]
