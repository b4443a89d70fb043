"""The node's standing offer: signed, on the board, and renewed before it ends."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.chain.accounts import Key
from headrace.chain.views import Provider
from headrace.errors import UsageError
from headrace.market.book import LiveAsk
from headrace.market.postings import BadPosting, ask_posting, read_ask
from headrace.node.config import NodeConfig
from headrace.node.record import NodeRecord
from headrace.store.board import Board
from headrace.store.errors import BlobError
from headrace.terms import eip712
from headrace.terms.eip712 import Domain
from headrace.terms.requirement import ACTIVE
from headrace.terms.words import Ask, programs_root

log = logging.getLogger(__name__)

# The longest time before its end at which an ask is renewed, in seconds; a quarter of its life if
# that is less.
_MOST_AHEAD = 86_400
_SALT_BITS = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """
    What asks of this deployment name: the verifier and the keccak of its code, the token, and what
    signatures are for.
    """

    verifier: str
    code_hash: bytes
    token: str
    domain: Domain


def wanted(config: NodeConfig, market: Market, provider: Provider, now: int) -> Ask:
    """The ask that the node would sign at `now`. UsageError if the offer doesn't fit an ask."""
    try:
        return config.offer.ask(
            provider=config.provider,
            node=config.index,
            verifier=market.verifier,
            code_hash=market.code_hash,
            programs=programs_root(list(config.models)),
            now=now,
            epoch=provider.epoch,
            salt=secrets.randbits(_SALT_BITS),
        )
    except ValueError as error:
        raise UsageError(f"the offer can't be signed: {error}") from None


def still_good(ask: Ask, fresh: Ask, now: int) -> bool:
    """Whether `ask` says what `fresh` says, and for long enough yet."""
    life = fresh.expiry - now
    ahead = min(life // 4, _MOST_AHEAD)
    return replace(ask, expiry=0, salt=0) == replace(fresh, expiry=0, salt=0) and (
        ask.expiry - now > ahead
    )


def obstacle(config: NodeConfig, provider: Provider, operator: str) -> str:
    """Why the provider's asks would be worth nothing; "" if nothing stands against them."""
    if provider.status != ACTIVE:
        return f"{config.provider} is not an active provider: register it first"
    if operator != provider.operator:
        return (
            f"asks must be signed by {provider.operator}, the provider's operator, not {operator}"
        )
    if provider.revoked_lanes >> config.offer.lane & 1:
        return f"lane {config.offer.lane} is revoked: choose another in offer.lane"
    return ""


class Asks:
    """Keeps one good ask of the node on the board, and nothing else of its."""

    def __init__(
        self, config: NodeConfig, market: Market, key: Key, board: Board, record: NodeRecord
    ) -> None:
        """Sign with `key`, which must be the provider's operator's."""
        self._config = config
        self._market = market
        self._key = key
        self._board = board
        self._record = record
        self._said = ""

    def keep(self, provider: Provider, now: int) -> None:
        """See to it that a good ask is posted, and take down the others of this node."""
        if why := obstacle(self._config, provider, self._key.address):
            if why != self._said:
                log.error("no offer", extra={"why": why})
            self._said = why
            self.take_down()
            return
        self._said = ""
        fresh = wanted(self._config, self._market, provider, now)
        current = self._current(lambda ask: still_good(ask.ask, fresh, now))
        if current is None:
            current = self._sign(fresh)
            # On record first: whatever is on the board can be taken down again.
            self._record.add_ask(current.ask_hash, ask_posting(current), fresh.expiry)
            log.info(
                "new ask",
                extra={
                    "ask": current.ask_hash,
                    "epoch": fresh.epoch,
                    "expiry": fresh.expiry,
                    "base": fresh.price_base,
                    "per_unit": fresh.price_per_unit,
                    "models": len(current.programs),
                },
            )
        self._post(current)
        self.take_down(but=current.ask_hash)

    def _post(self, ask: LiveAsk) -> None:
        posting = ask_posting(ask)
        try:
            if self._board.get("ask", ask.ask_hash) == posting:
                return
        except BlobError:
            pass
        self._board.post("ask", ask.ask_hash, posting)
        log.info("ask posted", extra={"ask": ask.ask_hash})

    def take_down(self, but: bytes | None = None) -> None:
        """Take the node's asks off the board, all `but` one."""
        for ask_hash, _ in self._record.asks():
            if ask_hash != but:
                self._board.remove("ask", ask_hash)
                self._record.drop_ask(ask_hash)
                log.info("ask taken down", extra={"ask": ask_hash})

    def _current(self, is_good: Callable[[LiveAsk], bool]) -> LiveAsk | None:
        for _, posting in self._record.asks():
            try:
                ask = read_ask(posting, self._market.token, self._market.domain)
            except BadPosting:
                continue
            if ask.signer == self._key.address and is_good(ask):
                return ask
        return None

    def _sign(self, ask: Ask) -> LiveAsk:
        digest = eip712.ask_hash(ask, self._market.token, self._market.domain)
        return LiveAsk(
            ask_hash=digest,
            ask=ask,
            signature=self._key.sign_digest(digest),
            signer=self._key.address,
            programs=tuple(self._config.models),
        )
