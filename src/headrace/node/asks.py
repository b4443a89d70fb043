"""The node's standing offers, one a verifier: signed, on the board, renewed before they end."""

import logging
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from headrace.chain.accounts import Key
from headrace.chain.views import Provider
from headrace.errors import UsageError
from headrace.formats import verifier_of
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


def wanted(
    config: NodeConfig, market: Market, programs: Collection[bytes], provider: Provider, now: int
) -> Ask:
    """
    The ask for `programs` that the node would sign at `now`. UsageError if the offer doesn't fit
    an ask.
    """
    try:
        return config.offer.ask(
            provider=config.provider,
            node=config.index,
            verifier=market.verifier,
            code_hash=market.code_hash,
            programs=programs_root(list(programs)),
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
    """Keeps one good ask for each verifier of the node's models on the board, and no others."""

    def __init__(
        self,
        config: NodeConfig,
        markets: Mapping[str, Market],
        key: Key,
        board: Board,
        record: NodeRecord,
    ) -> None:
        """
        Sign with `key`, which must be the provider's operator's. `markets` are by the verifiers'
        names in the manifest. UsageError when there is none for a model.
        """
        self._config = config
        self._markets = markets
        self._key = key
        self._board = board
        self._record = record
        self._said = ""
        self._programs: dict[str, list[bytes]] = {}
        for program, model in config.models.items():
            verifier = verifier_of(model)
            if verifier not in markets:
                raise UsageError(f"0x{program.hex()} is for {verifier}, which is not deployed here")
            self._programs.setdefault(verifier, []).append(program)

    def keep(self, provider: Provider, now: int) -> None:
        """See to it that good asks are posted, and take down the others of this node."""
        if why := obstacle(self._config, provider, self._key.address):
            if why != self._said:
                log.error("no offer", extra={"why": why})
            self._said = why
            self.take_down()
            return
        self._said = ""
        good = [self._keep(name, provider, now) for name in sorted(self._programs)]
        self.take_down(but=good)

    def _keep(self, verifier: str, provider: Provider, now: int) -> bytes:
        """One verifier's ask, good and posted; returns its hash."""
        market, programs = self._markets[verifier], self._programs[verifier]
        fresh = wanted(self._config, market, programs, provider, now)
        current = self._current(market, lambda ask: still_good(ask.ask, fresh, now))
        if current is None:
            current = self._sign(market, fresh, programs)
            # On record first: whatever is on the board can be taken down again.
            self._record.add_ask(current.ask_hash, ask_posting(current), fresh.expiry)
            log.info(
                "new ask",
                extra={
                    "ask": current.ask_hash,
                    "verifier": verifier,
                    "epoch": fresh.epoch,
                    "expiry": fresh.expiry,
                    "base": fresh.price_base,
                    "per_unit": fresh.price_per_unit,
                    "models": len(current.programs),
                },
            )
        self._post(current)
        return current.ask_hash

    def _post(self, ask: LiveAsk) -> None:
        posting = ask_posting(ask)
        try:
            if self._board.get("ask", ask.ask_hash) == posting:
                return
        except BlobError:
            pass
        self._board.post("ask", ask.ask_hash, posting)
        log.info("ask posted", extra={"ask": ask.ask_hash})

    def take_down(self, but: Collection[bytes] = ()) -> None:
        """Take the node's asks off the board, all `but` these."""
        for ask_hash, _ in self._record.asks():
            if ask_hash not in but:
                self._board.remove("ask", ask_hash)
                self._record.drop_ask(ask_hash)
                log.info("ask taken down", extra={"ask": ask_hash})

    def _current(self, market: Market, is_good: Callable[[LiveAsk], bool]) -> LiveAsk | None:
        for _, posting in self._record.asks():
            try:
                ask = read_ask(posting, market.token, market.domain)
            except BadPosting:
                continue
            if ask.signer == self._key.address and is_good(ask):
                return ask
        return None

    def _sign(self, market: Market, ask: Ask, programs: Collection[bytes]) -> LiveAsk:
        digest = eip712.ask_hash(ask, market.token, market.domain)
        return LiveAsk(
            ask_hash=digest,
            ask=ask,
            signature=self._key.sign_digest(digest),
            signer=self._key.address,
            programs=tuple(programs),
        )
