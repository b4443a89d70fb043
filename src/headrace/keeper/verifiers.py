"""The verifiers of policy `exact` as a keeper sees them, and the fees of their demands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.chain.contract import Contract, read_many
from headrace.chain.graph_rules import DemandStatus, Node
from headrace.daemon.context import Context, View
from headrace.daemon.games import Game
from headrace.keeper.known import Known
from headrace.keeper.reads import limits_key, model_key, policy_key, read_at
from headrace.market.snapshot import VerifierState
from headrace.terms.exact import ExactBounds, ExactModel, exact_quote
from headrace.terms.money import FAULT_PROOF_LOCK, CheckPrice, Policy
from headrace.terms.words import Record, Terms

# Nodes whose fees are looked at in one round: a griefer may have demanded thousands.
MAX_NODES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFee:
    """The fee of one node of a large trace whose claim has ended."""

    claim_id: bytes
    job_id: bytes
    record: Record
    attempt: int
    node: Node
    demander: str
    answerer: str
    since: int


class Verifiers:
    """What the verifiers of a deployment say of models and prices."""

    def __init__(self, context: Context, known: Known) -> None:
        """Reads what never changes. Unreachable and RetryLater if that can't be done now."""
        self._context = context
        self._known = known
        found: list[Contract | None] = [context.fault_proof, context.graph_proof]
        self._all = [contract for contract in found if contract is not None]
        self._bounds = {contract.address: _bounds(contract) for contract in self._all}

    def read(self, programs: Sequence[bytes]) -> dict[str, VerifierState]:
        """What each says of the models that jobs are for, at the block of what is known."""
        return {
            contract.address: self._state(contract, self._models(contract, programs))
            for contract in self._all
        }

    def _state(
        self, contract: Contract, models: Mapping[bytes, ExactModel | None]
    ) -> VerifierState:
        context, bounds = self._context, self._bounds[contract.address]
        (policy,) = self._known.words([policy_key(contract.address)])

        def quote(terms: Terms, price: int) -> CheckPrice | None:
            model = models.get(terms.program)
            return exact_quote(terms.settings, terms.units, price, model, bounds)

        return VerifierState(
            policy=Policy(
                is_enabled=policy.is_enabled,
                charge_bps=policy.charge_bps,
                keeper_fee=policy.keeper_fee,
            ),
            code_hash=context.deployment.contracts[contract.ARTIFACT].code_hash,
            quote=quote,
            lock_per_price=FAULT_PROOF_LOCK,
            is_delay_fixed=True,
        )

    def _models(
        self, contract: Contract, programs: Sequence[bytes]
    ) -> dict[bytes, ExactModel | None]:
        if contract is self._context.fault_proof:
            keys = [model_key(program) for program in programs]
        elif self._context.graph_models is not None:
            keys = [limits_key(program) for program in programs]
        else:
            return {}
        return dict(zip(programs, self._known.words(keys), strict=True))


class NodeFees:
    """The fees of GraphProof's demands."""

    def __init__(self, context: Context) -> None:
        """Asks nothing yet."""
        self._context = context
        self._settled: set[tuple[bytes, Node]] = set()

    def read(
        self, view: View, claims: Mapping[bytes, tuple[bytes, int, Record]]
    ) -> tuple[NodeFee, ...]:
        """
        The fees of nodes that are still to be sent on, of ended claims among `claims` (job, attempt
        and record by claim); at most MAX_NODES at a time.
        """
        proof = self._context.graph_proof
        if proof is None:
            return ()
        open_fees = []
        for claim_id in sorted(self._context.games.unsettled):
            if claim_id in claims and self._has_ended(*claims[claim_id][:2]):
                open_fees += self._of_game(self._context.games.games[claim_id], *claims[claim_id])
        open_fees = open_fees[:MAX_NODES]
        queries = [proof.query("demand_of", fee.claim_id, fee.node) for fee in open_fees]
        answers = read_at(self._context.rpc, queries, view.head)
        left = []
        for fee, (status, *_) in zip(open_fees, answers, strict=True):
            if status == DemandStatus.SETTLED:
                self._settled.add((fee.claim_id, fee.node))
            else:
                left.append(fee)
        return tuple(left)

    def _has_ended(self, job_id: bytes, number: int) -> bool:
        # A job that is over may be forgotten.
        job = self._context.jobs.jobs.get(job_id)
        return job is None or not (job.state.is_claimed and job.attempt == number)

    def _of_game(self, game: Game, job_id: bytes, number: int, record: Record) -> list[NodeFee]:
        return [
            NodeFee(
                claim_id=game.claim_id,
                job_id=job_id,
                record=record,
                attempt=number,
                node=state.node,
                demander=state.demander,
                answerer=state.answerer or state.demander,
                since=state.due,
            )
            for state in game.nodes
            if (game.claim_id, state.node) not in self._settled
        ]


def _bounds(contract: Contract) -> ExactBounds:
    names = ("MIN_WINDOW", "MAX_WINDOW", "MIN_REPLY", "MAX_REPLY")
    low, high, least, most = read_many(contract.rpc, [contract.query(name) for name in names])
    return ExactBounds(min_window=low, max_window=high, min_reply=least, max_reply=most)
