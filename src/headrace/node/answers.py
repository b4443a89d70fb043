"""Answers of a node whose claim's data is demanded: node by node, down to the bytes of a leaf."""

from headrace.daemon.actions import Action
from headrace.daemon.games import Game, place_name
from headrace.graph2.game_tree import GameNode, children_of, leaf_of
from headrace.graph2.trace import Trace


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
        place = GameNode(node.operator, node.remaining, node.place)
        given = leaf_of(trace, place) if node.is_leaf else children_of(trace, place)
        found.append(
            Action(
                key=f"answer:{game.claim_id.hex()}:{place_name(node)}",
                contract="GraphProof",
                function=function,
                args=(game.claim_id, node, given),
                note=where,
                deadline=state.due,
            )
        )
    return found
