"""Settings and log lines."""

import io
import json
import logging

import pytest

from headrace import logging as our_logging
from headrace import settings
from headrace.errors import UsageError


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("HEADRACE_"):
            monkeypatch.delenv(name)


def test_the_environment_is_read_and_arguments_go_over_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("HEADRACE_POLL_SECONDS", "2")
    monkeypatch.setenv("HEADRACE_MAX_FEE_GWEI", "0.5")
    found = settings.load(poll_seconds=3, account=None)
    assert (found.home, found.poll_seconds, found.account) == (tmp_path, 3, "default")
    assert found.max_fee == 500_000_000
    assert found.manifest_path == tmp_path / "deployment.json"
    with pytest.raises(ValueError, match="frozen"):
        found.account = "other"


def test_secrets_are_better_in_files(monkeypatch, tmp_path):
    url, phrase = tmp_path / "url", tmp_path / "phrase"
    url.write_text("https://node.example/KEY\n")
    phrase.write_text("open sesame\n")
    monkeypatch.setenv("HEADRACE_RPC_URL_FILE", str(url))
    monkeypatch.setenv("HEADRACE_PASSPHRASE_FILE", str(phrase))
    found = settings.load()
    assert (found.url(), found.passphrase_of_account()) == (
        "https://node.example/KEY",
        "open sesame",
    )
    assert "sesame" not in repr(found)
    assert settings.load(rpc_url="http://u:hidden@x").rpc_url.get_secret_value().endswith("@x")
    assert "hidden" not in repr(settings.load(rpc_url="http://u:hidden@x"))
    phrase.write_text("\n")
    with pytest.raises(UsageError, match="is empty"):
        found.passphrase_of_account()
    phrase.unlink()
    with pytest.raises(UsageError, match="can't be read: No such file"):
        found.passphrase_of_account()


@pytest.mark.parametrize(
    ("name", "value"),
    [("POLL_SECONDS", "soon"), ("CONFIRMATIONS", "-1"), ("ACCOUNT", "../x"), ("LOG_LEVEL", "LOUD")],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"HEADRACE_{name}", value)
    with pytest.raises(UsageError, match=f"^HEADRACE_{name}: "):
        settings.load()


@pytest.fixture
def lines():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    our_logging.configure("debug", secrets=["open sesame", "x"], stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = before


def test_a_line_is_json_with_the_extras_in_their_own_fields(lines):
    logging.getLogger("headrace.keeper").info(
        "settled", extra={"job": b"\x01\x02", "price": 10**30, "ok": True, "tags": ("a", None)}
    )
    (line,) = lines()
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "from": "headrace.keeper",
        "say": "settled",
        "job": "0x0102",
        "price": str(10**30),
        "ok": True,
        "tags": ["a", None],
    }


def test_secrets_and_urls_are_struck_out_wherever_they_are(lines):
    log = logging.getLogger("other.library")
    log.warning(
        "GET https://me:pw@node.io:8443/v3/KEY?a=1 with open sesame", extra={"u": "wss://h/KEY"}
    )
    try:
        raise ValueError("at (http://node.io/v3/KEY) open sesame")
    except ValueError:
        log.exception("failed", extra={"why": {"url": ["http://node.io/KEY"]}})
    text = json.dumps(lines())
    assert "KEY" not in text
    assert "pw" not in text
    assert "sesame" not in text
    first, second = lines()
    assert first["say"] == "GET https://node.io:8443 with ***"
    assert "(http://node.io)" in second["trace"]
    assert "ValueError" in second["trace"]
