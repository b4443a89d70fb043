"""Errors a caller may act on; anything else is a bug and stops the process."""


class HeadraceError(Exception):
    """Base of every error this package raises on purpose."""


class RetryLater(HeadraceError):
    """Nothing is wrong with the request; the next block or the next try may succeed."""


class Rejected(HeadraceError):
    """A contract, or the other side, refused the call.

    `reason` is the contract's revert reason, or a sentence that says the same.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason beside the message."""
        super().__init__(reason)
        self.reason = reason


class UsageError(HeadraceError):
    """The person's input can't be used as it is; the message says what to change."""


class Unreachable(HeadraceError):
    """The node, file or service that the call needs can't be reached."""
