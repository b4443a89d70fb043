# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Views
@license AGPL-3.0-only
@notice Where in the trees of a claim something has to be, and what it looks like
        (docs/int8-graph-2.md, Tensors and Trees).
@dev Stateless. Places follow from the claim's shape, never from the length of what a prover sends.
     Views are those of a registered model: their bounds were checked at registration.
"""

from contracts.modules import quads


# The shape of a claim's trees.
struct Shape:
    units: uint256
    op_depth: uint256  # levels of four over the operators
    input_id: bytes32
    commitment: bytes32


# How a tensor lies in its leaves.
struct Layout:
    split: uint256  # leaves in a row
    block: uint256  # columns in a leaf
    pack: uint256  # rows in a leaf
    part: uint256  # bytes that one row has in one leaf
    leaves: uint256  # how many there are


# One opening: the bytes of a leaf, of all the leaves of a row, or of a node, and its siblings.
struct Place:
    root: bytes32  # where the siblings lead
    index: uint256  # place among the nodes of its level
    start: uint256  # where in the openings its data begin
    length: uint256  # bytes of its data
    middle: uint256  # where its siblings begin
    siblings: uint256  # bytes of its siblings
    end: uint256  # where the next opening begins
    offset: uint256  # where in the data the element or the row is
    split: uint256  # leaves that the data are
    block: uint256  # columns in a leaf
    size: uint256  # bytes in an element


# What no byte is.
NO_PADDING: constant(uint256) = 256
_M8: constant(uint256) = 2**8 - 1
_M16: constant(uint256) = 2**16 - 1
_M32: constant(uint256) = 2**32 - 1


@internal
@pure
def _tensor(view: uint256) -> uint256:
    return view >> 56


@internal
@pure
def _rows(view: uint256) -> uint256:
    return (view >> 24) & _M32


@internal
@pure
def _width(view: uint256) -> uint256:
    return (view >> 8) & _M16


@internal
@pure
def _size(view: uint256) -> uint256:
    return view & _M8


@internal
@pure
def _padded(count: uint256) -> uint256:
    # SAFETY: counts are at most 4,096.
    return unsafe_add(count, 31) & ~convert(31, uint256)


@internal
@pure
def _layout(view: uint256, units: uint256) -> Layout:
    """
    @dev How the tensor of this view lies at that many units.
    """
    width: uint256 = self._width(view)
    size: uint256 = self._size(view)
    # SAFETY: a registered view has width 1 to 4,096, size 1, 2 or 4, rows below 2^16; units are
    # below 2^32.
    layout: Layout = Layout(split=1, block=self._padded(width), pack=1, part=0, leaves=0)
    total: uint256 = unsafe_mul(size, layout.block)
    if total > 1_024:
        layout.split = 4 if total <= 4_096 else 16
        layout.block = self._padded(
            unsafe_div(unsafe_add(width, unsafe_sub(layout.split, 1)), layout.split)
        )
    layout.part = unsafe_mul(size, layout.block)
    if layout.split == 1:
        # The part is 32 at least, so 16 rows at most.
        for _: uint256 in range(4):
            if unsafe_mul(layout.part, layout.pack) > 256:
                break
            layout.pack = layout.pack << 1
    rows: uint256 = unsafe_mul(self._rows(view), units)
    layout.leaves = unsafe_mul(
        unsafe_div(unsafe_add(rows, unsafe_sub(layout.pack, 1)), layout.pack), layout.split
    )
    return layout


@internal
@pure
def _place(
    shape: Shape, view: uint256, row: uint256, column: uint256, start: uint256, given: uint256
) -> Place:
    """
    @dev The leaf that holds element (row, column), as the opening that begins at `start` of `given`
         bytes.
    """
    layout: Layout = self._layout(view, shape.units)
    self._check_position(shape, view, row, column)
    # SAFETY: here and below, all are numbers of rows, leaves or bytes of a tensor, under 2^60.
    leaf: uint256 = unsafe_add(
        unsafe_mul(unsafe_div(row, layout.pack), layout.split), unsafe_div(column, layout.block)
    )
    place: Place = self._under(shape, view, layout, leaf, quads._depth_of(layout.leaves))
    # One leaf, also of a row that has more.
    place.split = 1
    place.offset = unsafe_add(
        unsafe_mul(row & unsafe_sub(layout.pack, 1), layout.part), column % layout.block
    )
    return self._opened(place, start, unsafe_mul(layout.pack, layout.part), given)


@internal
@pure
def _row_place(shape: Shape, view: uint256, row: uint256, start: uint256, given: uint256) -> Place:
    """
    @dev The leaf that holds the row or, where a row is split, the node over its leaves.
    """
    layout: Layout = self._layout(view, shape.units)
    self._check_position(shape, view, row, 0)
    # A split row has a subtree of its own: one level over 4 leaves, two over 16.
    level: uint256 = 0
    if layout.split != 1:
        level = 1 if layout.split == 4 else 2
    depth: uint256 = unsafe_sub(quads._depth_of(layout.leaves), level)
    place: Place = self._under(shape, view, layout, unsafe_div(row, layout.pack), depth)
    place.offset = unsafe_mul(row & unsafe_sub(layout.pack, 1), layout.part)
    length: uint256 = unsafe_mul(unsafe_mul(layout.pack, layout.part), layout.split)
    return self._opened(place, start, length, given)


@internal
@pure
def _leaf_place(shape: Shape, view: uint256, leaf: uint256) -> Place:
    """
    @dev The leaf of that number, at the start of the openings; `end` is left to the caller.
    """
    layout: Layout = self._layout(view, shape.units)
    assert leaf < layout.leaves, "graph: no such leaf"
    place: Place = self._under(shape, view, layout, leaf, quads._depth_of(layout.leaves))
    place.length = unsafe_mul(layout.pack, layout.part)
    return place


@internal
@pure
def _unused_node(
    shape: Shape, view: uint256, op_count: uint256, level: uint256, index: uint256
) -> Place:
    """
    @dev A node that covers only unused places of a tensor's tree or, with view 0, of the trace's
         own; the caller opens it.
    """
    layout: Layout = empty(Layout)
    depth: uint256 = shape.op_depth
    used: uint256 = op_count
    if view != 0:
        layout = self._layout(view, shape.units)
        depth = quads._depth_of(layout.leaves)
        used = layout.leaves
    assert level <= depth, "graph: no such level"
    # SAFETY: level is at most depth, which is at most 14.
    depth = unsafe_sub(depth, level)
    assert index >> unsafe_mul(2, depth) == 0, "graph: no such node"
    assert index << unsafe_mul(2, level) >= used, "graph: node has places in use"
    if view != 0:
        return self._under(shape, view, layout, index, depth)
    place: Place = empty(Place)
    place.root = shape.commitment
    place.index = index
    place.siblings = unsafe_mul(96, depth)
    return place


@internal
@pure
def _check_position(shape: Shape, view: uint256, row: uint256, column: uint256):
    assert row < unsafe_mul(self._rows(view), shape.units), "graph: no such row"
    assert column < self._width(view), "graph: no such column"


@internal
@pure
def _under(shape: Shape, view: uint256, layout: Layout, index: uint256, depth: uint256) -> Place:
    """
    @dev The node `depth` levels under a tensor's root: tensor 0 is proven to the job's input, the
         output of an operator on through the trace's own tree to the commitment.
    """
    tensor: uint256 = self._tensor(view)
    place: Place = empty(Place)
    place.root = shape.input_id
    place.index = index
    place.siblings = unsafe_mul(96, depth)
    place.split = layout.split
    place.block = layout.block
    place.size = self._size(view)
    if tensor != 0:
        # SAFETY: tensor is not zero; depths are at most 14.
        place.root = shape.commitment
        place.index = index | (unsafe_sub(tensor, 1) << unsafe_mul(2, depth))
        place.siblings = unsafe_mul(96, unsafe_add(depth, shape.op_depth))
    return place


@internal
@pure
def _opened(place: Place, start: uint256, length: uint256, given: uint256) -> Place:
    """
    @dev The place as an opening of `length` bytes and its siblings from `start` on; `given` is how
         many bytes there are.
    """
    opened: Place = place
    opened.start = start
    opened.length = length
    opened.middle = unsafe_add(start, length)
    opened.end = unsafe_add(opened.middle, place.siblings)
    assert opened.end <= given, "graph: openings too short"
    return opened


@internal
@pure
def _padding_at(shape: Shape, view: uint256, leaf: uint256, offset: uint256) -> uint256:
    """
    @dev What the byte at `offset` of a leaf must be if it is padding, and 256 if it isn't. Wants a
         leaf of the tensor, and an offset within it.
    """
    layout: Layout = self._layout(view, shape.units)
    row: uint256 = unsafe_add(
        unsafe_mul(unsafe_div(leaf, layout.split), layout.pack), unsafe_div(offset, layout.part)
    )
    in_row: uint256 = offset % layout.part
    column: uint256 = unsafe_add(
        unsafe_mul(leaf % layout.split, layout.block), in_row % layout.block
    )
    if column < self._width(view) and row < unsafe_mul(self._rows(view), shape.units):
        return NO_PADDING
    # Plane 0 of the element 0 is 128, the others are 0.
    return 128 if in_row < layout.block else 0


# ---- the bytes of an opening


@internal
@pure
def _check_root(place: Place, root: bytes32):
    assert root == place.root, "graph: not in the tree"


@internal
@pure
def _check_node(place: Place, node: bytes32, siblings: Bytes[quads.MAX_SIBLINGS]):
    """
    @dev Whether the siblings lead from the node to where they have to.
    """
    self._check_root(place, quads._climb(node, place.index, siblings))
