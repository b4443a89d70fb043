# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Int8 lanes
@license AGPL-3.0-only
@notice Dot products and requantisation of int8 rows, exact (docs/int8-graph.md).
@dev Stateless. Rows are offset-binary (element x is the byte x + 128) and padded to whole words. A
     word is taken as eight lanes of 32 bits, one byte in each, four times over; weight words have
     their eight 4-byte groups mirrored, so that the top lane of a product of two words is the sum
     of the eight products of lanes that belong together: eight multiply-adds for one MUL.
"""

# The lowest byte of every lane.
_LOW: constant(uint256) = 6874786401724074090536375359574284372422408885825600641753357966377215
# One in every lane: a product with it has the sum of all lanes in its top lane.
_ONES: constant(uint256) = 26959946673427741531515197488526605382048662297355296634326893985793
# The byte 128 in every place: a word of zero elements.
_ZEROS: constant(
    uint256
) = 58123087930888129467517984631811969432229639361576439988433610796128943505536
_HIGH_64: constant(
    uint256
) = 115792089237316195417293883273301227089774477609353836086800156426807153786880
_HIGH_32: constant(
    uint256
) = 115792089210356248762697446947946071893095522863849111501270640965525260206080

_MAX_BIAS: constant(int256) = 2**30
_BIAS_OFFSET: constant(int256) = 2**31
_MAX_MULT: constant(uint256) = 2**31 - 1
_MAX_SHIFT: constant(uint256) = 62
_M32: constant(uint256) = 2**32 - 1


@internal
@pure
def _padded(width: uint256) -> uint256:
    # Bytes of a row of `width` elements, which is at most 1,024.
    return unsafe_add(width, 31) & ~convert(31, uint256)


@internal
@pure
def _element(row: Bytes[1024], column: uint256) -> int256:
    """
    @dev The element at `column`, which may lie in the padding.
    """
    # SAFETY: extract32 reverts past the end; a byte of a word, less 128.
    word: uint256 = extract32(row, column & ~convert(31, uint256), output_type=uint256)
    byte: uint256 = (word >> unsafe_mul(8, unsafe_sub(31, column & 31))) & 255
    return unsafe_sub(convert(byte, int256), 128)


@internal
@pure
def _mirror(word: uint256) -> uint256:
    # Group i of the eight 4-byte groups goes to place 7 - i: swap halves, quarters, eighths.
    w: uint256 = (word >> 128) | (word << 128)
    w = ((w & _HIGH_64) >> 64) | ((w << 64) & _HIGH_64)
    return ((w & _HIGH_32) >> 32) | ((w << 32) & _HIGH_32)


@internal
@pure
def _has_zero_padding(weights: Bytes[1024], width: uint256) -> bool:
    """
    @dev Whether the padding of a row of weights is all zero elements, so that whatever a source row
         has in its own padding can't count. Wants len(weights) = padded(width).
    """
    # SAFETY: width is 1 to 1,024; a whole last word gives an empty mask.
    used: uint256 = unsafe_add(unsafe_sub(width, 1) & 31, 1)
    mask: uint256 = self._mirror(max_value(uint256) >> unsafe_mul(8, used))
    last: uint256 = extract32(weights, unsafe_sub(len(weights), 32), output_type=uint256)
    return (last ^ _ZEROS) & mask == 0


@internal
@pure
def _dot(row: Bytes[1024], weights: Bytes[1024]) -> int256:
    """
    @dev The dot product of two rows of equal padded length. Wants the padding of one of them zero.
    """
    size: uint256 = len(row)
    assert size == len(weights) and size & 31 == 0, "lanes: rows do not match"
    dot: uint256 = 0
    row_sum: uint256 = 0
    weight_sum: uint256 = 0
    # SAFETY: the top lane gets at most 1,024 products of 255 * 255 (66,585,600 < 2^32), each lane
    # below it fewer, so nothing is carried into it; what is above it is cut mod 2^256. Sums of
    # bytes are smaller yet.
    for i: uint256 in range(size >> 5, bound=32):
        w: uint256 = extract32(row, i << 5, output_type=uint256)
        v: uint256 = extract32(weights, i << 5, output_type=uint256)
        w0: uint256 = w & _LOW
        w1: uint256 = (w >> 8) & _LOW
        w2: uint256 = (w >> 16) & _LOW
        w3: uint256 = (w >> 24) & _LOW
        v0: uint256 = v & _LOW
        v1: uint256 = (v >> 8) & _LOW
        v2: uint256 = (v >> 16) & _LOW
        v3: uint256 = (v >> 24) & _LOW
        dot = unsafe_add(
            dot,
            unsafe_add(
                unsafe_add(unsafe_mul(w0, v0), unsafe_mul(w1, v1)),
                unsafe_add(unsafe_mul(w2, v2), unsafe_mul(w3, v3)),
            ),
        )
        row_sum = unsafe_add(row_sum, unsafe_add(unsafe_add(w0, w1), unsafe_add(w2, w3)))
        weight_sum = unsafe_add(weight_sum, unsafe_add(unsafe_add(v0, v1), unsafe_add(v2, v3)))
    sums: uint256 = unsafe_add(
        unsafe_mul(row_sum, _ONES) >> 224, unsafe_mul(weight_sum, _ONES) >> 224
    )
    # sum (a - 128)(b - 128) = sum ab - 128 (sum a + sum b) + 128 * 128 * size, all under 2^40.
    return unsafe_sub(
        convert(unsafe_add(dot >> 224, unsafe_mul(size, 16_384)), int256),
        convert(unsafe_mul(sums, 128), int256),
    )


@internal
@pure
def _requantise(dot: int256, params: uint256, clamp: uint256) -> int256:
    """
    @dev y = clamp(((dot + bias) * mult + 2^(shift-1)) >> shift, lo, hi), >> is floor. Reverts on a
         parameter word that is out of bounds: what a registrant got wrong convicts nobody.
    """
    assert params >> 72 == 0, "lanes: spare bits in params"
    bias: int256 = unsafe_sub(convert(params >> 40, int256), _BIAS_OFFSET)
    mult: uint256 = (params >> 8) & _M32
    places: uint256 = params & 255
    assert -_MAX_BIAS <= bias and bias <= _MAX_BIAS, "lanes: bias out of bounds"
    assert mult <= _MAX_MULT, "lanes: mult out of bounds"
    assert places != 0 and places <= _MAX_SHIFT, "lanes: shift out of bounds"
    # SAFETY: |dot + bias| < 2^31 and mult < 2^31, the half is at most 2^61: int64 would do.
    scaled: int256 = unsafe_mul(unsafe_add(dot, bias), convert(mult, int256))
    half: int256 = convert(1, int256) << unsafe_sub(places, 1)
    # ROUNDING: half up, by the floor of an arithmetic shift.
    y: int256 = unsafe_add(scaled, half) >> places
    low: int256 = unsafe_sub(convert(clamp >> 8, int256), 128)
    high: int256 = unsafe_sub(convert(clamp & 255, int256), 128)
    return max(low, min(y, high))
