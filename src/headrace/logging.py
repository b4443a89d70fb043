"""Log lines as JSON, one per event: a constant message, and what varies in fields of its own.

`log.info("settled", extra={"job": job_id, "tx": tx})` gives `{"at": "2026-01-02T03:04:05.678Z",
"level": "info", "from": "headrace.keeper", "say": "settled", ...}`. URLs lose all but their host
and known secrets are struck out, whoever logs them.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

_URL = re.compile(
    r"\b([a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?([^\s/\"'?#,)\]}]+)[^\s\"',)\]}]*", re.I
)
# What every record has: anything else came in through `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LOUD = ("urllib3", "web3", "eth_account", "asyncio")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON without the secrets it was told."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """
        `secrets` are struck out of every line; those under 4 characters would strike out noise.
        """
        super().__init__()
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)

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
                line[key] = self._plain(value)
        if record.exc_info:
            line["trace"] = self._clean(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # Beyond 2**53 a JSON reader may round.
            return int(value) if abs(value) < 1 << 53 else str(int(value))
        if isinstance(value, bytes):
            return "0x" + value.hex()
        if isinstance(value, Mapping):
            return {str(key): self._plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(part) for part in value]
        return self._clean(str(value))

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return mask_urls(text)


def mask_urls(text: str) -> str:
    """`text` with every URL cut to its scheme and host: paths and queries carry keys."""
    return _URL.sub(r"\1://\2", text)


def configure(
    level: str = "INFO", *, secrets: Iterable[str] = (), stream: IO[str] | None = None
) -> None:
    """Send all logs to `stream` (stderr by default). Called once, by the program that starts."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
