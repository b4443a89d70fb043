"""Live asks on the board, and what each would come to for given terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.chain.contract import Query, read_many, try_many
from headrace.chain.views import Quote
from headrace.cli.session import Session
from headrace.errors import Rejected
from headrace.market.book import LiveAsk
from headrace.market.postings import BadPosting, read_ask
from headrace.terms import money
from headrace.terms.money import CheckPrice, Policy
from headrace.terms.unmet import PRICE, TOO_EARLY, Reason, explain
from headrace.terms.words import Exclusion, Terms


@dataclass(frozen=True, slots=True)
class Offer:
    """
    What an ask would come to. `quote` is for a match at the second `at`: the block that was asked
    about, or the first one that the ramp allows, if time is all that is missing. `at` is None if it
    can't be matched as things are; `reasons` say why not (now). `refusal` is set, and `quote` None,
    where the contracts refuse to weigh it at all.
    """

    ask: LiveAsk
    requester_bits: int = 0
    provider_bits: int = 0
    quote: Quote | None = None
    at: int | None = None
    refusal: str = ""

    @property
    def reasons(self) -> list[Reason]:
        """What stands against a match at the block that was asked about."""
        return explain(self.requester_bits, self.provider_bits)


def read_asks(session: Session, now: int) -> list[LiveAsk]:
    """Every ask on the board that hasn't expired; what is no ask is passed over."""
    found = []
    for offer in session.board.list("ask"):
        try:
            ask = read_ask(offer.payload, session.token.address, session.domain)
        except BadPosting:
            continue
        if now <= ask.ask.expiry:
            found.append(ask)
    return found


def weigh(
    session: Session,
    terms: Terms,
    asks: Sequence[LiveAsk],
    *,
    block: int,
    now: int,
    excluded: Sequence[Exclusion] = (),
    declined_at: int = 0,
) -> list[Offer]:
    """
    What the contracts say of each pair at `block`, whose time is `now`: those that can be matched
    first, the cheapest at the front.
    """
    rules, me = session.rules, terms.requester
    queries = []
    for ask in asks:
        proof = ask.proof(terms.program) if terms.program in ask.programs else []
        queries.append(rules.query("unmet", terms, ask.ask, proof, list(excluded), me))
        queries.append(rules.query("quote", terms, ask.ask))
    answers = try_many(session.rpc, queries, block)
    policy = session.escrow.policy_of(terms.verifier, block)
    local = Policy(
        is_enabled=policy.is_enabled, charge_bps=policy.charge_bps, keeper_fee=policy.keeper_fee
    )
    offers = []
    for index, ask in enumerate(asks):
        bits, quoted = answers[2 * index : 2 * index + 2]
        if bits is None or quoted is None:
            offers.append(Offer(ask, refusal=_refusal(session, queries[2 * index], block)))
            continue
        offers.append(_offer(terms, ask, bits, Quote(*quoted), local, now, declined_at))
    return sorted(offers, key=_order)


def _offer(
    terms: Terms,
    ask: LiveAsk,
    bits: tuple[int, int],
    quoted: Quote,
    policy: Policy,
    now: int,
    declined_at: int,
) -> Offer:
    requester_bits, provider_bits = bits
    found = Offer(ask, requester_bits, provider_bits, quoted)
    if not requester_bits and not provider_bits:
        return replace(found, at=now)
    if provider_bits or requester_bits & ~(PRICE | TOO_EARLY):
        return found
    # Only time is missing: the quote is for the first second that will do.
    before_tip = quoted.price + quoted.levy + quoted.charge
    wanted = before_tip + money.least_saving(terms, quoted.price)
    reached = money.ramp_reaches(terms, wanted, declined_at)
    if reached is None:
        return found
    at = max(reached, terms.valid_from, now)
    check = CheckPrice(levy=quoted.levy, lock_min=0, window=0, delay=quoted.delay)
    later = money.quote(terms, ask.ask, check, policy, at, declined_at)
    quote = Quote(
        price=later.price,
        tip=later.tip,
        levy=later.levy,
        charge=later.charge,
        total=later.total,
        lock=quoted.lock,
        delay=quoted.delay,
        latest_end=quoted.latest_end,
    )
    return replace(found, quote=quote, at=at)


def _refusal(session: Session, query: Query[object], block: int) -> str:
    try:
        read_many(session.rpc, [query], block)
    except Rejected as error:
        return error.reason
    return "the contracts can't quote it"


def _order(offer: Offer) -> tuple[bool, bool, int, bytes]:
    total = 0 if offer.quote is None else offer.quote.total
    return offer.at is None, offer.quote is None, total, offer.ask.ask_hash
