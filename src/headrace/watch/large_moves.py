"""The moves against claims on models of version 2, as actions. A move of a game that isn't known
(yet), or of a job without a claim, is None. A deadline is the last second that GraphProof takes a
move in, as far as is known now: it lies later once somebody has demanded or committed."""

from headrace.chain.contracts import JobEscrow
from headrace.chain.graph_rules import GraphProof, fault_digest
from headrace.chain.jobs import Job
from headrace.chain.views import ClaimRef
from headrace.daemon.actions import Action
from headrace.daemon.games import Game, NodeState, Promise, place_name
from headrace.graph2.faults import Fault
from headrace.terms.words import FaultProofSettings
from headrace.watch.large import Demand
from headrace.watch.record import WatchRecord


class Commitment:
    """A watcher's own commitment to a fault, made or not; the same after every restart."""

    def __init__(self, record: WatchRecord, claim_id: bytes, fault: Fault, me: str) -> None:
        """Of the watcher with the account `me`."""
        proof = fault.proof
        place = proof.index, proof.row, proof.column
        self.salt = record.salt(claim_id, *place)
        self.digest = fault_digest(claim_id, *place, me, self.salt)


def key_of(kind: str, claim_id: bytes) -> str:
    """The key of the action of a kind about a claim, of which there is one."""
    return f"{kind}:{claim_id.hex()}"


def commit_key(claim_id: bytes, commitment: Commitment) -> str:
    """The key of `commit`: after a restart the fault may be found at another place."""
    return f"{key_of('commit', claim_id)}:{commitment.digest[:8].hex()}"


def commit(claim_id: bytes, job: Job, commitment: Commitment, until: int) -> Action | None:
    """Commit to a fault, without saying which, until the last second of a proof."""
    key = commit_key(claim_id, commitment)
    return _about(key, job, "commit_fault", commitment.digest, deadline=until)


def prove(claim_id: bytes, job: Job, fault: Fault, until: int) -> Action | None:
    """Show a fault to everybody, until the last second of a proof."""
    key, note = key_of("prove", claim_id), _place(fault)
    return _about(key, job, fault.function, *fault.arguments, note=note, deadline=until)


def claim_reward(
    claim_id: bytes,
    job: Job,
    fault: Fault,
    commitment: Commitment,
    own: Promise,
    proven_in: int,
    until: int,
) -> Action | None:
    """
    Show a fault that `own` on chain is the commitment to, of a claim whose first proof is in the
    block `proven_in`, or 0; until the last second of a proof, or of a reward.
    """
    arguments = (*fault.arguments, commitment.salt)
    key, note = key_of("reward", claim_id), _place(fault)
    # What was refused may be good after a reorganisation, or once somebody else has proven it.
    ground = (own.number, own.block, proven_in)
    return _about(*(key, job, "claim_reward", *arguments), note=note, ground=ground, deadline=until)


def carry_out(claim_id: bytes, job: Job) -> Action | None:
    """End a claim that was proven wrong, once it is certain whose the reward is."""
    if job.record is None or job.commitment is None:
        return None
    return Action(
        key=key_of("refute", claim_id),
        contract=JobEscrow.ARTIFACT,
        function="refute",
        args=(job.id, job.record, job.commitment),
        note="proven, and the reward is ours",
        ground=(job.commitment, job.record),
    )


def demand(claim_id: bytes, job: Job, wanted: Demand, game: Game | None) -> Action | None:
    """Ask for what is under a node, until its level closes."""
    key = f"{key_of('demand', claim_id)}:{place_name(wanted.node)}"
    operator, proof = wanted.operator, list(wanted.operator_proof)
    settings = FaultProofSettings.unpack(job.terms.settings)
    until = job.claimed_at + settings.delay_over(wanted.node.level)
    if wanted.parent is None:
        note = "the commitment's children"
        return _about(key, job, "open", operator, proof, note=note, deadline=until)
    if game is None or game.case is None:
        return None
    siblings = list(wanted.siblings)
    node = wanted.node
    return Action(
        key=key,
        contract=GraphProof.ARTIFACT,
        function="demand",
        args=(
            *(game.case, wanted.parent, wanted.index, node.node_hash, siblings),
            *(operator, proof),
        ),
        note=f"level {node.level}, operator {node.operator}",
        ground=job.commitment,
        deadline=until,
    )


def silence(job: Job, game: Game, late: NodeState) -> Action | None:
    """Call out a demand without an answer."""
    if game.case is None or job.record is None:
        return None
    return Action(
        key=key_of("silence", game.claim_id),
        contract=GraphProof.ARTIFACT,
        function="silence",
        args=(game.case, late.node, job.record),
        note=f"level {late.node.level}, operator {late.node.operator}",
        ground=job.commitment,
    )


def settle(job_id: bytes, number: int, provider: str, claim_id: bytes, state: NodeState) -> Action:
    """Send a demand's fee where it belongs."""
    return Action(
        key=f"{key_of('settle', claim_id)}:{place_name(state.node)}",
        contract=GraphProof.ARTIFACT,
        function="settle_demand",
        args=(
            *(job_id, number, provider, state.node, state.demander),
            state.answerer or state.demander,
        ),
    )


def _about(
    key: str,
    job: Job,
    function: str,
    *args: object,
    note: str = "",
    ground: tuple[int, ...] = (),
    deadline: int | None = None,
) -> Action | None:
    if job.record is None or job.commitment is None:
        return None
    return Action(
        key=key,
        contract=GraphProof.ARTIFACT,
        function=function,
        args=(ClaimRef(job.terms, job.record, job.commitment), *args),
        note=note,
        ground=(job.commitment, job.record, *ground),
        deadline=deadline,
    )


def _place(fault: Fault) -> str:
    return f"operator {fault.op_index} row {fault.row} column {fault.column}"
