"""What a process sends with follows its settings: a file or a server, a keyfile or a signer."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.chain.outbox import Outbox
from headrace.daemon.sending import open_outbox, outbox_path, remote_signer
from headrace.errors import RetryLater, UsageError
from headrace.settings import Settings
from tests.offchain.chain.test_signer import KEY, SignerServer
from tests.offchain.chain.till import OTHER
from tests.postgres_server import missing, server


@dataclass(frozen=True)
class Place:
    """As much of a deployment as is looked at."""

    chain_id: int = 31337
    genesis: bytes = b"\x05" * 32


def settings_of(folder: Path, **changes: object) -> Settings:
    return Settings(home=folder, **changes)  # type: ignore[arg-type]


def test_a_daemon_holds_the_lease_and_the_command_line_shares_the_book(tmp_path):
    settings = settings_of(tmp_path)
    daemon = open_outbox(settings, Place(), OTHER, is_daemon=True)
    with pytest.raises(UsageError, match="sends with this key already"):
        open_outbox(settings, Place(), OTHER, is_daemon=True)
    with pytest.raises(RetryLater, match="standing by"):
        open_outbox(settings_of(tmp_path, standby=True), Place(), OTHER, is_daemon=True)
    person = open_outbox(settings, Place(), OTHER, is_daemon=False)
    person.latch(3)
    assert daemon.latched() is not None
    person.close()
    daemon.close()
    open_outbox(settings, Place(), OTHER, is_daemon=True).close()


def test_another_chain_or_genesis_is_another_book(tmp_path):
    paths = {
        outbox_path(settings_of(tmp_path), place, OTHER)
        for place in (Place(), Place(chain_id=1), Place(genesis=b"\x06" * 32))
    }
    assert len(paths) == 3


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_with_a_database_the_book_is_there(tmp_path):
    with server() as url:
        settings = settings_of(tmp_path, database_url=url)
        daemon = open_outbox(settings, Place(), OTHER, is_daemon=True)
        with pytest.raises(UsageError, match="sends with this key already"):
            open_outbox(settings, Place(), OTHER, is_daemon=True)
        person: Outbox = open_outbox(settings, Place(), OTHER, is_daemon=False)
        person.latch(3)
        assert daemon.latched() is not None
        person.close()
        daemon.close()
    assert not list(tmp_path.glob("outbox*"))


def test_a_signer_is_asked_at_once_whether_it_holds_the_account(tmp_path):
    assert remote_signer(settings_of(tmp_path)) is None
    signing = SignerServer(KEY)
    try:
        with pytest.raises(UsageError, match="HEADRACE_SIGNER_ADDRESS"):
            remote_signer(settings_of(tmp_path, signer_url=signing.url))
        with pytest.raises(UsageError, match="does not hold"):
            remote_signer(settings_of(tmp_path, signer_url=signing.url, signer_address=OTHER))
        found = remote_signer(
            settings_of(tmp_path, signer_url=signing.url, signer_address=KEY.address.lower())
        )
        assert found is not None
        assert found.address == KEY.address
    finally:
        signing.stop()
