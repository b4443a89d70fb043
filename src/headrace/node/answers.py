"""Answers of a node whose claim's data is demanded: node by node, down to the bytes of a leaf."""

from headrace.chain.graph_rules import Node
from headrace.daemon.actions import Action
from headrace.daemon.games import Game
from headrace.graph2.trace import Trace


def kids(trace: Trace, node: Node) -> tuple[bytes, ...]:
    """The sixteen nodes below `node` in the trees of our own trace."""
    return trace.tree_of(node.operator).sixteen(2 * node.remaining, node.place)


def answers(trace: Trace, game: Game, now: int) -> list[Action]:
    """
    What answers the open demands of a game about the claim of `trace`, the most urgent first; none
    for what is past due. A demanded node is always one of the trace's: the contract saw its way
    to the commitment.
    """
    found = []
    for state in sorted(game.open_nodes, key=lambda state: (state.due, state.node)):
        if now > state.due:
            continue
        node = state.node
        where = f"operator {node.operator}, level {node.level}, place {node.place}"
        function = "answer_leaf" if node.is_leaf else "answer"
        given = trace.leaf(node.operator, node.place) if node.is_leaf else kids(trace, node)
        found.append(
            Action(
                key=f"answer:{game.claim_id.hex()}:{_name(node)}",
                contract="GraphProof",
                function=function,
                args=(game.claim_id, node, given),
                note=where,
                deadline=state.due,
            )
        )
    return found


def _name(node: Node) -> str:
    """The same node may stand at several places: the place is part of its name."""
    return f"{node.level}-{node.operator}-{node.place}-{node.node_hash[:8].hex()}"
