"""`init` and `account`: the home folder and its keyfiles."""

import re
import shutil
from pathlib import Path

import click

from headrace.chain import accounts
from headrace.chain.manifest import Deployment
from headrace.cli.answer import Answer
from headrace.cli.app import command
from headrace.cli.session import Session
from headrace.cli.show import fields, table
from headrace.errors import UsageError
from headrace.settings import read_secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@command("init")
@click.option("--light", is_flag=True, help="Derive the key's lock fast: for local chains only.")
def init(session: Session, light: bool) -> Answer:
    """Make the home folder, a key, and take in a deployment's manifest.

    What is there stays. With --manifest FILE the file is checked and copied into the home folder,
    so that it needn't be named again.
    """
    settings = session.settings
    name, folder = settings.account, settings.keys_folder
    is_new = name not in accounts.names(folder)
    if is_new:
        _create(session, name, is_light=light)
    address = accounts.address_of(folder, name)
    manifest = _take_manifest(session)
    steps = [] if manifest else ["headrace init --manifest FILE   (which deployment to talk to)"]
    steps += ["send the address money for gas", "headrace deposit AMOUNT"]
    steps += ["headrace authorise   (a watcher: `headrace authorise proof graph`)"]
    return Answer(
        {
            "home": str(settings.home),
            "account": name,
            "address": address,
            "is_new": is_new,
            "manifest": None if manifest is None else str(manifest.path),
            "chain_id": None if manifest is None else manifest.chain_id,
        },
        [
            *fields(
                [
                    ("home", str(settings.home)),
                    (name, f"{address}{' (new)' if is_new else ''}"),
                    (
                        "deployment",
                        "none yet" if manifest is None else f"chain {manifest.chain_id}",
                    ),
                ]
            ),
            "next:",
            *(f"  {step}" for step in steps),
        ],
    )


def _take_manifest(session: Session) -> Deployment | None:
    inside = session.settings.home / "deployment.json"
    given = session.settings.manifest
    if given is not None and given.resolve() != inside.resolve():
        found = Deployment.load(given)
        if inside.exists() and Deployment.load(inside).genesis != found.genesis:
            raise UsageError(
                f"{inside} is of another chain: choose another --home, or move it away first"
            )
        inside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(given, inside)
    return Deployment.load(inside) if inside.exists() else None


@click.group("account")
def account() -> None:
    """Keyfiles of this home (web3 keystores)."""


@command("new")
@click.argument("name")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path),
    help="Take the key of this file (64 hex digits) instead of a new one.",
)
@click.option("--light", is_flag=True, help="Derive the key's lock fast: for local chains only.")
def new(session: Session, name: str, secret_file: Path | None, light: bool) -> Answer:
    """Make a keyfile called NAME."""
    address = _create(session, name, secret=_secret(secret_file), is_light=light)
    path = accounts.path_of(session.settings.keys_folder, name)
    return Answer(
        {"account": name, "address": address, "path": str(path)},
        [f"{name} is {address}", f"its key is in {path}: keep a copy, and its passphrase"],
    )


@command("list")
def list_(session: Session) -> Answer:
    """List the keyfiles."""
    folder = session.settings.keys_folder
    found = [(name, accounts.address_of(folder, name)) for name in accounts.names(folder)]
    listed = [{"account": name, "address": address} for name, address in found]
    lines = table(("account", "address"), found) if found else [f"no keyfile in {folder}"]
    return Answer({"accounts": listed}, lines)


account.add_command(new)
account.add_command(list_)


def _secret(path: Path | None) -> bytes | None:
    written = read_secret(path)
    if written is None:
        return None
    try:
        secret = bytes.fromhex(written.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise UsageError(f"{path} must hold 64 hex digits")
    return secret


def _create(
    session: Session, name: str, *, secret: bytes | None = None, is_light: bool = False
) -> str:
    folder = session.settings.keys_folder
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} can't be an account's name: letters, digits, dashes, up to 64")
    if accounts.path_of(folder, name).exists():
        raise UsageError(f"there is an account {name} already: choose another name")
    passphrase = session.passphrase(is_new=True)
    with session.step(f"making the key of {name}"):
        key = accounts.create(folder, name, passphrase, secret=secret, is_light=is_light)
    return key.address
