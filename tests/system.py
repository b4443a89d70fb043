"""The whole system on a local chain, with accounts that play every role.

`System(chain)` deploys token, Vault, ProviderRegistry, MatchRules, JobEscrow, FaultProof and the
DummyVerifier, funds everybody and registers the providers. Its methods are the moves of a job's
life; each sends one transaction and gives back what later moves need, read from the events alone,
as a keeper would. `match` and `match_batch` give `Attempt`s: a job's terms, number and Record.

Every argument has a default that makes the move go through, so a test names only what it is about:

    attempt = system.match(system.post(), system.ask())
    system.claim(attempt)
    system.finalise(attempt)
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_account import Account as Signer
from eth_utils import keccak

from headrace.terms import eip712, money, words
from headrace.terms.words import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Ask,
    Exclusion,
    Record,
    Terms,
)
from tests.harness import Account, Chain, Receipt
from tests.stage import (
    DAY,
    ESCROW_BOOK,
    FAULT_PROOF_BOOK,
    REGISTRY_BOOK,
    UNIT,
    VOID_GRACE,
    Balance,
    Parameters,
    Stage,
)

__all__ = [
    "DAY",
    "ESCROW_BOOK",
    "FAULT_PROOF_BOOK",
    "REGISTRY_BOOK",
    "UNIT",
    "VOID_GRACE",
    "Attempt",
    "Balance",
    "Parameters",
    "System",
]

# States of a job's slot.
NONE, OPEN, MATCHED, CLAIMED, FINAL, REFUTED, EXPIRED, CANCELLED, CONTESTED = range(9)
# Members of IVerifier.Verdict.
PENDING, STANDS, FALLS = 1, 2, 4
# Modes of the DummyVerifier.
SOUND, REVERTS, BURNS_GAS, NEVER_DUE, DEAR, DEAF = range(6)
# Bits of JobEscrow's `Skipped`.
SKIP_STATE, SKIP_RECORD, SKIP_TIME, SKIP_VERDICT, SKIP_COMMITMENT = 1, 2, 4, 8, 16
HOOKS = 7 << 88
PROGRAM = keccak(text="program")
INPUT = keccak(text="input")


@dataclass(frozen=True)
class Attempt:
    """A provider's try at a job, as the events of its match tell it."""

    terms: Terms
    job_id: bytes
    number: int
    record: Record
    receipt: Receipt = field(repr=False, compare=False)

    @property
    def claim_id(self) -> bytes:
        """What its verifier calls the claim."""
        return words.claim_id(self.job_id, self.number, self.record.provider)

    @property
    def exclusion(self) -> Exclusion:
        """What a job that opens again after it adds to its list of excluded providers."""
        return money.exclusion_after(self.record)

    @property
    def ends(self) -> int:
        """The last second of the claim."""
        return self.record.matched_at + self.terms.attempt_seconds

    @property
    def commitment(self) -> bytes:
        """What the helpers claim unless told otherwise: blinded, different for each attempt."""
        return blind(self.job_id, self.claim_id)

    def lied(self, **changes: Any) -> "Attempt":
        """The same with another record."""
        return replace(self, record=replace(self.record, **changes))


def blind(hidden: bytes, salt: bytes) -> bytes:
    """The commitment that the DummyVerifier opens with `hidden` and `salt`."""
    return keccak(hidden + salt)


class System(Stage):
    """The stage, and what the people on it can do."""

    def __init__(self, chain: Chain, parameters: Parameters | None = None) -> None:
        super().__init__(chain, parameters)
        self._salts = itertools.count(1)
        self._code_hashes: dict[str, bytes] = {}

    # -- offers and signatures --

    @property
    def salt(self) -> int:
        """A number that was not used before."""
        return next(self._salts)

    def terms(self, **changes: Any) -> Terms:
        """
        A job of the first requester under the DummyVerifier that can be matched with `ask()` from
        the next block on, for a little less than the ramp allows at once.
        """
        now = self.chain.now()
        fields: dict[str, Any] = {
            "requester": self.requesters[0].address,
            "verifier": self.dummy.address,
            "settings": HOOKS | 600,
            "requirement": 0,
            "program": PROGRAM,
            "input_id": INPUT,
            "price_start": 4 * UNIT,
            "price_cap": 10 * UNIT + 7,
            "damage_cap": 300_017,
            "tip_fixed": 20_011,
            "tip_max": 400_009,
            "tip_share_bps": 1_234,
            "no_show_bps": 3_333,
            "max_attempts": 3,
            "valid_from": now,
            "ramp_seconds": 1_000,
            "final_deadline": now + 10 * DAY,
            "ack_seconds": 60,
            "attempt_seconds": 3_600,
            "units": 17,
            "input_bytes": 1_000,
            "epoch": 0,
            "salt": self.salt,
        }
        return Terms(**(fields | changes))

    def ask(self, provider: Account | int = 0, **changes: Any) -> Ask:
        """An offer of a provider (or of the one with that index) that `terms()` fits."""
        if isinstance(provider, int):
            provider = self.providers[provider]
        settings = changes.pop("settings", HOOKS | 600)
        verifier = changes.pop("verifier", self.dummy)
        fields: dict[str, Any] = {
            "provider": provider.address,
            "node": 0,
            "lane": 0,
            "epoch": 0,
            "expiry": self.chain.now() + 20 * DAY,
            "price_base": 500_009,
            "price_per_unit": 100_003,
            "max_lock": 50 * UNIT,
            "max_units": 1_000,
            "max_input_bytes": 10_000,
            "min_attempt_seconds": 60,
            "min_ack_seconds": 10,
            "max_delay": 3_600,
            "programs": PROGRAM,
            "verifier_terms": self.verifier_terms(settings, verifier),
            "salt": self.salt,
        }
        return Ask(**(fields | changes))

    def verifier_terms(self, settings: int, verifier: Any = None) -> bytes:
        """What an ask calls a verifier with these settings."""
        address = (verifier or self.dummy).address
        if address not in self._code_hashes:
            code = self.chain.rpc("eth_getCode", address, "latest")
            self._code_hashes[address] = keccak(hexstr=code)
        return words.verifier_terms(address, self._code_hashes[address], settings)

    def job_id(self, terms: Terms) -> bytes:
        """The job's id, by the Python twin."""
        return eip712.job_id(terms, self.domain)

    def _sign(self, digest: bytes, signer: Account) -> bytes:
        return eip712.sign(digest, Signer.from_key(signer.key))

    def sign_terms(self, terms: Terms, signer: Account | None = None) -> bytes:
        """The requester's signature, or another's, of a single bid."""
        return self._sign(self.job_id(terms), signer or self.account_at(terms.requester))

    def sign_batch(
        self, terms: Terms, inputs: Sequence[bytes], signer: Account | None = None
    ) -> bytes:
        """The requester's signature, or another's, of a batch."""
        digest = eip712.batch_id(terms, inputs, self.domain)
        return self._sign(digest, signer or self.account_at(terms.requester))

    def sign_ask(self, ask: Ask, signer: Account | None = None) -> bytes:
        """The operator's signature, or another's, of an offer."""
        digest = eip712.ask_hash(ask, self.token.address, self.domain)
        return self._sign(digest, signer or self.operator_of(ask.provider))

    def operator_of(self, provider: str) -> Account:
        """Who works for a provider."""
        index = [p.address for p in self.providers].index(provider)
        return self.operators[index]

    # -- moves --

    def post(self, terms: Terms | None = None, **changes: Any) -> Terms:
        """Posts a job; gives its terms."""
        terms = terms or self.terms(**changes)
        self.escrow.post_job(terms.pack(), sender=self.account_at(terms.requester))
        return terms

    def match(
        self,
        terms: Terms | None = None,
        ask: Ask | None = None,
        *,
        bid: bytes | None = None,
        ask_signature: bytes | None = None,
        proof: Sequence[bytes] = (),
        excluded: Iterable[Exclusion] = (),
        keeper: Account | None = None,
        timestamp: int | None = None,
    ) -> Attempt:
        """
        Matches a job with an offer. A job that isn't on record is matched by the requester's
        signature, unless `bid` is given.
        """
        terms, ask = terms or self.terms(), ask or self.ask()
        is_on_record = self.job(terms).state != NONE
        if bid is None:
            bid = b"" if is_on_record else self.sign_terms(terms)
        receipt = self.escrow.match(
            terms.pack(),
            bid,
            ask.pack(),
            self.sign_ask(ask) if ask_signature is None else ask_signature,
            list(proof),
            [exclusion.pack() for exclusion in excluded],
            sender=keeper or self.keepers[0],
            timestamp=timestamp,
        )
        event = receipt.only("Matched" if is_on_record else "BidMatched")
        job_id = self.job_id(terms)
        assert event.job_id == job_id
        record = Record.unpack(event.record)
        return Attempt(terms, job_id, self.job(terms).attempt, record, receipt)

    def match_batch(
        self,
        terms: Terms | None = None,
        inputs: Sequence[bytes] | None = None,
        ask: Ask | None = None,
        *,
        bid: bytes | None = None,
        ask_signature: bytes | None = None,
        keeper: Account | None = None,
    ) -> list[Attempt]:
        """Matches a signed batch with an offer; gives the members that were matched."""
        terms = terms or self.terms(input_id=ZERO_HASH)
        inputs = inputs or [keccak(text=f"input {i}") for i in range(3)]
        ask = ask or self.ask()
        receipt = self.escrow.match_batch(
            terms.pack(),
            list(inputs),
            self.sign_batch(terms, inputs) if bid is None else bid,
            ask.pack(),
            self.sign_ask(ask) if ask_signature is None else ask_signature,
            [],
            sender=keeper or self.keepers[0],
        )
        record = Record.unpack(receipt.only("BatchMatched").record)
        return [
            Attempt(replace(terms, input_id=event.input_id), event.job_id, 1, record, receipt)
            for event in receipt.named("MemberMatched")
        ]

    def claim(
        self,
        attempt: Attempt,
        commitment: bytes | None = None,
        *,
        sender: Account | None = None,
        timestamp: int | None = None,
    ) -> Receipt:
        """Claims as the provider's operator."""
        return self.escrow.submit_claim(
            attempt.job_id,
            attempt.record.pack(),
            attempt.commitment if commitment is None else commitment,
            sender=sender or self.operator_of(attempt.record.provider),
            timestamp=timestamp,
        )

    def decline(
        self,
        attempt: Attempt,
        *,
        sender: Account | None = None,
        timestamp: int | None = None,
    ) -> Receipt:
        """Declines as the provider's operator."""
        return self.escrow.decline(
            attempt.job_id,
            attempt.record.pack(),
            sender=sender or self.operator_of(attempt.record.provider),
            timestamp=timestamp,
        )

    def open(self, attempt: Attempt) -> None:
        """Opens the blinded commitment of a claim that `claim` made."""
        self.dummy.open_claim(
            attempt.claim_id, attempt.job_id, attempt.claim_id, sender=self.stranger
        )

    def rule(
        self, attempt: Attempt, verdict: int, refuter: Any = ZERO_ADDRESS, not_before: int = 0
    ) -> None:
        """Sets the DummyVerifier's verdict on a claim."""
        self.dummy.rule(attempt.claim_id, verdict, not_before, refuter, sender=self.owner)

    def finalise(
        self, attempt: Attempt, commitment: bytes | None = None, **options: Any
    ) -> Receipt:
        """Finalises; `sender` and `timestamp` as for any call."""
        return self._move("finalise", attempt, commitment, options)

    def refute(self, attempt: Attempt, commitment: bytes | None = None, **options: Any) -> Receipt:
        """Carries out a verdict that the claim falls."""
        return self._move("refute", attempt, commitment, options)

    def void(self, attempt: Attempt, commitment: bytes | None = None, **options: Any) -> Receipt:
        """Voids a claim whose verifier has failed."""
        return self._move("void_claim", attempt, commitment, options)

    def _move(
        self, name: str, attempt: Attempt, commitment: bytes | None, options: Mapping[str, Any]
    ) -> Receipt:
        commitment = attempt.commitment if commitment is None else commitment
        options = {"sender": self.stranger} | dict(options)
        return self.escrow.transact(
            name, (attempt.job_id, attempt.record.pack(), commitment), **options
        )

    def expire(self, attempt: Attempt, **options: Any) -> Receipt:
        """Ends an attempt; by default in the first second it can be ended, by the third keeper."""
        if self.chain.now() <= attempt.ends and "timestamp" not in options:
            options["timestamp"] = attempt.ends + 1
        options = {"sender": self.keepers[2]} | options
        return self.escrow.expire(attempt.job_id, attempt.record.pack(), **options)

    def cancel(
        self,
        terms: Terms,
        sender: Account | None = None,
        excluded: Iterable[Exclusion] = (),
        timestamp: int | None = None,
    ) -> Receipt:
        """Cancels as the requester."""
        return self.escrow.cancel(
            terms.pack(),
            [exclusion.pack() for exclusion in excluded],
            sender=sender or self.account_at(terms.requester),
            timestamp=timestamp,
        )

    def enact(self, verifier: Any = None, charge_bps: int = 0, keeper_fee: int = 0) -> None:
        """Puts another policy into force for the DummyVerifier, or for `verifier`."""
        verifier = verifier or self.dummy
        self.escrow.propose_policy(verifier, charge_bps, keeper_fee, sender=self.owner)
        self.chain.travel(self.parameters.timelock)
        self.escrow.enact_policy(verifier, sender=self.stranger)

    # -- in fewer words --

    def claimed(
        self, terms: Terms | None = None, ask: Ask | None = None, **options: Any
    ) -> Attempt:
        """A matched and claimed attempt."""
        attempt = self.match(terms, ask, **options)
        self.claim(attempt)
        return attempt

    def standing(self, terms: Terms | None = None, ask: Ask | None = None) -> Attempt:
        """A claim that stands and whose window is over."""
        attempt = self.claimed(terms, ask)
        self.rule(attempt, STANDS)
        return attempt

    def falling(
        self, terms: Terms | None = None, ask: Ask | None = None, refuter: Any = None
    ) -> Attempt:
        """A claim that falls, refuted by the first watcher."""
        attempt = self.claimed(terms, ask)
        self.rule(attempt, FALLS, self.watchers[0] if refuter is None else refuter)
        return attempt

    # -- what is on record --

    def job(self, of: Terms | Attempt | bytes) -> Any:
        """The slot of a job, unpacked."""
        if isinstance(of, Terms):
            of = self.job_id(of)
        return self.escrow.job(of.job_id if isinstance(of, Attempt) else of)

    def policy(self, verifier: Any = None) -> money.Policy:
        """The policy in force."""
        policy = self.escrow.policy_of(verifier or self.dummy)
        return money.Policy(
            is_enabled=policy.is_enabled,
            charge_bps=policy.charge_bps,
            keeper_fee=policy.keeper_fee,
        )
