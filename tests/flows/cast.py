"""Nodes that don't behave, as processes: `python -m tests.flows.cast ROLE FILE`. Tests only."""

import sys
from pathlib import Path

from headrace.daemon.program import main
from headrace.formats import AnyModel, AnyTrace
from headrace.graph.model import Model
from headrace.graph.trace import Trace, continue_from
from headrace.graph2 import trace as graph_traces
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.trace import Trace as GraphTrace
from headrace.input_forms import Array
from headrace.node.run import run_node
from headrace.node.work import NumpyWorker
from headrace.settings import Settings

LIE = (8, 2, 5)
"""Operator, row and column of the element that a liar changes in a large trace."""


def lie_in(model: GraphModel, tensor: Array, right: GraphTrace) -> GraphTrace:
    """A trace with one hidden element changed, and everything after it as it follows from that."""
    operator, row, column = LIE
    changed = right.tensors[operator].copy()
    changed[row, column] = -1 - changed[row, column]
    return graph_traces.continue_from(model, tensor, right.replace(operator, changed), operator)


class Liar(NumpyWorker):
    """Changes one hidden element, and carries on from there."""

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        right = super().run(model, tensor)
        if isinstance(model, GraphModel):
            assert isinstance(right, GraphTrace)
            return lie_in(model, tensor, right)
        assert isinstance(model, Model)
        assert isinstance(right, Trace)
        changed = right.replace(1, 2, 5, right.rows[1][2][5] ^ 0x40)
        return continue_from(model, tensor, changed, 1)


class Withholder(Liar):
    """Claims a wrong root and shows nobody why."""

    def publish(self, trace: AnyTrace) -> None:
        pass

    def answer(self, trace: AnyTrace) -> AnyTrace | None:
        return None


class Hider(Withholder):
    """Shows the store nothing, but answers on chain: with a lie."""

    def answer(self, trace: AnyTrace) -> AnyTrace | None:
        return trace


def serve(settings: Settings) -> None:
    role, path = sys.argv[1], Path(sys.argv[2])
    if role == "liar":
        run_node(settings, path, worker=Liar())
    else:
        one = {"withholder": Withholder, "hider": Hider}[role]()
        run_node(settings, path, worker=one, publisher=one)


if __name__ == "__main__":
    main(serve)
