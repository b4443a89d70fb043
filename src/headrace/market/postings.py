"""What stands on the board: signed asks and bids as JSON, and back, with every word of it checked.

The board is anybody's to write, so a posting counts for nothing but what its signature proves. It
is posted under its EIP-712 hash. A posting by a contract wallet (ERC-1271) can't be checked off
chain and is refused here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from headrace.errors import HeadraceError
from headrace.market.book import LiveAsk, OpenJob
from headrace.terms import eip712
from headrace.terms.eip712 import Domain
from headrace.terms.unmet import NOT_ON_RECORD
from headrace.terms.words import Ask, Terms

# The most programs behind an ask's root: a proof has at most 8 siblings.
MAX_PROGRAMS = 256

Words = TypeVar("Words", Ask, Terms)


class BadPosting(HeadraceError):
    """What was posted is not an offer that anybody signed."""


def ask_posting(ask: LiveAsk) -> dict[str, Any]:
    """An ask as the board keeps it."""
    return {
        "ask": _plain(ask.ask),
        "programs": [_hex(program) for program in ask.programs],
        "signature": _hex(ask.signature),
    }


def read_ask(payload: Mapping[str, Any], token: str, domain: Domain) -> LiveAsk:
    """
    The ask in a posting, with the account that signed it. BadPosting if it is malformed. Whether
    the signer may sign for the provider, and whether the ask still lives, is for the chain to say.
    """
    try:
        ask = _words(Ask, payload["ask"])
        programs = _list(payload["programs"], MAX_PROGRAMS)
        signature = _bytes(payload["signature"])
        digest = eip712.ask_hash(ask, token, domain)
        return LiveAsk(
            ask_hash=digest,
            ask=ask,
            signature=signature,
            signer=eip712.recover(digest, signature),
            programs=tuple(_bytes(program) for program in programs),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadPosting(f"no ask: {error!r}") from None


def bid_posting(terms: Terms, signature: bytes, inputs: Sequence[bytes] = ()) -> dict[str, Any]:
    """A signed job as the board keeps it; with `inputs`, a signed batch of them."""
    posting = {"terms": _plain(terms), "signature": _hex(signature)}
    return posting | ({"inputs": [_hex(input_id) for input_id in inputs]} if inputs else {})


def read_bid(payload: Mapping[str, Any], domain: Domain) -> OpenJob:
    """The job or batch in a posting. BadPosting if it is malformed or not its requester's."""
    try:
        terms = _words(Terms, payload["terms"])
        signature = _bytes(payload["signature"])
        given = _list(payload.get("inputs", []), eip712.MAX_BATCH)
        inputs = tuple(_bytes(input_id) for input_id in given)
        digest = eip712.batch_id(terms, inputs, domain) if inputs else eip712.job_id(terms, domain)
        if eip712.recover(digest, signature) != terms.requester:
            raise ValueError("it is not signed by its requester")
        return OpenJob(
            job_id=digest, terms=terms, state=NOT_ON_RECORD, signature=signature, inputs=inputs
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadPosting(f"no bid: {error!r}") from None


def _plain(words: Ask | Terms) -> dict[str, Any]:
    return {
        name: _hex(value) if isinstance(value, bytes) else value
        for name, value in asdict(words).items()
    }


def _words(kind: type[Words], values: Any) -> Words:
    names = {field.name for field in fields(kind)}
    if not isinstance(values, Mapping) or set(values) != names:
        raise ValueError(f"expected the fields of {kind.__name__}")
    hashes = {field.name for field in fields(kind) if field.type in (bytes, "bytes")}
    given: dict[str, Any] = {n: _bytes(v) if n in hashes else v for n, v in values.items()}
    return kind(**given)


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"expected a list of at most {most}")
    return value


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"expected 0x and hex digits, got {value!r:.40}")
    return bytes.fromhex(value[2:])
