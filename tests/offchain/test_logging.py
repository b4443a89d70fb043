"""No secret gets out through a log, by whatever way it comes there."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests

from headrace import logging as json_logs
from headrace.logging import JsonFormatter, mask_urls, protect, secrets_of_url
from headrace.settings import Settings
from tests.harness import ROOT

PASSPHRASE = 'corr"ect h&rse\\battery'
API_KEY = "k3y-0f-the-node-77aa"
URL = f"https://user:pa55word@node.example/v2/{API_KEY}?token=t0ken-in-query"
SECRETS = (PASSPHRASE, API_KEY, "pa55word", "t0ken-in-query")


@pytest.fixture
def out(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, with the settings of a daemon whose secrets are planted."""
    for name in ("excepthook", "warnoptions"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    settings = Settings(home=tmp_path, rpc_url=URL, passphrase=PASSPHRASE)
    json_logs.configure("DEBUG", secrets=settings.secrets(), stream=stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def assert_clean(out: io.StringIO, *, count: int = 1) -> None:
    text = out.getvalue()
    assert len(lines(out)) == count
    for secret in SECRETS:
        assert secret not in text
        assert quote(secret, safe="") not in text
        assert json.dumps(secret, ensure_ascii=False)[1:-1] not in text


log = logging.getLogger("headrace.test")


def test_a_line_has_what_it_was_given(out: io.StringIO):
    log.info("settled", extra={"job": b"\x01\x02", "action": "finalise:01:1", "amount": 1 << 60})
    (line,) = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "from": "headrace.test",
        "say": "settled",
        "job": "0x0102",
        "action": "finalise:01:1",
        "amount": str(1 << 60),
    }


def test_a_line_about_an_action_names_its_job(out: io.StringIO):
    job = "ab" * 32
    log.info("sent", extra={"action": f"match:{job}:1"})
    log.info("sent", extra={"action": f"match:{job}:1", "job": b"\x01"})
    log.info("sent", extra={"action": "sweep:0xab"})
    assert [line.get("job") for line in lines(out)] == [f"0x{job}", "0x01", None]


@pytest.mark.parametrize("secret", [*SECRETS, URL])
@pytest.mark.parametrize(
    "way",
    [
        "message",
        "argument",
        "field",
        "key",
        "nested",
        "bytes",
        "object",
        "trace",
        "cause",
        "quoted",
    ],
)
def test_no_secret_comes_out_by_any_way(out: io.StringIO, way: str, secret: str):
    class Thing:
        def __str__(self) -> str:
            return f"thing({secret})"

    match way:
        case "message":
            log.log(logging.WARNING, f"it is {secret}")  # noqa: G004
        case "argument":
            log.warning("it is %s and %r", secret, {"a": secret})
        case "field":
            log.warning("x", extra={"why": f"found {secret}!"})
        case "key":
            log.warning("x", extra={secret: 1, "map": {secret: 1}})
        case "nested":
            log.warning("x", extra={"map": {"a": [{"b": (secret, {secret})}]}})
        case "bytes":
            json_logs.protect("00ff" * 16)
            log.warning("x", extra={"raw": bytes.fromhex("00ff" * 16)})
            assert "00ff00ff" not in out.getvalue()
        case "object":
            log.warning("x", extra={"thing": Thing(), "error": ValueError(secret)})
        case "trace":
            try:
                raise ValueError(secret)
            except ValueError:
                log.exception("failed")
        case "cause":
            try:
                try:
                    raise KeyError(secret)
                except KeyError as error:
                    raise RuntimeError("outer") from error
            except RuntimeError:
                log.exception("failed")
        case "quoted":
            log.warning("x", extra={"why": quote(secret, safe="")})
    assert_clean(out)


def test_what_requests_says_of_a_failure_has_no_key_in_it(out: io.StringIO):
    try:
        requests.get(f"http://127.0.0.1:1/v2/{API_KEY}?token=t0ken-in-query", timeout=1)
    except requests.RequestException as error:
        log.warning("failed", extra={"why": str(error)}, exc_info=True)
    assert "127.0.0.1" in out.getvalue()
    assert_clean(out)


def test_a_line_that_cannot_be_formatted_loses_its_content_only(
    out: io.StringIO, capsys: pytest.CaptureFixture[str]
):
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError(PASSPHRASE)

    # pytest's own handlers, beside ours by now, raise what ours must not.
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if isinstance(h.formatter, JsonFormatter)]
    log.warning("%d of them", PASSPHRASE)
    log.warning("x", extra={"thing": Hostile()})
    assert_clean(out, count=2)
    assert [line["say"] for line in lines(out)] == ["a line was lost"] * 2
    assert capsys.readouterr() == ("", "")


def test_a_stream_that_is_gone_stops_nothing(out: io.StringIO):
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.stream = io.StringIO()
    handler.stream.close()
    log.warning("nobody hears this")


def test_warnings_of_python_are_lines_too(out: io.StringIO):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"odd: {URL}", stacklevel=1)
    assert_clean(out)
    assert lines(out)[0]["from"] == "py.warnings"


def test_an_uncaught_error_of_a_thread_is_a_line(out: io.StringIO):
    def fail() -> None:
        raise ValueError(URL)

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    assert_clean(out)
    assert lines(out)[0]["say"] == "uncaught error in a thread"
    assert lines(out)[0]["thread_name"] == "worker"


PROGRAM = """
import sys
from headrace import logging as json_logs
json_logs.configure(secrets=[sys.argv[1]])
raise ValueError("no good: " + sys.argv[1] + " " + sys.argv[2])
"""


def test_an_uncaught_error_of_the_program_is_a_line():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, PASSPHRASE, URL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert line["say"] == "uncaught error"
    assert PASSPHRASE not in json.loads(json.dumps(line["trace"]))
    assert API_KEY not in line["trace"]


def test_a_secret_told_later_is_struck_out_from_then_on(out: io.StringIO):
    protect("lately-learnt")
    log.info("it is lately-learnt")
    assert lines(out)[0]["say"] == "it is ***"


def test_the_whole_of_a_secret_goes_even_if_a_part_of_it_is_one_too():
    formatter = JsonFormatter(["abcd", "abcdefgh"])
    record = logging.makeLogRecord({"msg": "abcdefgh"})
    assert json.loads(formatter.format(record))["say"] == "***"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", True, None, 1.5])
def test_every_value_becomes_valid_json(out: io.StringIO, value: object):
    log.info("x", extra={"value": value})
    text = out.getvalue()
    text.encode()
    assert "value" in json.loads(text, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://node.example/v3/key", "https://node.example"),
        ("http://user:pass@node.example:8545/x?y#z", "http://node.example:8545"),
        ("wss://node.example", "wss://node.example"),
        ("postgresql://me:secret@db:5432/headrace", "postgresql://db:5432"),
        (
            "(see https://a.example/k1, https://b.example/k2)",
            "(see https://a.example, https://b.example)",
        ),
    ],
)
def test_urls_keep_their_scheme_and_host_only(url: str, masked: str):
    assert mask_urls(url) == masked


def test_the_secrets_of_a_list_of_urls_are_those_of_each():
    found = secrets_of_url(f"{URL}, http://127.0.0.1:8545/rpc,https://b.example/an0ther-key")
    assert found == ["user", "pa55word", API_KEY, "t0ken-in-query", "an0ther-key"]


def test_settings_know_their_secrets(tmp_path):
    file = tmp_path / "url"
    file.write_text("https://x.example/from-a-file-1\n")
    settings = Settings(home=tmp_path, rpc_url=URL, rpc_url_file=file, passphrase=PASSPHRASE)
    assert {PASSPHRASE, API_KEY, "from-a-file-1"} <= set(settings.secrets())
