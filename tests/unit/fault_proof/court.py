"""A model, an input and claims about them, before a FaultProof with a mock escrow and vault."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from eth_abi import encode
from eth_utils import keccak

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.faults import Fault, FaultBuilder
from headrace.graph.model import Model, Operator
from headrace.graph.tensors import tensor_root
from headrace.graph.trace import Trace, run
from tests.abi import reason_of
from tests.harness import Account, Chain, Contract, Reverted

WINDOW, REPLY, FOLLOW = 60, 20, 25
FEE = 5_000
BOUNDS = (10, 1_000, 5, 100)
"""Constructor arguments after the fee: window and reply, least and most."""

REQUESTER = 0xAA << 152
PROVIDER = 0xBB << 152
CLAIMED, FINAL, REFUTED, EXPIRED, CONTESTED = 3, 4, 5, 6, 8
"""States of a job."""


def settings(window: int = WINDOW, reply: int = REPLY, follow: int = FOLLOW) -> int:
    """The settings of a job."""
    return window << 56 | reply << 32 | follow << 8


def random_matmul(
    rng: np.random.Generator, source: int, width_in: int, width_out: int, lo: int = -128
) -> Operator:
    """A MATMUL whose outputs spread over the whole range."""
    # Accumulators have a deviation of about 74 * 74 * sqrt(width_in); bring that to about 50.
    mult = int(2**20 * 50 / (74 * 74 * width_in**0.5))
    return Operator.matmul(
        source,
        rng.integers(-128, 128, (width_out, width_in)),
        rng.integers(-3_000, 3_000, width_out),
        rng.integers(mult, 2 * mult, width_out),
        np.full(width_out, 20),
        lo=lo,
    )


def random_input(rng: np.random.Generator, units: int, width: int) -> Any:
    """An input tensor, (units, width) int8."""
    return rng.integers(-128, 128, (units, width)).astype(np.int8)


def small_model() -> Model:
    """Three operators of 40, 3 and 1 columns on an input of 5: padding in rows and both trees."""
    rng = np.random.default_rng(7)
    operators = [
        random_matmul(rng, 0, 5, 40, lo=0),
        random_matmul(rng, 1, 40, 3),
        Operator.argmax(2, 3),
    ]
    return Model.of(operators, 5, 200)


@dataclass(frozen=True)
class Claim:
    """A claim on the mock escrow's record."""

    terms: tuple[Any, ...]
    record: tuple[Any, ...]
    commitment: bytes
    job_id: bytes
    claim_id: bytes
    at: int
    attempt: int

    @property
    def ref(self) -> tuple[Any, ...]:
        """The claim as the contract takes it."""
        return self.terms, self.record, self.commitment


@dataclass
class Court:
    """FaultProof, its partners, and a model that is registered with it."""

    chain: Chain
    escrow: Contract
    vault: Contract
    proof: Contract
    model: Model
    tensor: Any
    salts: Any = field(default_factory=itertools.count)

    @classmethod
    def of(cls, chain: Chain, model: Model, tensor: Any) -> "Court":
        """Deploy everything and register the model."""
        escrow, vault = chain.deploy("MockEscrow"), chain.deploy("MockVault")
        proof = chain.deploy("FaultProof", escrow, vault, FEE, *BOUNDS)
        proof.register_model(model.descriptors, model.input_width, model.max_units, bytes(32))
        return cls(chain, escrow, vault, proof, model, tensor)

    @property
    def right(self) -> Trace:
        """The right trace."""
        return run(self.model, self.tensor)

    def claim(
        self,
        commitment: bytes,
        *,
        attempt: int = 1,
        at: int | None = None,
        verifier: Any = None,
        config: int | None = None,
    ) -> Claim:
        """Put a claim with this commitment on record, made in the latest block."""
        address = int((verifier or self.proof).address, 16)
        agreed = address << 96 | (settings() if config is None else config)
        units = len(self.tensor) << 160
        words = REQUESTER << 96, agreed, 0, self.model.program, tensor_root(self.tensor)
        terms = (*words, 0, 0, units | next(self.salts))
        record = 0, PROVIDER << 96, 0, agreed, 0, 0, 0, 0
        at = self.chain.now() if at is None else at
        self.escrow.open_claim(terms, record, commitment, attempt, at)
        job_id = keccak(encode(["uint256"] * 3 + ["bytes32"] * 2 + ["uint256"] * 3, terms))
        claim_id = keccak(encode(["bytes32", "uint256", "uint256"], (job_id, attempt, PROVIDER)))
        return Claim(terms, record, commitment, job_id, claim_id, at, attempt)

    def builder(self, claimed: Trace | ClaimedTrace) -> FaultBuilder:
        """What builds proofs about a claimed trace."""
        if isinstance(claimed, Trace):
            claimed = ClaimedTrace.of(claimed)
        return FaultBuilder(self.model, self.tensor, claimed)

    def fund(self, account: Account, amount: int = FEE) -> Account:
        """Give an account money in the vault."""
        self.vault.mint(account, amount)
        return account

    def demand(self, claim: Claim, demander: Account, **options: Any) -> Any:
        """Demand the claim's trace with money that the demander is given."""
        self.fund(demander)
        return self.proof.demand_trace(claim.ref, sender=demander, **options)


def prove(court: Court, claim: Claim, fault: Fault, **options: Any) -> Any:
    """Send the proof of a fault."""
    return getattr(court.proof, fault.function)(claim.ref, *fault.arguments, **options)


def try_proof(court: Court, claim: Claim, fault: Fault, **changes: Any) -> str:
    """The reason why a proof is refused, "" if it convicts; `changes` replace arguments by place
    (`a0` is the first one after the claim)."""
    arguments = list(fault.arguments)
    for name, value in changes.items():
        arguments[int(name[1:])] = value
    try:
        getattr(court.proof.simulate, fault.function)(claim.ref, *arguments)
    except Reverted as error:
        return error.reason or "no reason"
    return ""


def verdicts(court: Court, cases: list[tuple[tuple[Any, ...], Fault]], size: int = 64) -> list[str]:
    """What `try_proof` says of each (claim's ref, fault), by batches of eth_call."""
    reasons: list[str] = []
    for start in range(0, len(cases), size):
        body = []
        for at, (ref, fault) in enumerate(cases[start : start + size]):
            data = court.proof.encode(fault.function, ref, *fault.arguments)
            request = court.chain.request(None, court.proof.address, data)
            body.append(
                {"jsonrpc": "2.0", "id": at, "method": "eth_call", "params": [request, "latest"]}
            )
        answers = sorted(court.chain.anvil.post(body), key=lambda answer: answer["id"])
        assert len(answers) == len(body)
        for answer in answers:
            if "error" not in answer:
                reasons.append("")
                continue
            data = str(answer["error"].get("data") or "0x")
            reasons.append(reason_of(bytes.fromhex(data[2:]), answer["error"]["message"]))
    return reasons
