"""Typed clients of what judges jobs: the rules of a match, and the verifier of policy `exact`."""

from collections.abc import Sequence
from typing import Any

from headrace.chain.abi import Call
from headrace.chain.contract import LATEST, Contract
from headrace.chain.rpc import BlockTag
from headrace.chain.views import ClaimRef, Dispute, DisputeStatus, Model, Outcome, Quote, Verdict
from headrace.terms.words import Ask, Exclusion, Record, Terms

# A struct of IFaultProof.vyi: a tuple of its members, or an object whose `pack` gives it.
Struct = Any


class MatchRules(Contract):
    """What must hold for a match, and what it costs."""

    ARTIFACT = "MatchRules"

    def quote(self, terms: Terms, ask: Ask, block: BlockTag = LATEST) -> Quote:
        """What a match would come to at `block`."""
        return Quote(*self.read("quote", terms, ask, block=block))

    def lock_required(self, terms: Terms, ask: Ask, block: BlockTag = LATEST) -> int:
        """The stake that the provider has to put aside."""
        return int(self.read("lock_required", terms, ask, block=block))

    def unmet(
        self,
        terms: Terms,
        ask: Ask,
        program_proof: Sequence[bytes],
        excluded: Sequence[Exclusion],
        keeper: str,
        block: BlockTag = LATEST,
    ) -> tuple[int, int]:
        """What stands against a match: the requester's side and the provider's, as bit masks."""
        requester_bits, provider_bits = self.read(
            "unmet", terms, ask, list(program_proof), list(excluded), keeper, block=block
        )
        return int(requester_bits), int(provider_bits)

    def job_id(self, terms: Terms) -> bytes:
        """The terms' EIP-712 digest."""
        return bytes(self.read("job_id", terms))

    def batch_id(self, terms: Terms, inputs: Sequence[bytes]) -> bytes:
        """A batch's EIP-712 digest."""
        return bytes(self.read("batch_id", terms, list(inputs)))

    def ask_hash(self, ask: Ask) -> bytes:
        """An ask's EIP-712 digest."""
        return bytes(self.read("ask_hash", ask))


class FaultProof(Contract):
    """The verifier of policy `exact`: a wrong byte is proven by recomputing it."""

    ARTIFACT = "FaultProof"

    def model_of(self, program: bytes, block: BlockTag = LATEST) -> Model | None:
        """A registered model; None if nobody has registered it."""
        model = Model(*self.read("model_of", program, block=block))
        return model if model.op_count else None

    def dispute_of(self, claim_id: bytes, block: BlockTag = LATEST) -> Dispute:
        """What is on record of a claim's dispute."""
        status, due, party, publisher = self.read("dispute_of", claim_id, block=block)
        return Dispute(DisputeStatus(status), due, party, publisher)

    def outcome(
        self, claim_id: bytes, claimed_at: int, settings: int, block: BlockTag = LATEST
    ) -> Outcome:
        """Whether a claim stands."""
        verdict, not_before, refuter, payouts = self.read(
            "outcome", claim_id, claimed_at, settings, block=block
        )
        return Outcome(Verdict(verdict), not_before, refuter, tuple(map(tuple, payouts)))

    def register_model(
        self, operators: Sequence[Struct], input_width: int, max_units: int, card_id: bytes
    ) -> Call:
        """Put a model on record."""
        return self.call("register_model", list(operators), input_width, max_units, card_id)

    def prove_matmul(
        self,
        claim: ClaimRef,
        op: Struct,
        row: int,
        column: int,
        source: Struct,
        weights: Struct,
        params: int,
        params_proof: Sequence[bytes],
        output: Struct,
    ) -> Call:
        """Convict a wrong element of a MATMUL."""
        proof = list(params_proof)
        return self.call(
            "prove_matmul", claim, op, row, column, source, weights, params, proof, output
        )

    def prove_argmax(
        self, claim: ClaimRef, op: Struct, row: int, witness: int, source: Struct, output: Struct
    ) -> Call:
        """Convict a wrong ARGMAX by an element that beats it."""
        return self.call("prove_argmax", claim, op, row, witness, source, output)

    def prove_padding(
        self, claim: ClaimRef, op: Struct, row: int, column: int, output: Struct
    ) -> Call:
        """Convict a padding byte that is not zero."""
        return self.call("prove_padding", claim, op, row, column, output)

    def prove_leaf_form(self, claim: ClaimRef, *args: Any) -> Call:
        """Convict a leaf that has not the form of its row (the ABI's arguments after `claim`)."""
        return self.call("prove_leaf_form", claim, *args)

    def prove_pad_node(self, claim: ClaimRef, *args: Any) -> Call:
        """Convict a wrong node past the last row (the ABI's arguments after `claim`)."""
        return self.call("prove_pad_node", claim, *args)

    def demand_trace(self, claim: ClaimRef) -> Call:
        """Demand that the whole trace is published, for the fixed fee."""
        return self.call("demand_trace", claim)

    def publish_trace(self, claim: ClaimRef, trace: bytes) -> Call:
        """Answer a demand."""
        return self.call("publish_trace", claim, trace)

    def silence(self, claim: ClaimRef) -> Call:
        """Convict a claim whose demand was not answered in time."""
        return self.call("silence", claim)

    def settle_demand(self, job_id: bytes, record: Record, attempt: int) -> Call:
        """Pay the demand's fee out once the claim has ended."""
        return self.call("settle_demand", job_id, record, attempt)
