"""The right to drive a key: one process at a time, so that a standby can wait for it.

On one machine it is a lock on a file, which the kernel gives free when its process ends, however it
ends. Across machines see `postgres_outbox.RowLease`, whose right runs out by the database's clock.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol, Self

from headrace.errors import RetryLater, UsageError


class Lease(Protocol):
    """A right that is held until it is given back, or lost."""

    def hold(self) -> None:
        """Keep it for another while. UsageError if it was lost: then nothing may be sent."""

    def close(self) -> None:
        """Give it back."""


class FileLease:
    """A lock on `<outbox>.lease`."""

    def __init__(self, file: IO[str]) -> None:
        """See `take`."""
        self._file = file

    @classmethod
    def take(cls, outbox: Path, *, is_standby: bool = False) -> Self:
        """
        The lease of an outbox's key. If another process has it: UsageError that names it, or
        RetryLater for a standby, which asks again.
        """
        path = outbox.with_name(outbox.name + ".lease")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            file.close()
            if is_standby:
                raise RetryLater(f"standing by: process {holder} sends with this key") from None
            raise UsageError(
                f"process {holder} sends with this key already ({path}): stop it, use another "
                "account, or start this one as its standby"
            ) from None
        try:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            with suppress(OSError):
                file.close()
            raise UsageError(f"{path} can't be written: {error.strerror}") from None
        return cls(file)

    def hold(self) -> None:
        """It is ours until the process ends."""

    def close(self) -> None:
        """Give it back."""
        self._file.close()
