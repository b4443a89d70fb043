"""What each kind of move may cost in gas, and which ones come first.

A *safety* move is one whose delay costs somebody a slash or lets a lie stand: a claim before its
time is over, the answer to a demand, the proof of a fault. It goes before all others, may pay the
whole fee cap, has a gas budget of its own, and is sent even when the key's money runs low.

A ceiling bounds what a hostile counterparty (or a changed contract) can make us burn: about three
times what the move was measured at, at its largest. What is estimated above it is not sent.
"""

from collections.abc import Mapping
from types import MappingProxyType

from headrace.chain.fees import Kind

_PROOF = Kind(gas_ceiling=6_000_000, is_safety=True)
# A trace of 24,576 bytes in calldata, hashed to its root.
_TRACE = Kind(gas_ceiling=6_000_000, is_safety=True)
# One node of the game: sixteen children, or a leaf of a kilobyte.
_GAME = Kind(gas_ceiling=1_500_000, is_safety=True)
_BATCH = Kind(gas_ceiling=8_000_000)

# By contract and function, as `Call.what` names them.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "JobEscrow.post_job": Kind(gas_ceiling=400_000),
        "JobEscrow.match": Kind(gas_ceiling=900_000),
        "JobEscrow.match_batch": _BATCH,
        "JobEscrow.decline": Kind(gas_ceiling=400_000, is_safety=True),
        "JobEscrow.submit_claim": Kind(gas_ceiling=400_000, is_safety=True),
        "JobEscrow.finalise": Kind(gas_ceiling=500_000),
        "JobEscrow.finalise_batch": _BATCH,
        "JobEscrow.expire": Kind(gas_ceiling=500_000, is_safety=True),
        "JobEscrow.refute": Kind(gas_ceiling=600_000, is_safety=True),
        "JobEscrow.void_claim": Kind(gas_ceiling=600_000),
        "JobEscrow.cancel": Kind(gas_ceiling=400_000),
        "ProviderRegistry.heartbeat": Kind(gas_ceiling=200_000),
        "ProviderRegistry.set_available": Kind(gas_ceiling=200_000),
        "ProviderRegistry.sweep": Kind(gas_ceiling=300_000),
        "FaultProof.demand_trace": Kind(gas_ceiling=600_000, is_safety=True),
        "FaultProof.publish_trace": _TRACE,
        "FaultProof.silence": Kind(gas_ceiling=800_000, is_safety=True),
        "FaultProof.settle_demand": Kind(gas_ceiling=400_000),
        "FaultProof.prove_matmul": _PROOF,
        "FaultProof.prove_argmax": _PROOF,
        "FaultProof.prove_padding": _PROOF,
        "FaultProof.prove_leaf_form": _PROOF,
        "FaultProof.prove_pad_node": _PROOF,
        # No operator's proof takes more than 5,000,000.
        "GraphProof.prove": _PROOF,
        # A proof too: of who had committed to the fault before.
        "GraphProof.claim_reward": _PROOF,
        "GraphProof.audit": Kind(gas_ceiling=6_000_000),
        # As urgent as the proof: its nonce is the one before, so it must never be what is stuck.
        "GraphProof.commit_fault": _GAME,
        "GraphProof.open": _GAME,
        "GraphProof.demand": _GAME,
        "GraphProof.answer": _GAME,
        "GraphProof.answer_leaf": _GAME,
        "GraphProof.silence": _GAME,
        "GraphProof.settle_demand": Kind(gas_ceiling=400_000),
    }
)
# Anything else: what other contracts of a later version add is not held up, but is bounded.
OTHER = Kind(gas_ceiling=8_000_000)
OTHER_SAFETY = Kind(gas_ceiling=8_000_000, is_safety=True)
_SAFETY_VERBS = ("prove", "refute", "silence", "answer", "publish", "demand")


def kind_of(what: str) -> Kind:
    """
    The kind of a call named `Contract.function`. Functions that are not in the table are judged by
    their verb: whatever proves, answers or demands is a safety move.
    """
    known = KINDS.get(what)
    if known is not None:
        return known
    _, _, function = what.partition(".")
    return OTHER_SAFETY if function.startswith(_SAFETY_VERBS) else OTHER
