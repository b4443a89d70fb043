# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title Graph models
@license AGPL-3.0-only
@notice The models of version 2 that jobs may name: checked against every bound of
        docs/int8-graph-2.md once, at registration. And the accounts that say where a copy of a
        model is: without enough of them nobody could check a claim, so no job may name it.
@dev A model is named by the hash of all that is kept of it, so it never changes and it doesn't
     matter who registers it. Holds no money, calls nobody.
@custom:kill Has no owner and no switch.
"""

from interfaces import IGraphModels
from interfaces import IGraphRules

implements: IGraphModels

from contracts.modules import graph_bounds
from contracts.modules import merkle
from contracts.modules import quads
from contracts.modules import views

_VERSION: constant(uint256) = 2
_MAX_UNITS: constant(uint256) = 4_096
_MAX_ROWS: constant(uint256) = 65_535
_MAX_WIDTH: constant(uint256) = 4_096
_MAX_LEAVES: constant(uint256) = 65_536 * 16
_MAX_TRACE_BYTES: constant(uint256) = 2**31
_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M24: constant(uint256) = 2**24 - 1

# Accounts that must list a copy of a model before a job can name it.
MIN_MIRRORS: public(immutable(uint256))

# program => op_count 16 | levels 8 | max_units 16 | mirrors 24; zero: no such model
_heads: HashMap[bytes32, uint256]
# program => graph root
_roots: HashMap[bytes32, bytes32]
# program => account => whether it lists a copy
_mirrors: HashMap[bytes32, HashMap[address, bool]]


@deploy
def __init__(min_mirrors: uint256):
    """
    @notice Fix how many copies a model needs.
    @param min_mirrors Distinct accounts that have to list one, less than 2^24; with 0 none is
            needed.
    """
    assert min_mirrors <= _M24, "models: bad min_mirrors"
    MIN_MIRRORS = min_mirrors


# ---- anyone


@external
def register_model(
    operators: DynArray[IGraphRules.Operator, 256],
    input: uint256,
    max_units: uint256,
    card_id: bytes32,
) -> bytes32:
    """
    @notice Make a model known, so that jobs can name it. Who registers it, and how often, changes
            nothing; each registrant's card is logged under its own name.
    @param operators The operators, 1 to 256, in order.
    @param input The view of the input, tensor 0.
    @param max_units Most units of a job, 1 to 4,096.
    @param card_id Where the registrant's card (package, licence, accuracy) is to be found; only
            logged.
    @return The program id.
    """
    assert len(operators) != 0, "models: no operators"
    # SAFETY: below the range wraps to above it.
    assert unsafe_sub(max_units, 1) < _MAX_UNITS, "models: bad max_units"
    self._check_view(input)
    assert (views._layout(input, max_units).leaves <= _MAX_LEAVES), "models: input too large"
    tensors: DynArray[uint256, 257] = [input]
    leaves: DynArray[bytes32, 256] = []
    deepest: uint256 = 0
    trace_bytes: uint256 = 0
    for operator: IGraphRules.Operator in operators:
        assert operator.a != 0, "models: a is missing"
        for source: uint256 in [operator.a, operator.b, operator.s]:
            if source != 0:
                # Only what is there already, so that no operator reads what comes later.
                tensor: uint256 = views._tensor(source)
                assert tensor < len(tensors), "models: reads what comes later"
                assert tensors[tensor] == source, "models: wrong about a tensor"
        self._check_view(operator.out)
        graph_bounds._check(operator)
        layout: views.Layout = views._layout(operator.out, max_units)
        assert layout.leaves <= _MAX_LEAVES, "models: too many leaves"
        deepest = max(deepest, layout.leaves)
        # SAFETY: 256 times at most 2^20 leaves of at most 2^10 bytes; 257 tensors.
        trace_bytes = unsafe_add(
            trace_bytes, unsafe_mul(layout.leaves, unsafe_mul(layout.pack, layout.part))
        )
        leaves.append(keccak256(concat(0x01, abi_encode(operator))))
        tensors.append((len(tensors) << 56) | operator.out)
    assert trace_bytes <= _MAX_TRACE_BYTES, "models: trace too large"

    op_count: uint256 = len(leaves)
    graph_root: bytes32 = merkle._root(leaves)
    program: bytes32 = keccak256(abi_encode(_VERSION, graph_root, op_count, input, max_units))
    if self._heads[program] == 0:
        levels: uint256 = unsafe_add(self._height(op_count), self._height(deepest))
        self._heads[program] = (
            (op_count << 48) | (unsafe_add(levels, 1) << 40) | (max_units << 24)
        )
        self._roots[program] = graph_root
    log IGraphModels.ModelRegistered(
        program=program, registrant=msg.sender, graph_root=graph_root, card_id=card_id
    )
    return program


@external
def list_mirror(program: bytes32, url: String[256]):
    """
    @notice Say where the caller keeps a copy of a model for everybody. One place an account; a
            later one takes the place of an earlier one.
    @param program The model.
    @param url Where its package is, 1 to 256 bytes.
    """
    head: uint256 = self._head(program)
    assert len(url) != 0, "models: url is empty"
    if not self._mirrors[program][msg.sender]:
        assert head & _M24 != _M24, "models: too many mirrors"
        self._mirrors[program][msg.sender] = True
        self._heads[program] = unsafe_add(head, 1)
    log IGraphModels.MirrorListed(program=program, account=msg.sender, url=url)


@external
def unlist_mirror(program: bytes32):
    """
    @notice Take the caller's copy off the list. Running jobs go on.
    @param program The model.
    """
    assert self._mirrors[program][msg.sender], "models: no mirror of yours"
    self._mirrors[program][msg.sender] = False
    # SAFETY: the caller's own entry is one of those counted.
    self._heads[program] = unsafe_sub(self._heads[program], 1)
    log IGraphModels.MirrorUnlisted(program=program, account=msg.sender)


# ---- views


@external
@view
def facts(program: bytes32) -> (bytes32, uint256):
    """
    @notice What proofs need of a model.
    @param program The program id.
    @return The graph's root, and op_count 16 | levels 8 | max_units 16 | mirrors 24; zeros if it
            isn't registered.
    """
    return self._roots[program], self._heads[program]


@external
@view
def limits(program: bytes32) -> (uint256, uint256, bool):
    """
    @notice What a quote needs of a model. Reverts if it isn't registered.
    @param program The program id.
    @return The most units of a job, the levels of its trees, and whether enough copies are listed.
    """
    head: uint256 = self._head(program)
    return (head >> 24) & _M16, (head >> 40) & _M8, head & _M24 >= MIN_MIRRORS


@external
@view
def is_eligible(program: bytes32) -> bool:
    """
    @notice Whether a job may name a model: it is registered and enough copies are listed.
    @param program The program id.
    @return Whether it may.
    """
    head: uint256 = self._heads[program]
    return head != 0 and head & _M24 >= MIN_MIRRORS


@external
@view
def is_mirror(program: bytes32, account: address) -> bool:
    """
    @notice Whether an account lists a copy of a model.
    @param program The program id.
    @param account The account.
    @return Whether it does.
    """
    return self._mirrors[program][account]


@external
@view
def model_of(program: bytes32) -> IGraphModels.Model:
    """
    @notice A registered model; all zero if there is none.
    @param program The program id.
    @return Its root and dimensions, and how many copies are listed.
    """
    head: uint256 = self._heads[program]
    return IGraphModels.Model(
        graph_root=self._roots[program],
        op_count=head >> 48,
        levels=(head >> 40) & _M8,
        max_units=(head >> 24) & _M16,
        mirrors=head & _M24,
    )


# ---- internal


@internal
@view
def _head(program: bytes32) -> uint256:
    head: uint256 = self._heads[program]
    assert head != 0, "graph: model not registered"
    return head


@internal
@pure
def _height(leaves: uint256) -> uint256:
    return quads._depth_of(leaves) >> 1


@internal
@pure
def _check_view(view: uint256):
    """
    @dev The view of the input or of an output, which both have tensor 0.
    """
    assert view >> 56 == 0, "models: view has a tensor"
    # SAFETY: below the range wraps to above it.
    assert unsafe_sub(views._rows(view), 1) < _MAX_ROWS, "models: bad rows"
    assert unsafe_sub(views._width(view), 1) < _MAX_WIDTH, "models: bad width"
    size: uint256 = views._size(view)
    assert size == 1 or size == 2 or size == 4, "models: bad size"
