import json
import stat

import pytest
from eth_account import Account

from headrace.chain import accounts
from headrace.errors import UsageError

SECRET = bytes(range(1, 33))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


def test_a_keyfile_is_the_owners_alone_and_opens_again(folder):
    made = accounts.create(folder, "alice", "pass phrase", is_light=True)
    path = accounts.path_of(folder, "alice")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in folder.iterdir()] == ["alice.json"]
    opened = accounts.load(folder, "alice", "pass phrase")
    assert (opened.address, opened.secret) == (made.address, made.secret)
    assert accounts.address_of(folder, "alice") == made.address
    assert accounts.names(folder) == ["alice"]


def test_a_file_of_another_wallet_opens(folder):
    folder.mkdir()
    content = Account.encrypt(SECRET, "w", kdf="scrypt", iterations=2)
    path = folder / "wallet.json"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    assert accounts.load(folder, "wallet", "w").secret == SECRET


def test_an_existing_account_is_never_replaced(folder):
    accounts.create(folder, "a", "one", secret=SECRET, is_light=True)
    with pytest.raises(UsageError, match="exists already"):
        accounts.create(folder, "a", "two", is_light=True)
    assert accounts.load(folder, "a", "one").secret == SECRET


def test_says_what_is_wrong(folder):
    accounts.create(folder, "a", "right", is_light=True)
    with pytest.raises(UsageError, match="wrong passphrase"):
        accounts.load(folder, "a", "wrong")
    with pytest.raises(UsageError, match="headrace init"):
        accounts.load(folder, "b", "right")
    with pytest.raises(UsageError, match="passphrase is empty"):
        accounts.create(folder, "b", "")
    path = accounts.path_of(folder, "a")
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        accounts.load(folder, "a", "right")
    path.chmod(0o600)
    content = json.loads(path.read_text())
    for damage in (
        "{",
        "[]",
        json.dumps({"address": content["address"]}),
        '{"address": "a", "crypto": 1}',
    ):
        path.write_text(damage)
        with pytest.raises(UsageError, match=str(path)):
            accounts.load(folder, "a", "right")


def test_the_secret_is_in_no_text(folder):
    key = accounts.Key.of(SECRET)
    assert SECRET.hex() not in repr(key)
    assert str(int.from_bytes(SECRET)) not in repr(key)


def test_signatures_recover_to_the_address():
    key = accounts.Key.of(SECRET)
    digest = b"\x07" * 32
    signature = key.sign_digest(digest)
    assert len(signature) == 65
    assert Account._recover_hash(digest, signature=signature) == key.address
