"""Log lines as JSON, one per event: a constant message, and what varies in fields of its own.

`log.info("settled", extra={"job": job_id, "tx": tx})` gives `{"at": "2026-01-02T03:04:05.678Z",
"level": "info", "from": "headrace.keeper", "say": "settled", ...}`. URLs lose all but their host
and known secrets are struck out, whoever logs them: our code, a library, a warning of Python, an
error that nobody caught, or a line that could not be formatted.
"""

import json
import logging
import math
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?([^\s/\"'?#,)\]}]+)[^\s\"',)\]}]*", re.I
)
# What every record has: anything else came in through `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# An action's key says which job it is about: whoever looks for a job finds its lines by one field.
_JOB_IN_ACTION = re.compile(r"[a-z_]+:([0-9a-f]{64})(?::|$)")
_LOUD = ("urllib3", "web3", "eth_account", "asyncio")
# What is shorter than this strikes out noise, and protects nothing.
_LEAST_SECRET = 4


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON without the secrets it was told."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """
        `secrets` are struck out of every line, also in the forms in which URLs carry them; those
        under 4 characters would strike out noise.
        """
        super().__init__()
        self._secrets: list[str] = []
        self.protect(secrets)

    def protect(self, secrets: Iterable[str]) -> None:
        """From now on strike out `secrets` too."""
        forms = {form for secret in secrets for form in _forms(secret)}
        forms |= set(self._secrets)
        # The longest first: a part of one must not break the whole of another.
        kept = (form for form in forms if len(form) >= _LEAST_SECRET)
        self._secrets = sorted(kept, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "from": record.name,
            "say": self._clean(record.getMessage()),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                line[self._clean(key)] = self._plain(value)
        if "job" not in line and (found := _JOB_IN_ACTION.match(str(line.get("action")))):
            line["job"] = f"0x{found[1]}"
        if record.exc_info:
            line["trace"] = self._clean(self.formatException(record.exc_info))
        return _encodable(json.dumps(line, ensure_ascii=False))

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, float):
            # JSON has no infinity.
            return value if math.isfinite(value) else str(value)
        if isinstance(value, int):
            # Beyond 2**53 a JSON reader may round.
            return int(value) if abs(value) < 1 << 53 else str(int(value))
        if isinstance(value, bytes):
            return self._clean("0x" + value.hex())
        if isinstance(value, Mapping):
            return {self._clean(str(key)): self._plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(part) for part in value]
        return self._clean(str(value))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return mask_urls(text)


class JsonHandler(logging.StreamHandler[IO[str]]):
    """Writes lines; one that can't be formatted is replaced by its name, never by its content."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Python's own would print the arguments, whatever they hold."""
        kind = sys.exc_info()[0]
        lost = {
            "level": "error",
            "from": "headrace.logging",
            "say": "a line was lost",
            "why": kind.__name__ if kind is not None else "unknown",
            "of": str(record.name),
        }
        try:
            self.stream.write(json.dumps(lost) + self.terminator)
            self.flush()
        except (OSError, ValueError):
            # The stream is gone: there is nobody to tell.
            return


def mask_urls(text: str) -> str:
    """`text` with every URL cut to its scheme and host: paths and queries carry keys."""
    return _URL.sub(r"\1://\2", text)


def secrets_of_url(url: str) -> list[str]:
    """
    The parts of a URL that may be a key: user, password, path and query, and their pieces. Errors
    of libraries quote them without the URL around them.
    """
    found = []
    for part in url.split(","):
        pieces = urlsplit(part.strip())
        found += [pieces.username or "", pieces.password or ""]
        # A short piece of a path (`v2`, `rpc`) is no key.
        found += [piece for piece in pieces.path.split("/") if len(piece) >= 8]
        found += [
            value
            for pair in pieces.query.split("&")
            if len(value := pair.partition("=")[2]) >= _LEAST_SECRET
        ]
    return [piece for piece in found if piece]


def configure(
    level: str = "INFO", *, secrets: Iterable[str] = (), stream: IO[str] | None = None
) -> None:
    """
    Send all logs to `stream` (stderr by default), warnings and uncaught errors included. Called
    once, by the program that starts.
    """
    handler = JsonHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def protect(*secrets: str) -> None:
    """Strike out `secrets` in all that is logged from now on; nothing before `configure`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.protect(secrets)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    info = (kind, error, trace)
    logging.getLogger("headrace").critical("uncaught error", exc_info=info)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None:
        return
    info = (args.exc_type, args.exc_value, args.exc_traceback)
    name = args.thread.name if args.thread is not None else "unknown"
    logging.getLogger("headrace").critical(
        "uncaught error in a thread", exc_info=info, extra={"thread_name": name}
    )


def _forms(secret: str) -> Iterable[str]:
    bare = secret.removeprefix("0x")
    return (
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        unquote(secret),
        repr(secret)[1:-1],
        bare,
    )


def _encodable(text: str) -> str:
    # Half of a surrogate pair, out of somebody's file name, can't be written.
    return text.encode(errors="replace").decode()
