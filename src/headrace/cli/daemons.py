"""`node run`, `keeper run`, `watch run`: the daemons, until they are told to stop."""

from pathlib import Path

import click

from headrace import logging as json_logs
from headrace.chain import accounts
from headrace.chain.accounts import Key
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.operate import doctor_of, release_of
from headrace.cli.session import Session
from headrace.errors import UsageError
from headrace.node.config import who_and_which


@click.group("node")
def node() -> None:
    """The provider's daemon."""


@click.group("keeper")
def keeper() -> None:
    """The daemon that brings jobs and offers together."""


@click.group("watch")
def watch() -> None:
    """The daemon that checks every claim."""


@command("run")
@click.argument("nodefile", type=click.Path(path_type=Path))
def run_node(session: Session, nodefile: Path) -> Answer:
    """Serve with the node of NODEFILE until it is told to stop, or has drained."""
    from headrace.node import run

    operator, _ = who_and_which(nodefile)
    key = _begin(session, operator)
    run.run_node(session.settings, nodefile, names=session.names.all("models"), key=key)
    return Answer({"stopped": "node"})


@command("run")
@click.option("--min-tip", metavar="AMOUNT", help="Match for no less  [0]")
@click.option("--ether", metavar="AMOUNT", help="What an ether of gas is worth  [0]")
@click.option("--margin", metavar="AMOUNT", help="What a match has to bring  [0]")
@click.option(
    "--rival", "rivals", metavar="ACCOUNT", multiple=True, help="Another keeper to take turns with"
)
@click.option("--dry-run", is_flag=True, help="Plan and simulate, send nothing; needs no key")
def run_keeper(
    session: Session,
    min_tip: str | None,
    ether: str | None,
    margin: str | None,
    rivals: tuple[str, ...],
    dry_run: bool,
) -> Answer:
    """Match jobs with offers and make every move that is due, for tips and fees.

    With --ether, a match is made only if its tip is --margin above the gas it costs. Keepers that
    were seen on chain take turns by themselves; --rival names one that wasn't seen yet. Without an
    option its setting counts: HEADRACE_MIN_TIP, HEADRACE_ETHER, HEADRACE_MARGIN, HEADRACE_RIVALS.
    """
    from headrace.daemon.program import serve
    from headrace.keeper import run

    given = {"min_tip": min_tip, "ether": ether, "margin": margin}
    for name, text in given.items():
        if text is not None:
            session.money.parse(text, f"--{name.replace('_', '-')}")
    update = {name: text for name, text in given.items() if text is not None}
    if rivals:
        update["rivals"] = ",".join(session.address_in(rival, "--rival") for rival in rivals)
    session.settings = settings = session.settings.model_copy(update=update)
    if dry_run:
        json_logs.configure(settings.log_level, secrets=settings.secrets())
        serve(run.NAME, settings, run.make, is_dry_run=True)
    else:
        key = _begin(session, None)
        serve(run.NAME, settings, run.make, key=key)
    return Answer({"stopped": "keeper"})


@command("run")
def run_watch(session: Session) -> Answer:
    """Recompute every claim, and convict the wrong ones for the reward."""
    from headrace.watch import run

    run.run_watch(session.settings, key=_begin(session, None))
    return Answer({"stopped": "watch"})


node.add_command(run_node)
keeper.add_command(run_keeper)
watch.add_command(run_watch)
for _name, _group in (("node", node), ("keeper", keeper), ("watch", watch)):
    _group.add_command(doctor_of(_name))
    _group.add_command(release_of(_name))


def _begin(session: Session, account: str | None) -> Key:
    """The unlocked key, and the logs of a daemon."""
    if account is not None and account not in accounts.names(session.settings.keys_folder):
        raise UsageError(f"the node file's operator {account} has no keyfile in this home")
    if account is not None:
        session.settings = session.settings.model_copy(update={"account": account})
    key = session.key
    json_logs.configure(session.settings.log_level, secrets=session.settings.secrets())
    json_logs.protect(key.secret.hex())
    return key
