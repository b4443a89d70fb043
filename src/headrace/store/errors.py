"""Why a blob can't be had."""

from headrace.errors import HeadraceError


class BlobError(HeadraceError):
    """Base of the store's errors; `name` is what was asked for."""

    def __init__(self, name: str, why: str) -> None:
        """Keep the name beside the message."""
        super().__init__(f"blob {name}: {why}")
        self.name = name


class MissingBlob(BlobError):
    """Nobody has put it here (yet)."""


class CorruptBlob(BlobError):
    """What is stored under the name isn't what the name promises: empty, cut short, changed."""


class OversizedBlob(BlobError):
    """The stored file is greater than the caller is willing to read."""
