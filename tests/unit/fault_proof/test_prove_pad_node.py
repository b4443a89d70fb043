import numpy as np

from headrace.graph.claimed import ClaimedTrace
from headrace.graph.faults import FaultKind
from headrace.graph.merkle import ZEROS
from headrace.graph.model import Model
from headrace.graph.trace import Trace
from tests.harness import Account, Chain
from tests.unit.fault_proof.court import Court, prove, random_input, random_matmul, try_proof

WRONG = b"\x5a" * 32


def with_pad(court: Court, right: Trace, tree: int, level: int, index: int) -> ClaimedTrace:
    """The right trace but for one padding node."""
    leaves = ClaimedTrace.of(right).leaves
    return ClaimedTrace(court.model, leaves, {(tree, level, index): WRONG})


def test_convicts_in_a_tensor(court: Court, right: Trace, prover: Account):
    claimed = with_pad(court, right, 1, 0, 3)
    claim = court.claim(claimed.root)
    fault = court.builder(claimed).first(right)
    assert fault is not None
    assert fault.kind == FaultKind.PAD_NODE
    event = prove(court, claim, fault, sender=prover).only("FaultProven")
    assert (event.claim_id, event.refuter) == (claim.claim_id, prover.address)
    assert (event.kind, event.op_index, event.row, event.column) == (5, 1, 0, 0)
    assert (event.claimed, event.right) == (0, 0)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, 0, prover.address)


def test_convicts_in_the_trace(court: Court, right: Trace, prover: Account):
    claimed = with_pad(court, right, 3, 0, 3)
    fault = court.builder(claimed).first(right)
    receipt = prove(court, court.claim(claimed.root), fault, sender=prover)
    assert receipt.only("FaultProven").op_index == 3


def tall_court(chain: Chain) -> Court:
    """Five operators on 17 rows: padding on several levels of each tree."""
    rng = np.random.default_rng(2)
    operators = [random_matmul(rng, index, 4, 4) for index in range(5)]
    return Court.of(chain, Model.of(operators, 4, 32), random_input(rng, 17, 4))


def test_nodes_of_every_level(chain: Chain):
    court = tall_court(chain)
    right = court.right
    honest = court.claim(right.root)
    builder = court.builder(right)
    # 17 of 32 rows: the padding nodes on the right edge, and one away from it; 5 of 8 operators.
    places = [(tree, *at) for tree in range(5) for at in ((0, 17), (0, 31), (1, 9), (2, 5), (3, 3))]
    places += [(5, 0, 5), (5, 0, 7), (5, 1, 3)]
    for tree, level, index in places:
        claimed = with_pad(court, right, tree, level, index)
        fault = court.builder(claimed).first(right)
        assert try_proof(court, court.claim(claimed.root), fault) == ""
        same = builder.pad_node(tree, level, index)
        assert same.arguments[3] == ZEROS[level]
        assert try_proof(court, honest, same) == "proof: no fault"


def test_nodes_with_places_in_use(chain: Chain):
    court = tall_court(chain)
    right = court.right
    honest = court.claim(right.root)
    builder = court.builder(right)
    used = [(0, 0, 0), (0, 0, 16), (0, 1, 8), (0, 2, 4), (0, 3, 2), (0, 4, 1), (0, 5, 0)]
    used += [(4, 0, 16), (5, 0, 4), (5, 1, 2), (5, 2, 1), (5, 3, 0)]
    for tree, level, index in used:
        fault = builder.pad_node(tree, level, index)
        assert try_proof(court, honest, fault) == "proof: node has places in use"


def test_arguments_that_show_nothing(court: Court, right: Trace):
    claimed = with_pad(court, right, 1, 0, 3)
    claim = court.claim(claimed.root)
    builder = court.builder(claimed)
    fault = builder.pad_node(1, 0, 3)
    absent = "proof: node is not in the trace"
    assert try_proof(court, claim, fault) == ""
    assert try_proof(court, claim, fault, a0=4) == "proof: no such tree"
    assert try_proof(court, claim, fault, a0=2**255) == "proof: no such tree"
    assert try_proof(court, claim, fault, a0=0) == absent
    # Read as a node of the trace's own tree, the path is too long.
    assert try_proof(court, claim, fault, a0=3) == "merkle: wrong depth"
    assert try_proof(court, claim, fault, a1=3) == "proof: no such node"
    assert try_proof(court, claim, fault, a1=2**255) == "proof: no such node"
    # Index 7 of the four places of tensor 1 would be place 3 of tensor 2.
    for index in (4, 7, 2**255):
        assert try_proof(court, claim, fault, a2=index) == "proof: no such node"
    assert try_proof(court, claim, fault, a2=2) == "proof: node has places in use"
    assert try_proof(court, claim, fault, a3=bytes(32)) == absent
    for proof in (fault.arguments[4][:-1], (*fault.arguments[4], bytes(32)), ()):
        assert try_proof(court, claim, fault, a4=proof) == "merkle: wrong depth"


def test_one_row_and_one_operator_leave_no_padding(chain: Chain):
    rng = np.random.default_rng(2)
    court = Court.of(chain, Model.of([random_matmul(rng, 0, 4, 4)], 4, 2), random_input(rng, 1, 4))
    claim = court.claim(court.right.root)
    fault = court.builder(court.right).pad_node(0, 0, 0)
    assert try_proof(court, claim, fault) == "proof: node has places in use"
    assert try_proof(court, claim, fault, a0=1) == "proof: node has places in use"
    assert try_proof(court, claim, fault, a2=1) == "proof: no such node"
