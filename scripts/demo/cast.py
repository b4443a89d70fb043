"""Who plays: what each provider owns and asks for, and how the bad ones misbehave.

`python -m scripts.demo.cast ROLE FILE` runs a node that isn't honest. The product has no switch for
that: these are other workers and publishers, put in where a provider could put its own.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from headrace.daemon.program import main
from headrace.formats import AnyModel, AnyTrace
from headrace.graph import trace as traces
from headrace.graph.model import Model
from headrace.graph.trace import Trace
from headrace.graph2 import trace as graph_traces
from headrace.graph2.model import Model as GraphModel
from headrace.graph2.opcodes import Opcode
from headrace.graph2.trace import Trace as GraphTrace
from headrace.input_forms import Array
from headrace.node.run import run_node
from headrace.node.work import NumpyWorker, StorePublisher
from headrace.settings import Settings
from headrace.store.blobs import BlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """
    A provider with one node that serves the model of one work. Prices are tokens, as text; `role`
    is empty for an honest one.
    """

    name: str
    gpu: str
    region: str
    base: str
    per_unit: str
    latency: int = 1
    benchmark: int = 500
    work: str = "digits"
    role: str = ""


PROVIDERS = (
    Provider(
        name="aurora",
        gpu="RTX 4090",
        region="eu-west",
        base="0.50",
        per_unit="0.050",
        benchmark=800,
    ),
    Provider(
        name="borealis",
        gpu="A100 80GB",
        region="us-east",
        base="0.80",
        per_unit="0.060",
        benchmark=1200,
    ),
    Provider(name="cirrus", gpu="L4", region="jp", base="0.40", per_unit="0.040", latency=3),
    Provider(
        name="haven",
        gpu="H100 80GB",
        region="eu-central",
        base="1.50",
        per_unit="0.080",
        benchmark=2000,
    ),
    Provider(name="misfit", gpu="T4", region="sa-east", base="0.10", per_unit="0.010", latency=5),
    Provider(
        name="liar", gpu="RTX 3090", region="eu-west", base="0.30", per_unit="0.030", role="liar"
    ),
    Provider(
        name="withholder",
        gpu="RTX 5090",
        region="us-west",
        base="0.30",
        per_unit="0.030",
        role="withholder",
    ),
    Provider(
        name="absentee",
        gpu="A10",
        region="eu-north",
        base="0.20",
        per_unit="0.020",
        role="absentee",
    ),
    Provider(
        name="lyra",
        gpu="L40S",
        region="eu-north",
        base="0.60",
        per_unit="0.050",
        work="embeddings",
    ),
    Provider(
        name="orion",
        gpu="RTX A6000",
        region="us-east",
        base="0.70",
        per_unit="0.060",
        work="embeddings",
    ),
    Provider(
        name="mirage",
        gpu="V100 32GB",
        region="eu-north",
        base="0.30",
        per_unit="0.030",
        work="embeddings",
        role="mirage",
    ),
)
HONEST = tuple(provider.name for provider in PROVIDERS if not provider.role)

# The element that the lies change: a hidden one, right after the first layer.
_LIE_OPERATOR = 1
_A_WHILE = 60.0
_FULL = 255  # the byte of the int8 127


class Liar(NumpyWorker):
    """Changes one hidden element so that a row's class changes; the rest follows from the lie."""

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        """See `Worker`."""
        right = super().run(model, tensor)
        if not (isinstance(model, Model) and isinstance(right, Trace)):
            raise ValueError("this lie is for the digits")
        for row in range(tensor.shape[0]):
            for column in range(model.operators[_LIE_OPERATOR].width_out):
                lie = right.replace(_LIE_OPERATOR, row, column, _FULL)
                wrong = traces.continue_from(model, tensor, lie, _LIE_OPERATOR)
                if wrong.result[row, 0] != right.result[row, 0]:
                    return wrong
        raise ValueError("no element of this input changes a class")


# The layer of the encoder in which an element is changed, counted from 1.
_LIE_LAYER = 4


class HiddenLiar(NumpyWorker):
    """Changes one element inside the encoder; the rest follows from the lie, and looks like it."""

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        """See `Worker`."""
        right = super().run(model, tensor)
        if not (isinstance(model, GraphModel) and isinstance(right, GraphTrace)):
            raise ValueError("this lie is for the encoder")
        # Its activation is the layer's only table without a second operand.
        tables = [
            index
            for index, operator in enumerate(model.operators)
            if operator.opcode == Opcode.LUT16 and operator.s is None
        ]
        operator = tables[_LIE_LAYER - 1]
        changed = right.tensors[operator].copy()
        changed[1, 7] = -1 - changed[1, 7]
        lie = right.replace(operator, changed)
        return graph_traces.continue_from(model, tensor, lie, operator)


class Silence(StorePublisher):
    """Publishes nothing, neither in the store nor when asked."""

    def publish(self, trace: AnyTrace) -> None:
        """See `Publisher`."""

    def answer(self, trace: AnyTrace) -> AnyTrace | None:
        """See `Publisher`."""
        return None


class Absentee(NumpyWorker):
    """Never delivers."""

    def run(self, model: AnyModel, tensor: Array) -> AnyTrace:
        """See `Worker`."""
        while True:
            time.sleep(_A_WHILE)


def play(role: str, path: Path, settings: Settings) -> None:
    """Run the node of the file at `path` in one of the bad roles."""
    workers = {"liar": Liar, "withholder": Liar, "absentee": Absentee, "mirage": HiddenLiar}
    store = BlobStore(settings.store_path)
    is_silent = role in ("withholder", "mirage")
    publisher = Silence(store) if is_silent else StorePublisher(store)
    run_node(settings, path, worker=workers[role](), publisher=publisher)


if __name__ == "__main__":
    main(lambda settings: play(sys.argv[1], Path(sys.argv[2]), settings))
