"""Proves that a daemon has everything it needs, before it is started or while it runs.

Nothing is sent and no lock of a daemon is taken: it may be asked at any time. Every check
stands for itself, so one look shows all that is wrong. What needs the node is in `doctor_node`.
"""

import os
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from headrace.chain import accounts
from headrace.chain.database import Database
from headrace.chain.db import ChainDb
from headrace.chain.manifest import Deployment
from headrace.chain.postgres import PostgresTables
from headrace.chain.sqlite import SqliteFile
from headrace.daemon.opening import schema_of
from headrace.daemon.sending import remote_signer
from headrace.errors import HeadraceError, RetryLater, Unreachable, UsageError
from headrace.ops import doctor_node
from headrace.ops.checkup import unwritable
from headrace.ops.finding import Finding, bad, ok, silent
from headrace.settings import Settings, read_secret

# What the check of each daemon is about; the home folder has its name.
DAEMONS = ("keeper", "watch", "node")
# Which of the shared folders each writes to, and which it only reads, so that it may be another's.
_WRITTEN = {"keeper": (), "watch": (), "node": ("store", "board")}
_READ = {"keeper": ("board",), "watch": ("store",), "node": ()}


def examine(settings: Settings, daemon: str = "keeper") -> list[Finding]:
    """Everything that the daemon called `daemon` needs, in the order in which it needs it."""
    findings = [_manifest(settings), *_key(settings), *_folders(settings, daemon)]
    try:
        deployment = Deployment.load(settings.manifest_path)
    except UsageError:
        deployment = None
    findings += _records(settings, daemon, deployment)
    findings += doctor_node.examine(settings, deployment, daemon)
    return findings


def verdict(findings: Iterable[Finding]) -> int:
    """The exit code: 0 all well, 1 something to put right, 3 only something that didn't answer."""
    failed = [finding for finding in findings if not finding.is_ok]
    if not failed:
        return 0
    return 3 if all(finding.is_unreachable for finding in failed) else 1


def lines(findings: Sequence[Finding]) -> list[str]:
    """The findings for a person; what to do is under what isn't ok."""
    width = max(len(finding.name) for finding in findings)
    shown = []
    for finding in findings:
        word = "ok" if finding.is_ok else "??" if finding.is_unreachable else "NO"
        shown.append(f"{word}  {finding.name:<{width}}  {finding.detail}")
        if finding.advice:
            shown.append(f"    {'':<{width}}  -> {finding.advice}")
    return shown


def _manifest(settings: Settings) -> Finding:
    try:
        deployment = Deployment.load(settings.manifest_path)
    except UsageError as error:
        return bad("manifest", str(error), "name the deployment's file with HEADRACE_MANIFEST")
    if not deployment.is_complete:
        advice = "run the deployment again until it says that it is complete"
        return bad("manifest", f"{deployment.path} is not complete", advice)
    return ok("manifest", f"{deployment.path}, chain {deployment.chain_id}")


# ---- the key


def _key(settings: Settings) -> list[Finding]:
    if settings.signer() is not None:
        return [_signer(settings)]
    folder, name = settings.keys_folder, settings.account
    try:
        address = accounts.address_of(folder, name)
    except UsageError as error:
        return [bad("key", str(error), "make one with `headrace init`, or name another account")]
    path = accounts.path_of(folder, name)
    findings = [_mode("key file", path)]
    try:
        passphrase = settings.passphrase_of_account() or _beside(settings)
    except UsageError as error:
        return [*findings, bad("key", str(error), "put the passphrase into the file's first line")]
    if passphrase is None:
        advice = "name a file that has it with HEADRACE_PASSPHRASE_FILE"
        return [*findings, bad("key", f"no passphrase for {address}", advice)]
    if settings.passphrase_file is not None:
        findings.append(_mode("passphrase file", settings.passphrase_file))
    elif settings.passphrase is not None:
        findings.append(
            ok("passphrase", "in the environment: good enough for a chain of your own only")
        )
    if not findings[0].is_ok:
        # It would be refused for its mode: that is said already.
        return findings
    try:
        accounts.load(folder, name, passphrase)
    except UsageError as error:
        return [*findings, bad("key", str(error), "use the passphrase of this very keyfile")]
    return [*findings, ok("key", f"{name} opens: {address}")]


def _signer(settings: Settings) -> Finding:
    try:
        signer = remote_signer(settings)
    except UsageError as error:
        return bad("signer", str(error), "put HEADRACE_SIGNER_URL or HEADRACE_SIGNER_ADDRESS right")
    except (Unreachable, RetryLater) as error:
        return silent("signer", str(error), "start the signer: nothing can be sent without it")
    return ok("signer", f"{signer!r} holds the account")


def _beside(settings: Settings) -> str | None:
    path = settings.home / "passphrase"
    return read_secret(path) if path.is_file() else None


def _mode(name: str, path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return bad(name, f"{path} can be read by others ({mode:o})", f"run `chmod 600 {path}`")
    return ok(name, f"{path} is its owner's alone ({mode:o})")


# ---- folders and files


def _folders(settings: Settings, daemon: str) -> list[Finding]:
    places = {"store": settings.store_path, "board": settings.board_path}
    findings = [_written("disk", settings.home / daemon)]
    findings += [_written(name, places[name]) for name in _WRITTEN[daemon]]
    return findings + [_read(name, places[name]) for name in _READ[daemon]]


def _written(name: str, folder: Path) -> Finding:
    problem = unwritable(folder)
    if problem is not None:
        return bad(name, problem, "the daemon's user needs the folder, and room")
    return ok(name, f"{folder} can be written")


def _read(name: str, folder: Path) -> Finding:
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return ok(name, f"{folder} can be read")
    if folder.exists():
        return bad(name, f"{folder} can't be read", "let the daemon's user read the folder")
    shown = f"{folder} isn't there: nothing is found in it until somebody puts something there"
    return ok(name, shown)


def _records(settings: Settings, daemon: str, deployment: Deployment | None) -> list[Finding]:
    if deployment is None:
        return []
    path = settings.home / daemon / "chain.db"
    url = settings.database()
    if url is None and not path.exists():
        return [ok("database", f"{path} will be made at the first start")]
    try:
        if url is None:
            tables: Database = SqliteFile(path, is_readonly=True)
        else:
            tables = PostgresTables(url, schema_of(deployment, daemon), is_readonly=True)
        if not tables.has_tables():
            tables.close()
            return [ok("database", f"{tables.label} will be filled at the first start")]
        db = ChainDb(
            tables,
            chain_id=deployment.chain_id,
            genesis=deployment.genesis,
            escrow=deployment.address("JobEscrow"),
        )
    except Unreachable as error:
        advice = "start the database server, or put HEADRACE_DATABASE_URL right"
        return [silent("database", str(error), advice)]
    except (HeadraceError, sqlite3.Error) as error:
        advice = f"move {path} away: all in it is read again from the chain"
        return [bad("database", str(error), advice)]
    try:
        halted, cursor = db.note("halted"), db.cursor()
    finally:
        db.close()
    read = "nothing read yet" if cursor is None else f"read to block {cursor.number}"
    read += "; of an earlier version, read anew at the next start" if db.is_earlier else ""
    findings = [ok("database", f"{db.label}, {read}")]
    if halted is None:
        findings.append(ok("finality", "no final block was rewritten"))
    else:
        advice = "see HeadraceFinalityViolated in docs/runbook.md before `headrace keeper release`"
        findings.append(bad("finality", halted, advice))
    return findings
