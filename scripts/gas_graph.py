"""What the moves of version 2 cost: proofs of every operator, the game, a whole withheld case.

The shapes are those of a sentence encoder of 384 columns, 12 heads and 32 tokens; what the numbers
are doesn't matter for gas, so they are random.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from headrace.graph2 import builders as ops
from headrace.graph2.model import GraphBuilder, Model
from headrace.graph2.opcodes import Opcode
from headrace.graph2.operators import Params
from headrace.graph2.trace import Trace
from tests.graph_arena import Arena
from tests.harness import Account
from tests.system import UNIT, System
from tests.unit.graph_proof.court import REPLY, lie

Figures = dict[str, int]

HEADS, TOKENS, PER_HEAD = 12, 32, 32
HIDDEN = HEADS * PER_HEAD
DEEP_OPERATORS, DEEP_UNITS = 200, 32
WIDTHS = (384, 1_536, 4_096)
MOST_CALLDATA = 100_000


def wide_model(width: int) -> Model:
    """Two MATMULs, the first over rows of `width` elements."""
    rng = np.random.default_rng(width)
    graph = GraphBuilder(1, width, 1)
    view = graph.input
    for columns in (64, 64):
        weights = rng.integers(-128, 128, (columns, view.width)).astype(np.int8)
        view = graph.add(ops.matmul(view, weights, Params.of(np.full(columns, 2**12), 22)))
    return graph.build(64)


def encoder_model() -> Model:
    """Every opcode, in the shapes of one layer of the encoder."""
    rng = np.random.default_rng(1)

    def params(shift: int) -> Params:
        return Params.of(rng.integers(2**19, 2**20, HIDDEN), shift)

    def weights() -> np.ndarray[Any, Any]:
        return rng.integers(-128, 128, (HIDDEN, HIDDEN)).astype(np.int8)

    graph = GraphBuilder(1, TOKENS, 2)
    ids = graph.input
    mask = graph.add(ops.affine(ids, size=1, lo=0, hi=1))
    words = rng.integers(-(2**15), 2**15, (50, HIDDEN))
    x = graph.add(ops.gather(ids, words, size=2))
    places = rng.integers(-(2**15), 2**15, (TOKENS, HIDDEN))
    factors = {"mult_a": 2**20, "mult_b": 2**20, "shift": 21, "size": 2}
    x = graph.add(ops.add_constant(x, places, constant_size=2, **factors))
    mean = graph.add(ops.rowsum(x, Params.of(2**20 // HIDDEN, 20), fold=TOKENS))
    x = graph.add(ops.add(x, mean, stat=True, **(factors | {"mult_b": -(2**20)})))
    spread = graph.add(ops.rowdot(x, fold=TOKENS, shift=8))
    scale = graph.add(ops.recip(graph.add(ops.isqrt(spread)), power=30))
    x = graph.add(ops.mul(x, scale, params(30), stat=True, shift=12, size=2))
    x = graph.add(ops.affine(x, params(26), size=1))
    query = graph.add(ops.matmul(x, weights(), params(30)))
    key = graph.add(ops.matmul(x, weights(), params(30)))
    value = graph.add(ops.matmul(x, weights(), params(30)))
    turned = graph.add(ops.transpose(value, seq=TOKENS))
    scores = graph.add(
        ops.scores(
            query,
            key,
            Params.of(2**22, 24),
            heads=HEADS,
            seq=TOKENS,
            mask=mask,
            lo=-32_768,
            hi=16_383,
        )
    )
    most = graph.add(ops.pick(scores, graph.add(ops.argmax(scores, fold=TOKENS))))
    table = np.sort(rng.integers(0, 2**15, 257))
    powers = graph.add(ops.lut16(scores, table, stat=most))
    total = graph.add(ops.recip(graph.add(ops.rowsum(powers, fold=TOKENS)), power=44))
    x = graph.add(
        ops.context(
            powers, turned, params(20), heads=HEADS, seq=TOKENS, scale=total, scale_shift=30
        )
    )
    y = graph.add(ops.lut8(x, rng.integers(-128, 128, 256)))
    both = graph.add(ops.reshape(graph.add(ops.concat(x, y)), HIDDEN))
    image = {"height": 16, "width": 8, "channels": 3}
    graph.add(ops.im2col(both, **image, kernel=3, stride=2, padding=1))
    return graph.build(8)


def deep_model() -> Model:
    """As many operators and leaves as the whole encoder has, each the easiest there is."""
    graph = GraphBuilder(TOKENS, HIDDEN, 1)
    for _ in range(DEEP_OPERATORS):
        graph.add(ops.reshape(graph.input, HIDDEN))
    return graph.build(DEEP_UNITS)


class GraphStage:
    """Version 2 beside a system in its steady state."""

    def __init__(self, system: System) -> None:
        """`system`'s keepers and operators have money already."""
        self.system = system
        self.chain = system.chain
        rng = np.random.default_rng(25)
        self.token_ids = rng.integers(0, 60, (2, TOKENS)).astype(np.int16)
        self.token_ids[0, 2:] = 0
        self.arena = Arena.on(system, encoder_model(), self.token_ids)
        self.watcher, self.prover = system.watchers[:2]
        self.provider: Account = system.providers[1]

    def convict(self, arena: Arena, right: Trace, wrong: Trace) -> tuple[int, int]:
        """Gas and bytes of calldata of a proof, verdict and slash included."""
        claim = arena.claim(wrong)
        proof = arena.fault(claim, right).proof
        receipt = arena.proof.prove(claim.ref, proof, sender=self.prover)
        return receipt.gas_used, len(arena.proof.encode("prove", claim.ref, proof))

    # -- the figures --

    def matmuls(self) -> Figures:
        """A wrong element of a MATMUL over rows of these widths."""
        found = Figures()
        for width in WIDTHS:
            with self.chain.isolated():
                rng = np.random.default_rng(width)
                tensor = rng.integers(-128, 128, (25, width)).astype(np.int8)
                arena = self.arena.beside(wide_model(width), tensor)
                right = arena.right()
                wrong = lie(right, 0, 1, 0)
                found[f"prove_matmul_{width}"], _ = self.convict(arena, right, wrong)
        return found

    def operators(self) -> Figures:
        """A wrong element of each operator: the dearest of each kind."""
        arena, found = self.arena, Figures()
        right = arena.right()
        for index, op in enumerate(arena.model.operators):
            name = f"prove_{Opcode(op.opcode).name.lower()}"
            with self.chain.isolated():
                gas, calldata = self.convict(arena, right, lie(right, index, 0, 0))
            if calldata > MOST_CALLDATA:
                raise AssertionError(f"{name} has {calldata} bytes of calldata")
            found[name] = max(found.get(name, 0), gas)
        return found

    def game(self) -> Figures:
        """Single moves, the demander's lane in use already; and a whole withheld case."""
        rng = np.random.default_rng(32)
        tensor = rng.integers(-128, 128, (TOKENS * DEEP_UNITS, HIDDEN)).astype(np.int8)
        arena, found = self.arena.beside(deep_model(), tensor), Figures()
        claim = arena.claim(arena.right())
        found["claim"] = arena.claims[claim.job_id].gas_used
        with self.chain.isolated():
            builder = arena.builder(claim)
            proof = builder.prove_at(0, 0, 0)
            found["audit"] = arena.proof.audit(claim.ref, proof, sender=self.prover).gas_used
            digest = keccak(b"digest")
            found["commit_fault"] = arena.proof.commit_fault(
                claim.ref, digest, sender=self.prover
            ).gas_used
        # The way to the last leaf that there is, everything shown but its bytes.
        last = claim.trace.model.operators[-1].out.leaves(DEEP_UNITS) - 1
        path = claim.path(DEEP_OPERATORS - 1, last)
        found["open"] = arena.open(claim, self.watcher).gas_used
        demands, answers = [], []
        for parent, node in pairwise(path):
            answers.append(arena.answer(claim, parent, sender=self.provider).gas_used)
            index = claim.index_of(node)
            demands.append(arena.demand(claim, parent, index, self.watcher).gas_used)
        with self.chain.isolated():
            found["answer_leaf"] = arena.answer(claim, path[-1], sender=self.provider).gas_used
        self.chain.travel(REPLY + 1)
        found["silence"] = arena.silence(claim, path[-1], sender=self.watcher).gas_used
        found["settle_node"] = arena.settle(
            claim, path[0], self.watcher, self.provider, sender=self.watcher
        ).gas_used
        found["demand"], found["answer"] = max(demands), max(answers)
        found["demand_answer_level"] = found["demand"] + found["answer"]
        moves = found["open"] + sum(demands) + sum(answers) + found["silence"]
        found["withheld_minilm_total"] = moves
        return found

    def registration(self) -> Figures:
        """A model of 200 operators."""
        model = deep_model()
        with self.chain.isolated():
            receipt = self.arena.models.register_model(
                model.descriptors, model.input.word, model.max_units, bytes(32)
            )
        return {"register_model_200": receipt.gas_used}


def measure(system: System) -> Figures:
    """All figures, by name."""
    for account in system.watchers:
        system.deposit(account, UNIT)
    stage = GraphStage(system)
    found = Figures()
    for part in (stage.registration, stage.matmuls, stage.operators, stage.game):
        found |= part()
    return found
