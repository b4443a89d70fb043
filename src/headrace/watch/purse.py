"""Which commitments to faults a key can pay for beside all proofs.

A commitment only earns something: its gas must never be what a proof then lacks, be it in the key's
money or in the day's budget. So the proofs of all wrong claims come first, at a price that holds
while the base fee doubles, and a commitment gets what they leave. When in doubt there is none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.daemon.actions import Action
from headrace.daemon.context import Context
from headrace.daemon.loop import PASSING

REWARD_GAS = 150_000
"""What `claim_reward` takes beyond `prove`, rounded up: the commitments it reads and notes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """
    A proof that is best made in a later block: after `commitment`, if that can be paid, else at
    once. With no `commitment` there is one on chain already, and the proof follows.
    """

    proof: Action
    commitment: Action | None


def granted(context: Context, wishes: Iterable[Wish], others: Iterable[Action]) -> list[Action]:
    """
    What `wishes` come to in a round in which `others` are sent too: commitments as far as they can
    be paid, in the order of the wishes, and proofs for the rest. A commitment that has left is kept
    to.
    """
    wishes = list(wishes)
    new: list[tuple[Action, Action]] = []
    moves: list[Action] = []
    for wish in wishes:
        if wish.commitment is None:
            continue
        if _has_left(context, wish.commitment):
            moves.append(wish.commitment)
        else:
            new.append((wish.commitment, wish.proof))
    if new:
        proofs = [wish.proof for wish in wishes]
        paid = _paid(context, [commitment for commitment, _ in new], proofs, others)
        moves += [commitment if commitment.key in paid else proof for commitment, proof in new]
    return moves


def _paid(
    context: Context,
    commitments: Sequence[Action],
    proofs: Iterable[Action],
    others: Iterable[Action],
) -> set[str]:
    """The keys of the commitments that can be paid; none if the node can't say."""
    paid: set[str] = set()
    try:
        means = context.sender.means()
        gas = sum(_gas_of(context, action) for action in others)
        gas += sum(_gas_of(context, proof) + REWARD_GAS for proof in proofs)
        for commitment in commitments:
            with_it = gas + _gas_of(context, commitment)
            if with_it * means.price <= means.left:
                paid.add(commitment.key)
                gas = with_it
    except PASSING:
        return set()
    return paid


def _has_left(context: Context, action: Action) -> bool:
    tx = context.outbox.of_action(action.key)
    return tx is not None and tx.state in ("open", "mined")


def _gas_of(context: Context, action: Action) -> int:
    """What an action may still take: what has left is taken off the key's means already."""
    if _has_left(context, action):
        return 0
    call = context.contracts[action.contract].call(action.function, *action.args)
    return context.sender.gas_of(call)
