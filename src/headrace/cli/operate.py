"""`doctor` and `release`: what an operator asks of a daemon, and how it goes on after a halt."""

import logging

import click

from headrace.chain.abi import checksummed
from headrace.chain.manifest import Deployment
from headrace.chain.outbox import Outbox
from headrace.chain.resume import resume
from headrace.chain.strangers import Strangers
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.session import Session
from headrace.daemon.opening import schema_of
from headrace.daemon.sending import open_outbox, outbox_path
from headrace.errors import HeadraceError, Rejected
from headrace.ops.doctor import examine, lines, verdict

log = logging.getLogger(__name__)


def doctor_of(daemon: str) -> click.Command:
    """The command `doctor` of a daemon."""

    @command("doctor")
    def doctor(session: Session) -> Answer:
        """Prove that it has all it needs; says what to do about what it hasn't.

        Exit code 0 if all is well, 1 if something has to be put right, 3 if only a node does not
        answer. Sends nothing; may be asked while the daemon runs.
        """
        findings = examine(session.settings, daemon)
        code = verdict(findings)
        answer = Answer({"ok": code == 0, "findings": findings}, lines(findings))
        answer.emit(session.is_json)
        raise click.exceptions.Exit(code)

    return doctor


def release_of(daemon: str) -> click.Command:
    """The command `release` of a daemon."""

    @command("release")
    @click.option("--read-again", is_flag=True, help="Also forget what was read of the chain")
    def release(session: Session, read_again: bool) -> Answer:
        """Let it go on after a halt that you have looked into: see docs/runbook.md first.

        Clears what a rewritten final block and a stranger's transaction have latched. The daemon
        must not be running.
        """
        settings = session.settings
        deployment = Deployment.load(settings.manifest_path)
        cleared = []
        server = settings.database()
        chain_db = settings.home / daemon / "chain.db"
        if server is not None:
            schema = schema_of(deployment, daemon)
            cleared.append(resume(server, schema=schema, read_again=read_again))
        elif chain_db.is_file():
            cleared.append(resume(str(chain_db), read_again=read_again))
        is_remote = settings.signer() is not None and settings.signer_address is not None
        address = checksummed(settings.signer_address or "") if is_remote else session.address
        path = outbox_path(settings, deployment, address)
        if server is not None or path.is_file():
            outbox = open_outbox(settings, deployment, address, is_daemon=False)
            try:
                cleared.append(outbox.latched())
                outbox.release()
                _account(session, deployment, outbox, address)
            finally:
                outbox.close()
        reasons = [why for why in cleared if why is not None]
        if not reasons and not read_again:
            raise Rejected(f"nothing holds the {daemon} up")
        shown = [f"cleared: {why}" for why in reasons]
        if read_again:
            shown.append("what was read is forgotten; the next start reads it again")
        return Answer({"cleared": reasons, "read_again": read_again}, shown)

    return release


def _account(session: Session, deployment: Deployment, outbox: Outbox, address: str) -> None:
    """
    Account for what the key has sent until now, as the operator has just seen it. A daemon does it
    at its start where no node answers now, or only one that is behind.
    """
    try:
        # No other chain's count.
        deployment.verify(session.rpc)
        Strangers(session.rpc, outbox, address).begin(session.rpc.head())
    except HeadraceError as error:
        log.debug("the daemon will count", extra={"why": str(error)})
