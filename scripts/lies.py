"""Plants lies in runs of MiniLM and convicts each on chain; tries honest elements, too.

    python -m scripts.lies                     # 500 lies, 2,000 honest elements
    python -m scripts.lies --lies 50 --honest 200

Every lie is a claim of its own on the real contracts: matched, claimed with the wrong trace, and
proven by a transaction, after which the chain is put back. The lies go over all operators and six
kinds in turn: an element, a row, a shifted tensor, another operator's tensor, what the operator
makes of another input, and a right trace of another input. An honest element is handed to the rules
that judge a proof, on the claim of the right trace. Writes `build/lies.json`; ends with 1 unless
every lie was convicted and nothing else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np

from headrace.graph2.faults import Fault, FaultBuilder, examine
from headrace.graph2.importer.calibrate import evaluation_sentences
from headrace.graph2.importer.minilm_float import load_tokenizer
from headrace.graph2.importer.standard import minilm
from headrace.graph2.numpy_backend import Plan
from headrace.graph2.opcodes import Opcode
from headrace.graph2.trace import Trace, run
from scripts.compiler import ROOT
from tests.graph2.planted_lies import KINDS, Liar
from tests.graph_arena import Arena
from tests.harness import Chain, Reverted
from tests.system import OPEN, System

TARGET = ROOT / "build" / "lies.json"
SEED = 20_261_124
# One lie in so many is carried through everything that follows from it.
_CONSISTENT = 7


@dataclass
class Tally:
    """What has come of it so far."""

    planted: int = 0
    convicted: int = 0
    tried: int = 0
    wronged: int = 0
    dearest: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    by_opcode: dict[str, int] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """On flat keys."""
        return {
            "minilm_lies_planted": self.planted,
            "minilm_lies_convicted": self.convicted,
            "honest_elements_tried": self.tried,
            "honest_elements_convicted": self.wronged,
            "dearest_proof_gas": self.dearest,
            "by_kind": self.by_kind,
            "by_opcode": self.by_opcode,
        }


class Trial:
    """A sentence, its right trace, and the contracts."""

    def __init__(self, chain: Chain, seed: int) -> None:
        """Build the encoder and deploy everything."""
        self.model = minilm().model
        self.plan = Plan(self.model)
        ids = load_tokenizer().encode(evaluation_sentences()[:1], self.model.input.width)
        self.tensor = ids
        self.right = run(self.model, ids, self.plan)
        self.arena = Arena.on(System(chain), self.model, ids)
        self.chain = chain
        self.rng = np.random.default_rng(seed)
        self.liar = Liar(self.model, ids, self.right, seed)
        self.tally = Tally()

    def plant(self, number: int) -> None:
        """One lie: claim it, prove it, and see what became of the job."""
        operator = number % self.model.op_count
        kind = KINDS[number // self.model.op_count % len(KINDS)]
        lie = self.liar.tell(kind, operator, consistent=number % _CONSISTENT == 0)
        if lie.root == self.right.root:
            return  # what was moved was all the same: no lie
        found = examine(
            self.model, self.tensor, lie.root, lie, plan=self.plan, right=self.right
        ).fault
        self.tally.planted += 1
        self.tally.by_kind[kind] = self.tally.by_kind.get(kind, 0) + 1
        if found is None:
            click.echo(f"  NOT FOUND: {kind} in operator {operator}")
            return
        name = Opcode(self.model.operators[found.op_index].opcode).name
        self.tally.by_opcode[name] = self.tally.by_opcode.get(name, 0) + 1
        if self._convict(lie, found):
            self.tally.convicted += 1
        else:
            click.echo(f"  NOT CONVICTED: {kind} in operator {operator}: {name} {found.op_index}")

    def _convict(self, lie: Trace, fault: Fault) -> bool:
        with self.chain.isolated():
            claim = self.arena.claim(lie)
            watcher = self.arena.system.watchers[0]
            try:
                receipt = self.arena.proof.prove(claim.ref, fault.proof, sender=watcher)
            except Reverted as error:
                click.echo(f"  {error}")
                return False
            self.tally.dearest = max(self.tally.dearest, receipt.gas_used)
            refuted = receipt.only("Refuted")
            is_over = self.arena.state(claim) == OPEN  # again: the job has attempts left
            return bool(refuted.refuter == watcher.address and refuted.slash > 0 and is_over)

    def honest(self, count: int) -> None:
        """Elements of the right trace, all operators in turn: none may be a fault."""
        with self.chain.isolated():
            claim = self.arena.claim(self.right)
            builder = FaultBuilder(self.model, self.tensor, claim.trace)
            while self.tally.tried < count:
                index = self.tally.tried % self.model.op_count
                tensor = self.right.tensors[index]
                row = int(self.rng.integers(tensor.shape[0]))
                column = int(self.rng.integers(tensor.shape[1]))
                if self.model.operators[index].opcode == Opcode.ARGMAX:
                    proof = self._witness(builder, index, row, column)
                else:
                    proof = builder.prove_at(index, row, column)
                self.tally.tried += 1
                judged = self.arena.rules.prove(claim.ref, proof)
                if judged.is_fault:
                    self.tally.wronged += 1
                    click.echo(f"  CONVICTED: operator {index}, {row}, {column}")

    def _witness(self, builder: FaultBuilder, index: int, row: int, column: int) -> Any:
        """Any other index of the row, held against the right one."""
        operator = self.model.operators[index]
        other = int(self.rng.integers(operator.a.width))
        return builder.witness(index, row * operator.out.width + column, other).proof


def hold(lies: int, honest: int, seed: int = SEED) -> Tally:
    """Plant so many lies and try so many honest elements, on a chain of their own."""
    chain = Chain()
    try:
        trial = Trial(chain, seed)
        number = 0
        while trial.tally.planted < lies:
            # A step that is prime to the number of operators: few lies go over all of them, too.
            trial.plant(number * _step(trial.model.op_count))
            number += 1
            if number % 50 == 0:
                click.echo(f"  {trial.tally.convicted} of {trial.tally.planted} convicted")
        trial.honest(honest)
    finally:
        chain.stop()
    return trial.tally


@click.command()
@click.option("--lies", type=click.IntRange(min=1), default=500)
@click.option("--honest", type=click.IntRange(min=0), default=2_000)
@click.option("--seed", type=int, default=SEED)
def cli(lies: int, honest: int, seed: int) -> None:
    """Plant lies in MiniLM and convict them; try honest elements."""
    click.echo("building the encoder")
    tally = hold(lies, honest, seed)
    figures = tally.figures()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(figures, indent=1) + "\n")
    for name, value in figures.items():
        click.echo(f"{name:<28} {value}")
    sys.exit(0 if tally.planted == tally.convicted and not tally.wronged else 1)


def _step(count: int) -> int:
    """The least step above a quarter of the operators that has no divisor with their number."""
    step = count // 4 + 1
    while np.gcd(step, count) != 1:
        step += 1
    return step


if __name__ == "__main__":
    cli()
