# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Models
@license AGPL-3.0-only
@notice The models that jobs may name: checked against every bound of docs/int8-graph.md once, at
        registration.
@dev Owns the models. A model is named by the hash of all that is kept of it, so it never changes
     and it doesn't matter who registers it.
"""

from contracts.modules import int8_lanes
from contracts.modules import merkle
from interfaces import IFaultProof


# What is kept of a model.
struct Entry:
    head: uint256  # op_count 8 | input_width 16 | row_bytes 16 | max_units 16; zero: no such model
    graph_root: bytes32
    row_words: uint256  # byte j from the right: words in an output row of operator j, less one


MATMUL: constant(uint256) = 1
ARGMAX: constant(uint256) = 2

_VERSION: constant(uint256) = 1
_MAX_WIDTH: constant(uint256) = 1_024
_MAX_UNITS: constant(uint256) = 256
_MAX_ARGMAX: constant(uint256) = 128
_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1

# program => entry
_entries: HashMap[bytes32, Entry]


@internal
@view
def _head(program: bytes32) -> uint256:
    head: uint256 = self._entries[program].head
    assert head != 0, "model: not registered"
    return head


@internal
@view
def _limits(program: bytes32) -> (uint256, uint256):
    """
    @return The most units of a job, and the bytes of all outputs of one.
    """
    head: uint256 = self._head(program)
    return head & _M16, (head >> 16) & _M16


@internal
@pure
def _op_count(head: uint256) -> uint256:
    return head >> 48


@internal
@pure
def _input_width(head: uint256) -> uint256:
    return (head >> 32) & _M16


@internal
@pure
def _row_bytes(head: uint256) -> uint256:
    return (head >> 16) & _M16


@internal
@pure
def _max_units(head: uint256) -> uint256:
    return head & _M16


@internal
@pure
def _output_bytes(row_words: uint256, op_index: uint256) -> uint256:
    """
    @dev Bytes in an output row of the operator. Wants op_index < 32.
    """
    return unsafe_mul(32, unsafe_add((row_words >> unsafe_mul(8, op_index)) & _M8, 1))


@internal
@pure
def _operator_leaf(operator: IFaultProof.Operator) -> bytes32:
    return keccak256(concat(0x01, abi_encode(operator)))


@internal
@pure
def _check_operator(operator: IFaultProof.Operator):
    """
    @dev The bounds of one operator that don't depend on its place.
    """
    assert 0 < operator.width_out and operator.width_out <= _MAX_WIDTH, "model: bad width_out"
    if operator.opcode == MATMUL:
        assert operator.clamp >> 16 == 0, "model: spare bits in clamp"
        assert operator.clamp >> 8 <= operator.clamp & _M8, "model: clamp is empty"
    else:
        assert operator.opcode == ARGMAX, "model: unknown opcode"
        assert operator.width_in <= _MAX_ARGMAX, "model: argmax too wide"
        assert operator.width_out == 1, "model: argmax width_out not 1"
        assert (
            operator.clamp == 0
            and operator.weight_root == empty(bytes32)
            and operator.param_root == empty(bytes32)
        ), "model: argmax has clamp or roots"


@internal
def _register(
    operators: DynArray[IFaultProof.Operator, 32], input_width: uint256, max_units: uint256
) -> (bytes32, bytes32):
    """
    @dev Checks and keeps a model; one that is known stays as it is. Returns its program id and
         graph root.
    """
    assert len(operators) != 0, "model: no operators"
    assert 0 < input_width and input_width <= _MAX_WIDTH, "model: bad input_width"
    assert 0 < max_units and max_units <= _MAX_UNITS, "model: bad max_units"
    widths: DynArray[uint256, 33] = [input_width]
    leaves: DynArray[bytes32, 32] = []
    row_words: uint256 = 0
    row_bytes: uint256 = 0
    for operator: IFaultProof.Operator in operators:
        self._check_operator(operator)
        index: uint256 = len(leaves)
        assert operator.source <= index, "model: source is not earlier"
        assert operator.width_in == widths[operator.source], "model: width_in not the source's"
        padded: uint256 = int8_lanes._padded(operator.width_out)
        # SAFETY: at most 32 rows of 1,024 bytes; one byte for each of 32 operators.
        row_bytes = unsafe_add(row_bytes, padded)
        row_words = row_words | (unsafe_sub(padded >> 5, 1) << unsafe_mul(8, index))
        leaves.append(self._operator_leaf(operator))
        widths.append(operator.width_out)

    op_count: uint256 = len(leaves)
    graph_root: bytes32 = merkle._root(leaves)
    program: bytes32 = keccak256(abi_encode(_VERSION, graph_root, op_count, input_width, max_units))
    if self._entries[program].head == 0:
        self._entries[program] = Entry(
            head=(op_count << 48) | (input_width << 32) | (row_bytes << 16) | max_units,
            graph_root=graph_root,
            row_words=row_words,
        )
    return program, graph_root
