"""`register`: become a provider with a node file, or say anew what a node is."""

from pathlib import Path

import click

from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.funds import BOOKS, deposit_units, mask_of
from headrace.cli.session import Session
from headrace.cli.show import fields, hexed
from headrace.errors import UsageError
from headrace.node.config import read_file
from headrace.terms.jobfile import NodeFile

_BOOKS = ("escrow", "registry")


@command("register")
@click.argument("nodefile", type=click.Path(path_type=Path))
@click.option("--bond", metavar="AMOUNT", help="Put aside until you leave  [the least there is]")
@click.option(
    "--operator", metavar="ADDRESS", help="The key that works for you  [the file's, or yours]"
)
@click.option("--payout", metavar="ADDRESS", help="Who gets the prices  [the account itself]")
def register(
    session: Session, nodefile: Path, bond: str | None, operator: str | None, payout: str | None
) -> Answer:
    """Register the node of NODEFILE, depositing and authorising what that takes.

    The first time this makes the account a provider, with a bond that thaws when it leaves. Later
    it says what the node is now.
    """
    file = read_file(nodefile, session.catalogue)
    me = session.key.address
    if file.provider not in (None, me):
        raise UsageError(
            f"{nodefile}: the node is {file.provider}'s, not {me}'s: use its --account"
        )
    record = session.registry.provider_of(me)
    if record.status:
        if bond or operator or payout:
            raise UsageError("--bond, --operator and --payout are for the first time only")
        txs = _authorise(session)
        word = session.registry.node_of(me, file.index)
        if word != file.node:
            receipt = session.send(session.registry.set_node(file.index, file.node))
            txs.append(hexed(receipt.tx_hash))
    else:
        txs = _first(session, nodefile, file, bond, operator, payout)
    after = session.registry.provider_of(me)
    free = session.vault.free_of(me)
    shown = session.money
    lines = fields(
        [
            ("provider", me),
            ("node", f"{file.index}: as {nodefile} says" + ("" if txs else " (as before)")),
            ("operator", after.operator),
            ("payout", after.payout),
            ("bond", shown.of(after.bond)),
            ("free", shown.of(free)),
        ]
    )
    if free < file.offer.max_lock:
        lines.append(
            f"the offer locks up to {shown.of(file.offer.max_lock)} a job: `headrace deposit` more"
        )
    if file.provider is None and after.operator != me:
        # The node runs with the operator's key, and would take its address for the provider's.
        lines.append(f"put `provider: '{me}'` into {nodefile} first")
    lines.append(f"next: `headrace node run {nodefile}`")
    return Answer(
        {
            "provider": me,
            "node": file.index,
            "is_new": not record.status,
            "operator": after.operator,
            "payout": after.payout,
            "bond": shown.text(after.bond),
            "free": shown.text(free),
            "txs": txs,
        },
        lines,
    )


def _first(
    session: Session,
    path: Path,
    file: NodeFile,
    bond: str | None,
    operator: str | None,
    payout: str | None,
) -> list[str]:
    if file.index:
        raise UsageError(f"{path}: a provider's first node has the index 0, not {file.index}")
    me, least = session.key.address, int(session.registry.read("MIN_BOND"))
    units = least if bond is None else session.money.parse(bond, "--bond")
    worker = operator or file.operator
    account = session.vault.account_of(me)
    txs = []
    if account.free < units:
        receipts = deposit_units(session, units - account.free, mask_of(_BOOKS))
        txs = [hexed(receipt.tx_hash) for receipt in receipts]
    txs += _authorise(session)
    call = session.registry.register(
        me if worker is None else session.address_in(worker, "--operator"),
        me if payout is None else session.address_in(payout, "--payout"),
        units,
        file.node,
    )
    return [*txs, hexed(session.send(call).tx_hash)]


def _authorise(session: Session) -> list[str]:
    """What a provider needs, if it isn't there."""
    books = session.vault.account_of(session.key.address).books
    missing = sum(1 << BOOKS[name] for name in _BOOKS if not books >> BOOKS[name] & 1)
    if not missing:
        return []
    return [hexed(session.send(session.vault.authorise(missing)).tx_hash)]
