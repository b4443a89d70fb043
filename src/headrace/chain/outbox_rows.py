"""The rows of an outbox: what each holds, and how it is read from the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = (
    "id, action, what, nonce, target, data, value, gas, state, reason, mined_in, mined_hash, "
    "mined_tx, made_at_block, is_final, deadline, is_safety, fee"
)
ATTEMPT_COLUMNS = "hash, raw, max_fee, priority_fee, is_empty, made_at_block"


@dataclass(frozen=True, slots=True)
class Tx:
    """
    One nonce of the key and what it is for. `state`: open (signed, not in a block), mined (in a
    block that may still go), done, reverted, empty (a transaction without effect took its nonce,
    because the call had become invalid), lost (the nonce went to a transaction that is not from
    here). `is_final`: no reorganisation will change that. `deadline` in seconds of chain time,
    `fee` what its gas cost in wei, 0 while it is in no block.
    """

    id: int
    action: str
    what: str
    nonce: int
    target: str
    data: bytes
    value: int
    gas: int
    state: str
    reason: str
    mined_in: int | None
    mined_hash: bytes | None
    mined_tx: bytes | None
    made_at_block: int
    is_final: bool = False
    deadline: int | None = None
    is_safety: bool = False
    fee: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether it may still get into a block."""
        return self.state == "open"

    @property
    def is_success(self) -> bool:
        """Whether it is in a block and did what it is for."""
        return self.state in ("mined", "done")


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes for a nonce. `is_empty` ones have no effect but to use it up."""

    hash: bytes
    raw: bytes
    max_fee: int
    priority_fee: int
    is_empty: bool
    made_at_block: int


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be signed, all but its nonce."""

    action: str
    what: str
    target: str
    data: bytes
    value: int
    gas: int
    deadline: int | None = None
    is_safety: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Room for one more transaction: `in_flight` at most in no block, and for its class `budget` wei
    on the chain's day `day`, at `max_fee` wei per unit of gas.
    """

    in_flight: int
    budget: int | None = None
    day: int = 0
    max_fee: int = 0


def to_tx(row: Sequence[Any]) -> Tx:
    """A row of `COLUMNS`."""
    values = list(row)
    # Wei do not fit a database's integers.
    values[6] = int(values[6])
    for index in (5, 11, 12):
        values[index] = None if values[index] is None else bytes(values[index])
    values[14], values[16] = bool(values[14]), bool(values[16])
    values[17] = int(values[17])
    return Tx(*values)


def to_attempt(row: Sequence[Any]) -> Attempt:
    """A row of `ATTEMPT_COLUMNS`."""
    hash_, raw, max_fee, priority_fee, is_empty, block = row
    return Attempt(bytes(hash_), bytes(raw), int(max_fee), int(priority_fee), bool(is_empty), block)
