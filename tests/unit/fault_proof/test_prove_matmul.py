import numpy as np
import pytest

from headrace.graph import encoding
from headrace.graph.encoding import mirror
from headrace.graph.faults import Fault, FaultKind, RowProof
from headrace.graph.merkle import Tree
from headrace.graph.model import Descriptor, Model, program_id
from headrace.graph.trace import Trace
from tests.harness import Account, Chain, reverts
from tests.unit.fault_proof.court import (
    Claim,
    Court,
    prove,
    random_input,
    random_matmul,
    try_proof,
)


@pytest.fixture
def lie(right: Trace) -> Trace:
    """Operator 1 lies about column 2 of row 1; operator 0 is its source."""
    return right.replace(1, 1, 2, right.rows[1][1][2] ^ 4)


@pytest.fixture
def claim(court: Court, lie: Trace) -> Claim:
    """The lie as a claim."""
    return court.claim(lie.root)


@pytest.fixture
def fault(court: Court, lie: Trace, right: Trace) -> Fault:
    """Its proof."""
    found = court.builder(lie).first(right)
    assert found is not None
    assert found.kind == FaultKind.ELEMENT
    return found


def test_convicts(court: Court, claim: Claim, fault: Fault, right: Trace, prover: Account):
    receipt = prove(court, claim, fault, sender=prover)
    event = receipt.only("FaultProven")
    assert event.claim_id == claim.claim_id
    assert event.refuter == prover.address
    assert (event.kind, event.op_index, event.row, event.column) == (1, 1, 1, 2)
    assert (event.claimed, event.right) == (fault.claimed, fault.right)
    assert event.right == int(right.tensor(1)[1, 2])
    called = receipt.only("RefuteCalled")
    assert (called.job_id, called.refuter) == (claim.job_id, prover.address)
    assert court.proof.dispute_of(claim.claim_id)[:3] == (3, 0, prover.address)
    assert court.escrow.refuted() == 1


def test_convicts_on_the_input_and_any_earlier_tensor(chain: Chain):
    rng = np.random.default_rng(3)
    # The third operator reads the input again, the fourth the first one's output.
    operators = [
        random_matmul(rng, 0, 64, 33),
        random_matmul(rng, 1, 33, 5),
        random_matmul(rng, 0, 64, 7),
        random_matmul(rng, 1, 33, 2),
        random_matmul(rng, 4, 2, 4),
    ]
    court = Court.of(chain, Model.of(operators, 64, 9), random_input(rng, 9, 64))
    right = court.right
    for index in range(5):
        lie = right.replace(index, 8, 1, right.rows[index][8][1] ^ 0x80)
        claim = court.claim(lie.root)
        fault = court.builder(lie).first(right)
        assert fault is not None
        assert try_proof(court, claim, fault) == ""
        # The same element of the right trace convicts nobody.
        honest = court.claim(right.root)
        same = court.builder(right).element(index, 8, 1, 0)
        assert try_proof(court, honest, same) == "proof: no fault"


def test_widest_operator_and_single_row(chain: Chain):
    rng = np.random.default_rng(5)
    court = Court.of(
        chain,
        Model.of([random_matmul(rng, 0, 1_024, 1_024)], 1_024, 1),
        random_input(rng, 1, 1_024),
    )
    right = court.right
    lie = right.replace(0, 0, 1_023, right.rows[0][0][1_023] ^ 1)
    fault = court.builder(lie).first(right)
    assert fault is not None
    assert (fault.column, fault.claimed) == (1_023, fault.right ^ 1)
    assert prove(court, court.claim(lie.root), fault).only("FaultProven").right == fault.right


def test_row_column_and_operator_must_exist(court: Court, claim: Claim, fault: Fault):
    op = fault.arguments[0]
    assert try_proof(court, claim, fault, a0=op._replace(op_index=3)) == "proof: no such operator"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=2**255)) == (
        "proof: no such operator"
    )
    assert try_proof(court, claim, fault, a1=3) == "proof: no such row"
    assert try_proof(court, claim, fault, a1=2**255) == "proof: no such row"
    assert try_proof(court, claim, fault, a2=3) == "proof: column out of range"
    assert try_proof(court, claim, fault, a2=2**255) == "proof: column out of range"


def test_operator_is_the_models_at_that_place(court: Court, claim: Claim, fault: Fault):
    op = fault.arguments[0]
    other = court.builder(court.right).operator_ref(0)
    wrong = "proof: not the model's operator"
    assert try_proof(court, claim, fault, a0=op._replace(op_index=0)) == wrong
    assert try_proof(court, claim, fault, a0=other._replace(op_index=1)) == wrong
    looser = op.operator._replace(clamp=(128 << 8) | 255)
    assert try_proof(court, claim, fault, a0=op._replace(operator=looser)) == wrong
    argmax = court.builder(court.right).operator_ref(2)
    assert try_proof(court, claim, fault, a0=argmax) == "proof: wrong opcode"
    assert try_proof(court, claim, fault, a0=op._replace(proof=op.proof[:1])) == (
        "merkle: wrong depth"
    )
    assert try_proof(court, claim, fault, a0=op._replace(proof=op.proof + op.proof)) == (
        "merkle: wrong depth"
    )


@pytest.mark.parametrize("place", [3, 4, 7])
def test_rows_of_wrong_length(court: Court, claim: Claim, fault: Fault, place: int):
    given = fault.arguments[place]
    wrong = "proof: ill-formed weights" if place == 4 else "proof: wrong row length"
    for data in (b"", given.data[:-1], given.data + b"\x80", given.data + bytes([128]) * 32):
        changed = {f"a{place}": RowProof(data, given.proof)}
        assert try_proof(court, claim, fault, **changed) == wrong


@pytest.mark.parametrize("place", [3, 4, 7])
def test_rows_and_their_paths(court: Court, claim: Claim, fault: Fault, place: int):
    given = fault.arguments[place]
    wrong = "proof: not the model's weights" if place == 4 else "proof: row is not in the tree"
    flipped = bytes([given.data[0] ^ 1]) + given.data[1:]
    changes = {
        "merkle: wrong depth": [
            RowProof(given.data, given.proof[:-1]),
            RowProof(given.data, (*given.proof, bytes(32))),
            RowProof(given.data, ()),
        ],
        wrong: [
            RowProof(flipped, given.proof),
            RowProof(given.data, (b"\x01" * 32, *given.proof[1:])),
            RowProof(given.data, given.proof[::-1]),
        ],
    }
    for reason, rows in changes.items():
        for row in rows:
            assert try_proof(court, claim, fault, **{f"a{place}": row}) == reason


def test_rows_of_another_place_do_not_pass(
    court: Court, claim: Claim, fault: Fault, lie: Trace, right: Trace
):
    builder = court.builder(lie)
    wrong = "proof: row is not in the tree"
    # Bytes of another row, of another tensor of the same width, of the right trace.
    assert try_proof(court, claim, fault, a7=builder.output_row(1, 0)) == wrong
    assert try_proof(court, claim, fault, a7=builder.output_row(2, 1)) == wrong
    assert try_proof(court, claim, fault, a7=court.builder(right).output_row(1, 1)) == wrong
    assert try_proof(court, claim, fault, a3=builder.output_row(0, 0)) == wrong
    first = builder.element(0, 1, 0, 0)
    swapped = try_proof(court, claim, first, a3=builder.source_row(0, 2))
    assert swapped == wrong
    # A row of the claimed trace can't stand in for the input: its path is longer.
    assert try_proof(court, claim, first, a3=builder.output_row(1, 1)) == "merkle: wrong depth"


def test_weights_and_params_are_the_columns(court: Court, claim: Claim, fault: Fault):
    step = court.model.operators[1]
    other = RowProof(step.weight_rows[1], step.weight_tree.proof(1))
    assert try_proof(court, claim, fault, a4=other) == "proof: not the model's weights"
    wrong = "proof: not the model's params"
    assert try_proof(court, claim, fault, a5=step.params[1]) == wrong
    assert try_proof(court, claim, fault, a5=step.params[1], a6=step.param_tree.proof(1)) == wrong
    assert try_proof(court, claim, fault, a6=()) == "merkle: wrong depth"


def hostile_court(
    chain: Chain, weights: list[bytes], params: list[int], width: int = 5
) -> tuple[Court, Descriptor, Tree, Tree]:
    """A registered model of one MATMUL whose trees hold these bytes, whatever they are."""
    honest = Model.of([random_matmul(np.random.default_rng(9), 0, width, len(weights))], width, 4)
    court = Court.of(chain, honest, random_input(np.random.default_rng(4), 2, width))
    weight_tree = Tree([encoding.leaf(row) for row in weights])
    param_tree = Tree([encoding.parameter_leaf(word) for word in params])
    operator = honest.descriptors[0]._replace(
        weight_root=weight_tree.root, param_root=param_tree.root
    )
    court.proof.register_model([operator], width, 4, bytes(32))
    return court, operator, weight_tree, param_tree


def hostile_proof(chain: Chain, weights: list[bytes], params: list[int], claimed: int = 0) -> str:
    """What comes of a proof about column 0 on such a model, whatever element is claimed."""
    court, operator, weight_tree, param_tree = hostile_court(chain, weights, params)
    rows = [bytes([128 + claimed]) + bytes([128]) * 31] * 2
    trace_tree = Tree([encoding.leaf(row) for row in rows])
    claim = court.claim(trace_tree.root)
    terms = list(claim.terms)
    terms[3] = program_id(operator.leaf, 1, 5, 4)
    court.escrow.open_claim(tuple(terms), claim.record, claim.commitment, 1, claim.at)
    claim = Claim(tuple(terms), *(getattr(claim, f) for f in list(Claim.__annotations__)[1:]))
    source = court.builder(court.right).source_row(0, 0)
    arguments = (
        (0, operator, ()),
        0,
        0,
        source,
        RowProof(weights[0], weight_tree.proof(0)),
        params[0],
        param_tree.proof(0),
        RowProof(rows[0], trace_tree.proof(0)),
    )
    fault = Fault(FaultKind.ELEMENT, 0, 0, 0, 0, 0, arguments)
    return try_proof(court, claim, fault)


GOOD_ROW = mirror(bytes([130] * 5 + [128] * 27))
GOOD_PARAMS = encoding.parameter_word(0, 1 << 20, 20)


def test_hostile_model_control(chain: Chain):
    """With sound bytes the same set-up convicts (the right element is not -128)."""
    assert hostile_proof(chain, [GOOD_ROW], [GOOD_PARAMS], -128) == ""


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (GOOD_PARAMS | 1 << 72, "lanes: spare bits in params"),
        (GOOD_PARAMS | 1 << 255, "lanes: spare bits in params"),
        (encoding.parameter_word(2**30 + 1, 1, 1), "lanes: bias out of bounds"),
        (encoding.parameter_word(-(2**30) - 1, 1, 1), "lanes: bias out of bounds"),
        (0, "lanes: bias out of bounds"),
        (encoding.parameter_word(0, 2**31, 1), "lanes: mult out of bounds"),
        (encoding.parameter_word(0, 2**32 - 1, 1), "lanes: mult out of bounds"),
        (encoding.parameter_word(0, 1, 0), "lanes: shift out of bounds"),
        (encoding.parameter_word(0, 1, 63), "lanes: shift out of bounds"),
        (encoding.parameter_word(0, 1, 255), "lanes: shift out of bounds"),
    ],
)
def test_parameters_out_of_bounds_convict_nobody(chain: Chain, word: int, reason: str):
    for claimed in (-128, 0, 127):
        assert hostile_proof(chain, [GOOD_ROW], [word], claimed) == reason


@pytest.mark.parametrize(
    "row",
    [
        b"",
        GOOD_ROW[:31],
        GOOD_ROW + bytes([128]) * 32,
        mirror(bytes([130] * 5 + [129] + [128] * 26)),
        mirror(bytes([130] * 5 + [128] * 26 + [0])),
        bytes([130] * 5 + [128] * 27),  # padded, but not mirrored
    ],
)
def test_ill_formed_weights_convict_nobody(chain: Chain, row: bytes):
    for claimed in (-128, 0, 127):
        assert hostile_proof(chain, [row], [GOOD_PARAMS], claimed) == "proof: ill-formed weights"


def test_padding_of_the_input_does_not_count(chain: Chain):
    """A requester whose input row carries bytes in its padding can't bend the rule."""
    court = Court.of(
        chain,
        Model.of([random_matmul(np.random.default_rng(9), 0, 5, 3)], 5, 4),
        random_input(np.random.default_rng(4), 2, 5),
    )
    right = court.right
    dirty = [row[:5] + b"\x00\xff" * 13 + b"\x07" for row in encoding.encode_rows(court.tensor)]
    tree = Tree([encoding.leaf(row) for row in dirty])
    for trace, expected in ((right, "proof: no fault"), (right.replace(0, 1, 2, 0), "")):
        claim = court.claim(trace.root)
        terms = list(claim.terms)
        terms[4] = tree.root
        court.escrow.open_claim(tuple(terms), claim.record, claim.commitment, 1, claim.at)
        claim = Claim(tuple(terms), *(getattr(claim, f) for f in list(Claim.__annotations__)[1:]))
        fault = court.builder(trace).element(0, 1, 2, 0)
        assert try_proof(court, claim, fault, a3=RowProof(dirty[1], tree.proof(1))) == expected


def test_reverts_as_a_transaction_too(court: Court, right: Trace, honest: Claim):
    with reverts("proof: no fault"):
        prove(court, honest, court.builder(right).element(0, 0, 0, 0))
    assert court.proof.dispute_of(honest.claim_id)[0] == 0
