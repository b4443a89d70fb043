"""A bulletin folder of signed offers: one JSON file each, named by the offer's EIP-712 hash.

The board trusts nobody: it keeps what it is given and says nothing of its truth. Whoever reads an
offer checks its signature and its hash.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from headrace.errors import UsageError
from headrace.store.errors import CorruptBlob, MissingBlob
from headrace.store.files import hex_id, read_at_most, write_whole

Kind = Literal["ask", "bid"]
MAX_OFFER_BYTES = 1 << 16
_SUFFIX = ".json"


class Offer(NamedTuple):
    """What was posted, and under which hash (64 hex digits)."""

    name: str
    payload: dict[str, Any]


class Board:
    """A folder that several processes share; files that aren't offers are passed over."""

    def __init__(self, path: Path) -> None:
        """Use the folder at `path`; it is made when something is first posted."""
        self.path = path

    def _folder(self, kind: Kind) -> Path:
        if kind not in get_args(Kind):
            raise UsageError(f"the board has asks and bids, no {kind!r}")
        return self.path / f"{kind}s"

    def _place(self, kind: Kind, name: bytes | str) -> Path:
        return self._folder(kind) / f"{hex_id(name)}{_SUFFIX}"

    def post(self, kind: Kind, name: bytes | str, payload: dict[str, Any]) -> None:
        """Post an offer, or replace it; UsageError when it is no JSON or longer than 64 KiB."""
        place = self._place(kind, name)
        try:
            data = json.dumps(payload, sort_keys=True, indent=1, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"an offer must be plain JSON: {error}") from error
        if not isinstance(payload, dict):
            raise UsageError("an offer must be a JSON object")
        if len(data) > MAX_OFFER_BYTES:
            raise UsageError(f"an offer has at most {MAX_OFFER_BYTES} bytes, not {len(data)}")
        write_whole(place, data)

    def get(self, kind: Kind, name: bytes | str) -> dict[str, Any]:
        """Return one offer; MissingBlob, or CorruptBlob when the file is no offer."""
        place = self._place(kind, name)
        data = read_at_most(place, MAX_OFFER_BYTES)
        if data is None:
            raise MissingBlob(hex_id(name), f"no such {kind} on {self.path}")
        payload = _parse(data)
        if payload is None:
            raise CorruptBlob(hex_id(name), f"the file of this {kind} is no JSON object")
        return payload

    def list(self, kind: Kind) -> tuple[Offer, ...]:
        """Return every readable offer of a kind, by name."""
        offers = []
        for name in self.names(kind):
            data = read_at_most(self._place(kind, name), MAX_OFFER_BYTES)
            payload = None if data is None else _parse(data)
            if payload is not None:
                offers.append(Offer(name, payload))
        return tuple(offers)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Return the hashes under which something of a kind is posted, sorted."""
        try:
            entries = [entry.name for entry in self._folder(kind).iterdir()]
        except OSError:
            return ()
        found = []
        for entry in entries:
            stem = entry.removesuffix(_SUFFIX)
            try:
                if stem != entry and hex_id(stem) == stem:
                    found.append(stem)
            except UsageError:
                continue
        return tuple(sorted(found))

    def remove(self, kind: Kind, name: bytes | str) -> bool:
        """Take an offer down; say whether it was there."""
        try:
            self._place(kind, name).unlink()
        except FileNotFoundError:
            return False
        return True


def _parse(data: bytes) -> dict[str, Any] | None:
    if len(data) > MAX_OFFER_BYTES:
        return None
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
