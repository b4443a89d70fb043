"""Files that several processes write and read at once: whole or not at all."""

import os
import re
import secrets
import stat
from pathlib import Path

from headrace.errors import Unreachable, UsageError

_ID = re.compile(r"(?:0x)?([0-9a-f]{64})")
_TEMPORARY = ".tmp-"


def hex_id(name: bytes | str) -> str:
    """Return a 32-byte id as 64 lower-case hex digits; UsageError for anything else.

    Nothing but hex digits ever becomes part of a path.
    """
    if isinstance(name, bytes):
        if len(name) != 32:
            raise UsageError(f"an id has 32 bytes, not {len(name)}")
        return name.hex()
    match = _ID.fullmatch(name.lower()) if isinstance(name, str) else None
    if match is None:
        raise UsageError(f"{str(name)[:80]!r} is no id: 64 hex digits are")
    return match[1]


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step that survives a crash: readers see all of it or nothing.

    Raises Unreachable when the disk doesn't take it.
    """
    try:
        _write_whole(path, data)
    except OSError as error:
        raise Unreachable(f"can't write {path}: {error.strerror}") from error


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_at_most(path: Path, most: int) -> bytes | None:
    """Return a regular file's bytes, at most `most` + 1 of them; None when there is none."""
    try:
        # never follow a link out of the store, never wait for a pipe
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as file:
        return file.read(most + 1)
