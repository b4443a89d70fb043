"""What can stand against a match, one case a kind: how to bring it about, and its last good value.

Each case says which bits of `unmet` it sets and by which reason `match` refuses it. The cases that
only touch fields of terms and ask (`is_plain`) can be combined.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.terms.words import Ask, Exclusion, Requirement, Terms, programs_proof, programs_root
from tests.system import DAY, ESCROW_BOOK, PROGRAM, System

# Fields by time of the match and whether they are to be bad: the good value is the last good one.
Fields = Callable[[int, bool], Mapping[str, Any]]


def nothing(_now: int, _bad: bool) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Case:
    """One reason why a match can fail."""

    name: str
    reason: str
    requester_bits: tuple[int, ...] = ()
    provider_bits: tuple[int, ...] = ()
    requirement: Callable[[bool], Mapping[str, int]] = lambda _bad: {}
    terms: Fields = nothing
    ask: Fields = nothing
    # What has to happen before; gives changes of terms and ask that don't depend on time.
    prepare: Callable[[System, bool], Mapping[str, Any] | None] | None = None
    is_posted: bool = False
    keeper: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it only touches fields."""
        return self.prepare is None and not self.is_posted

    @property
    def bits(self) -> tuple[int, int]:
        """As `unmet` answers."""
        ours = sum(1 << bit for bit in self.requester_bits)
        return ours, sum(1 << bit for bit in self.provider_bits)


@dataclass
class Setup:
    """A job and an offer to be matched at a given second."""

    terms: Terms
    ask: Ask
    now: int
    excluded: list[Exclusion] = field(default_factory=list)
    proof: list[bytes] = field(default_factory=list)
    keeper: int = 0

    def unmet(self, system: System) -> tuple[int, int]:
        """What `unmet` says of a match at that second."""
        found = system.rules.unmet(
            self.terms.pack(),
            self.ask.pack(),
            self.proof,
            [exclusion.pack() for exclusion in self.excluded],
            system.keepers[self.keeper],
            timestamp=self.now,
        )
        return (found[0], found[1])

    def match(self, system: System) -> Any:
        """The match at that second."""
        return system.match(
            self.terms,
            self.ask,
            proof=self.proof,
            excluded=self.excluded,
            keeper=system.keepers[self.keeper],
            timestamp=self.now,
        )


def bring_about(system: System, *chosen: tuple[Case, bool]) -> Setup:
    """Brings cases about, each bad or with its last good value."""
    terms: dict[str, Any] = {}
    ask: dict[str, Any] = {}
    requirement: dict[str, int] = {}
    setup: dict[str, Any] = {}
    for case, bad in chosen:
        found = dict((case.prepare and case.prepare(system, bad)) or {})
        terms |= found.pop("terms", {})
        ask |= found.pop("ask", {})
        setup |= found
    # Far enough from now for the transactions that are still to come.
    now = system.chain.now() + 40
    for case, bad in chosen:
        terms |= case.terms(now, bad)
        ask |= case.ask(now, bad)
        requirement |= case.requirement(bad)
        setup["keeper"] = case.keeper or setup.get("keeper", 0)
    if "terms_on_record" in setup:
        made = setup.pop("terms_on_record")
    else:
        fields = {"valid_from": now - 1, "final_deadline": now + DAY}
        fields["requirement"] = Requirement(**requirement).pack()
        made = system.terms(**(fields | terms))
    if any(case.is_posted for case, _ in chosen):
        system.post(made)
    for name, wanted in list(ask.items()):
        if callable(wanted):
            ask[name] = wanted(made)
    return Setup(terms=made, ask=system.ask(setup.pop("provider", 0), **ask), now=now, **setup)


# -- preparations --


def leave(system: System, bad: bool) -> Mapping[str, Any]:
    if bad:
        system.registry.begin_exit(sender=system.providers[0])
    # Leaving voids all asks: the epoch is another one, so that only the status is in the way.
    return {"ask": {"epoch": 1 if bad else 0}}


def go_off_line(system: System, bad: bool) -> None:
    system.registry.set_available(system.providers[0], not bad, sender=system.providers[0])


def grow_stale(system: System, bad: bool) -> Mapping[str, Any]:
    receipt = system.registry.heartbeat(system.providers[0], sender=system.providers[0])
    # `bring_about` matches 40 seconds after the latest block.
    edge = receipt.timestamp + system.parameters.heartbeat_ttl
    system.chain.travel(edge + (1 if bad else 0) - 40 - system.chain.now())
    return {}


def fill(system: System, bad: bool) -> None:
    capacity = 1 if bad else 2
    system.registry.set_node(0, system.node(capacity=capacity).pack(), sender=system.providers[0])
    system.match()


def err(system: System, _bad: bool) -> None:
    system.expire(system.match())


def finish(system: System, bad: bool) -> None:
    """One job on the record, or none."""
    if not bad:
        system.finalise(system.standing())


def finish_dearly(system: System, bad: bool) -> Mapping[str, Any]:
    """Good weight of at least 2**16 units, or of less."""
    price = 11_000_000 if bad else 12_000_000  # 57 basis points of it are sunk
    job = system.terms(
        price_start=40_000_000, price_cap=50_000_000, requester=system.requesters[1].address
    )
    offer = system.ask(price_base=price, price_per_unit=0, max_lock=10**9)
    system.finalise(system.standing(job, offer))
    weight = system.registry.provider_of(system.providers[0]).good_weight
    assert (weight >= 2**16) == (not bad)
    return {}


def fail_before(system: System, bad: bool) -> Mapping[str, Any]:
    first = system.match(system.terms(requester=system.requesters[1].address))
    system.expire(first)
    return {
        "terms_on_record": first.terms,
        "excluded": [first.exclusion],
        "provider": 0 if bad else 1,
    }


def list_wrongly(system: System, bad: bool) -> Mapping[str, Any]:
    found = dict(fail_before(system, bad=False))
    if bad:
        (right,) = found["excluded"]
        found["excluded"] = [replace(right, held=right.held + 1)]
    return found


def stop(system: System, bad: bool) -> None:
    if bad:
        system.escrow.stop_verifier(system.dummy, sender=system.owner)


def match_before(system: System, bad: bool) -> Mapping[str, Any]:
    terms = system.post()
    if bad:
        system.match(terms, system.ask(1))
    return {"terms_on_record": terms}


def bump_bids(system: System, bad: bool) -> None:
    if bad:
        system.escrow.revoke_bids(sender=system.requesters[0])


def drain(index: int, system: System, bad: bool) -> Mapping[str, Any]:
    """Leaves the requester (0) or the provider (1) with just enough, or a unit less."""
    account = (system.requesters[0], system.providers[0])[index]
    terms = {"tip_share_bps": 0}
    quote = system.rules.quote(system.terms(**terms).pack(), system.ask().pack())
    need = (quote.total, quote.lock)[index]
    free = system.vault.free_of(account)
    system.vault.withdraw(free - need + (1 if bad else 0), system.stranger, sender=account)
    return {"terms": terms}


def disown(index: int, system: System, bad: bool) -> None:
    account = (system.requesters[0], system.providers[0])[index]
    if bad:
        system.vault.revoke(ESCROW_BOOK, sender=account)


def serve_oneself(system: System, bad: bool) -> Mapping[str, Any]:
    """Requester and provider are one account, with enough for both sides or a unit less."""
    account = system.providers[0]
    terms = {"tip_share_bps": 0, "requester": account.address}
    quote = system.rules.quote(system.terms(**terms).pack(), system.ask().pack())
    free = system.vault.free_of(account)
    out = free - quote.total - quote.lock + (1 if bad else 0)
    system.vault.withdraw(out, system.stranger, sender=account)
    return {"terms": terms}


def revoke_epoch(system: System, bad: bool) -> None:
    if bad:
        system.registry.bump_epoch(system.providers[0], sender=system.providers[0])


def revoke_lane(system: System, bad: bool) -> Mapping[str, Any]:
    system.registry.revoke_lane(system.providers[0], 15, sender=system.providers[0])
    return {"ask": {"lane": 15 if bad else 14}}


OTHERS = [bytes([i]) * 32 for i in range(1, 5)]


def several_programs(_system: System, bad: bool) -> Mapping[str, Any]:
    listed = OTHERS if bad else [*OTHERS, PROGRAM]
    proof = programs_proof([*OTHERS, PROGRAM], PROGRAM)
    return {"ask": {"programs": programs_root(listed)}, "proof": proof}


def asked_of(name: str, good: int, bad_value: int) -> Callable[[bool], Mapping[str, int]]:
    return lambda bad: {name: bad_value if bad else good}


def of_job(name: str, by: int) -> Fields:
    """A limit of the ask that the job just meets, or misses by `by`."""

    def limit(_now: int, bad: bool) -> Mapping[str, Any]:
        source = name.removeprefix("max_").removeprefix("min_")
        return {name: lambda terms: getattr(terms, source) + (by if bad else 0)}

    return limit


def exact_price(now: int, bad: bool) -> Mapping[str, Any]:
    """The ramp stands at its start, at the total of price, levy, charge and the fixed tip."""
    price = 500_009 + 17 * 100_003
    total = price + price * 57 // 10_000 + 31_337 + 20_011
    start = total - (1 if bad else 0)
    return {"tip_share_bps": 0, "price_start": start, "valid_from": now}


def exact_lock(_now: int, bad: bool) -> Mapping[str, Any]:
    price = 500_009 + 17 * 100_003
    return {"max_lock": 2 * price - (1 if bad else 0)}


SETTINGS_OF_TWO_DAYS = (7 << 88) | 600 | (2 * DAY - 600) << 32

CASES = [
    # The requester's side: what the Registry knows.
    Case("leaving", "registry: not active", (0,), prepare=leave),
    Case("unavailable", "registry: unavailable", (1,), prepare=go_off_line),
    Case("stale", "registry: stale", (2,), prepare=grow_stale),
    Case(
        "no node",
        "registry: no such node",
        (3, 14),
        ask=lambda _now, bad: {"node": 1 if bad else 0},
    ),
    Case(
        "node out of range",
        "registry: no such node",
        (3, 14),
        ask=lambda _now, bad: {"node": 255 if bad else 0},
    ),
    Case(
        "gpu model",
        "registry: wrong gpu model",
        (4,),
        requirement=asked_of("gpu_mask", 0b11, 0b10),
    ),
    Case("gpus", "registry: too few gpus", (5,), requirement=asked_of("min_gpu_count", 8, 9)),
    Case("vram", "registry: too little vram", (6,), requirement=asked_of("min_vram_gib", 80, 81)),
    Case(
        "region",
        "registry: wrong region",
        (7,),
        requirement=asked_of("region_mask", 1 << 3, ~(1 << 3) % 2**32),
    ),
    Case(
        "latency",
        "registry: latency too high",
        (8,),
        requirement=asked_of("max_latency_class", 2, 1),
    ),
    Case("flags", "registry: not attested", (9,), requirement=asked_of("flags", 1, 3)),
    Case(
        "benchmark",
        "registry: benchmark too low",
        (10,),
        requirement=asked_of("min_benchmark", 5_000, 5_001),
    ),
    Case(
        "completions",
        "registry: too few completions",
        (11,),
        requirement=lambda _bad: {"min_completions": 1},
        prepare=finish,
    ),
    Case(
        "fault rate",
        "registry: fault rate too high",
        (12,),
        requirement=asked_of("max_fault_bps", 10_000, 9_999),
        prepare=err,
    ),
    Case(
        "weight",
        "registry: weight too low",
        (13,),
        requirement=lambda _bad: {"min_weight": 1},
        prepare=finish_dearly,
    ),
    Case("capacity", "registry: no place left", (14,), prepare=fill),
    # The requester's side: the job.
    Case(
        "too early",
        "match: job isn't valid yet",
        (16,),
        terms=lambda now, bad: {"valid_from": now + (1 if bad else 0)},
    ),
    Case(
        "too far",
        "terms: deadline too far",
        (16,),
        terms=lambda now, bad: {"final_deadline": now + 30 * DAY + (1 if bad else 0)},
    ),
    Case(
        "over, signed",
        "terms: deadline is over",
        (17,),
        terms=lambda now, bad: {"final_deadline": now - (1 if bad else 0)},
    ),
    Case(
        "over, posted",
        "match: job is over",
        (17,),
        terms=lambda now, bad: {"final_deadline": now - (1 if bad else 0)},
        is_posted=True,
    ),
    Case("price", "match: price above the ramp", (18,), terms=exact_price),
    Case("failed before", "match: provider is excluded", (19,), prepare=fail_before),
    Case("wrong list", "match: provider is excluded", (19,), prepare=list_wrongly),
    Case("stopped", "match: verifier is stopped", (20,), prepare=stop),
    Case("matched before", "match: job is not open", (21,), prepare=match_before),
    Case("revoked bid", "match: bid is revoked", (21,), prepare=bump_bids),
    Case(
        "requester's money",
        "vault: not enough to pay",
        (22,),
        prepare=lambda system, bad: drain(0, system, bad),
    ),
    Case(
        "requester's word",
        "vault: payer not authorised",
        (22,),
        prepare=lambda system, bad: disown(0, system, bad),
    ),
    # The provider's side.
    Case("epoch", "registry: wrong epoch", (), (1,), prepare=revoke_epoch),
    Case(
        "another epoch",
        "registry: wrong epoch",
        (),
        (1,),
        ask=lambda _now, bad: {"epoch": 1 if bad else 0},
    ),
    Case("lane", "registry: lane is revoked", (), (2,), prepare=revoke_lane),
    Case(
        "lane out of range",
        "registry: lane is revoked",
        (),
        (2,),
        ask=lambda _now, bad: {"lane": 16 if bad else 15},
    ),
    Case(
        "expired",
        "match: ask expired or too long",
        (),
        (3,),
        ask=lambda now, bad: {"expiry": now - (1 if bad else 0)},
    ),
    Case(
        "too long a life",
        "match: ask expired or too long",
        (),
        (3,),
        ask=lambda now, bad: {"expiry": now + 30 * DAY + (1 if bad else 0)},
    ),
    Case(
        "program",
        "match: program not in ask",
        (),
        (4,),
        ask=lambda _now, bad: {"programs": OTHERS[0] if bad else PROGRAM},
    ),
    Case("programs", "match: program not in ask", (), (4,), prepare=several_programs),
    Case("units", "match: too many units", (), (5,), ask=of_job("max_units", -1)),
    Case("input", "match: input too large", (), (6,), ask=of_job("max_input_bytes", -1)),
    Case("ack", "match: ack too short", (), (7,), ask=of_job("min_ack_seconds", 1)),
    Case(
        "verifier",
        "match: verifier not in ask",
        (),
        (8,),
        ask=lambda _now, bad: {"verifier_terms": bytes(32)} if bad else {},
    ),
    Case(
        "settings",
        "match: verifier not in ask",
        (),
        (8,),
        ask=lambda _now, bad: {"settings": (7 << 88) | (601 if bad else 600)},
    ),
    Case("lock", "match: lock above ask", (), (9,), ask=exact_lock),
    Case(
        "delay",
        "match: delay too long",
        (),
        (10,),
        ask=lambda _now, bad: {"max_delay": 599 if bad else 600},
    ),
    Case(
        "longest delay",
        "match: delay too long",
        (),
        (10,),
        terms=lambda _now, bad: {"settings": SETTINGS_OF_TWO_DAYS + ((1 if bad else 0) << 32)},
        ask=lambda _now, bad: {
            "settings": SETTINGS_OF_TWO_DAYS + ((1 if bad else 0) << 32),
            "max_delay": 2**32 - 1,
        },
    ),
    Case(
        "counterparty",
        "match: ask is for another",
        (),
        (11,),
        ask=lambda _now, bad: {"counterparty": "0x" + ("11" * 20 if bad else "00" * 20)},
    ),
    Case(
        "provider's money",
        "vault: not enough to lock",
        (),
        (12,),
        prepare=lambda system, bad: drain(1, system, bad),
    ),
    Case(
        "provider's word",
        "vault: locker not authorised",
        (),
        (12,),
        prepare=lambda system, bad: disown(1, system, bad),
    ),
    Case("both sides' money", "vault: not enough to lock", (), (12,), prepare=serve_oneself),
    Case("attempt", "match: attempt too short", (), (13,), ask=of_job("min_attempt_seconds", 1)),
]
BY_NAME = {case.name: case for case in CASES}
PLAIN = [case for case in CASES if case.is_plain]
