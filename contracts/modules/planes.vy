# pragma version 0.4.3
# pragma nonreentrancy off
"""
@title Planes
@license AGPL-3.0-only
@notice Elements and rows of tensors whose numbers are cut into planes of bytes, offset-binary, and
        the operators' last step (docs/int8-graph-2.md, Tensors and Descriptors).
@dev Stateless. Dot products take a word as eight lanes of 32 bits, one byte in each, four times
     over; one side's eight 4-byte groups are mirrored, so that the top lane of a product of two
     words is the sum of the eight products of lanes that belong together.
"""

# Sums over a part of two rows: of the products, and of each side.
struct Sums:
    products: uint256
    left: uint256
    right: uint256


MAX_PLANE: constant(uint256) = 4_096
# The lowest byte of every lane of 32 bits, and of every lane of 16.
LOW: constant(uint256) = 6874786401724074090536375359574284372422408885825600641753357966377215
LOW_16: constant(
    uint256
) = 450552876409790643671482431940419874915447411150352389258589821042463539455
# The lower half of every lane of 32 bits.
_HALF: constant(uint256) = 1766820105243087041267848467410591083712559083657179364930612997358944255
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

_M8: constant(uint256) = 2**8 - 1
_M32: constant(uint256) = 2**32 - 1
_OFFSET: constant(int256) = 2**31
_SATURATED: constant(int256) = 2**30
_MAX_BIAS: constant(int256) = 2**30
_MAX_MULT: constant(int256) = 2**31 - 1
_MAX_SHIFT: constant(uint256) = 62


# ---- elements


@internal
@pure
def _byte(data: Bytes[1024], offset: uint256) -> uint256:
    """
    @dev Wants whole words of data.
    """
    word: uint256 = extract32(data, offset & ~convert(31, uint256), output_type=uint256)
    return (word >> unsafe_mul(8, unsafe_sub(31, offset & 31))) & _M8


@internal
@pure
def _element(data: Bytes[1024], offset: uint256, step: uint256, size: uint256) -> int256:
    """
    @dev The element whose byte of plane 0 is at `offset`, those of the others `step` bytes
         further each.
    """
    # SAFETY: extract32 reverts past the end; at most four bytes make a number below 2^32.
    at: uint256 = offset & ~convert(31, uint256)
    places: uint256 = unsafe_mul(8, unsafe_sub(31, offset & 31))
    unsigned: uint256 = 0
    for _: uint256 in range(size, bound=4):
        word: uint256 = extract32(data, at, output_type=uint256)
        unsigned = (unsigned << 8) | ((word >> places) & _M8)
        at = unsafe_add(at, step)
    return self._signed(unsigned, size)


@internal
@pure
def _signed(unsigned: uint256, size: uint256) -> int256:
    """
    @dev The element that the unsigned number of `size` bytes stands for.
    """
    # SAFETY: size is 1, 2 or 4 and the number below 2^32.
    return unsafe_sub(convert(unsigned, int256), self._half_of(size))


# ---- rows


@internal
@pure
def _mirror(word: uint256) -> uint256:
    # Group i of the eight 4-byte groups goes to place 7 - i: swap halves, quarters, eighths.
    w: uint256 = (word >> 128) | (word << 128)
    w = ((w & _HIGH_64) >> 64) | ((w << 64) & _HIGH_64)
    return ((w & _HIGH_32) >> 32) | ((w << 32) & _HIGH_32)


@internal
@pure
def _check_padding(last: uint256, width: uint256):
    """
    @dev Whether the last word of a row of weights has only zero elements in its padding, so that
         whatever another row has in its own padding can't count.
    """
    # SAFETY: width is 1 to 4,096; a whole last word gives an empty mask.
    used: uint256 = unsafe_add(unsafe_sub(width, 1) & 31, 1)
    mask: uint256 = self._mirror(max_value(uint256) >> unsafe_mul(8, used))
    assert (last ^ _ZEROS) & mask == 0, "graph: ill-formed weights"


@internal
@pure
def _sums(left: Bytes[MAX_PLANE], right: Bytes[MAX_PLANE], count: uint256) -> Sums:
    """
    @dev The sums over the first `count` bytes, unsigned, of two planes of padded(count) bytes; what
         is behind them doesn't count. Neither side is mirrored.
    """
    # SAFETY: as in GraphRules: no lane of 32 bits is carried over by 4,096 products, and no lane of
    # 16 by two bytes of each of 128 words.
    products: uint256 = 0
    left_sums: uint256 = 0
    right_sums: uint256 = 0
    words: uint256 = unsafe_add(count, 31) >> 5
    for i: uint256 in range(words, bound=128):
        x: uint256 = extract32(left, i << 5, output_type=uint256)
        y: uint256 = extract32(right, i << 5, output_type=uint256)
        if unsafe_add(i, 1) == words and count & 31 != 0:
            mask: uint256 = ~(max_value(uint256) >> unsafe_mul(8, count & 31))
            x = x & mask
            y = y & mask
        y = self._mirror(y)
        products = unsafe_add(
            products,
            unsafe_add(
                unsafe_add(
                    unsafe_mul(x & LOW, y & LOW),
                    unsafe_mul((x >> 8) & LOW, (y >> 8) & LOW),
                ),
                unsafe_add(
                    unsafe_mul((x >> 16) & LOW, (y >> 16) & LOW),
                    unsafe_mul((x >> 24) & LOW, (y >> 24) & LOW),
                ),
            ),
        )
        left_sums = unsafe_add(left_sums, unsafe_add(x & LOW_16, (x >> 8) & LOW_16))
        right_sums = unsafe_add(right_sums, unsafe_add(y & LOW_16, (y >> 8) & LOW_16))
    return Sums(
        products=products >> 224,
        left=self._lanes_16(left_sums),
        right=self._lanes_16(right_sums),
    )


@internal
@pure
def _half_of(size: uint256) -> int256:
    """
    @dev What is added to an element of `size` bytes, 1 to 4, to make it unsigned.
    """
    return convert(1, int256) << unsafe_sub(unsafe_mul(8, size), 1)


@internal
@pure
def _signed_sum(sum: uint256, size: uint256, count: uint256) -> int256:
    """
    @dev The sum of `count` elements of `size` bytes whose unsigned numbers have that sum.
    """
    # SAFETY: at most 4,096 numbers of 16 bits.
    return unsafe_sub(convert(sum, int256), unsafe_mul(self._half_of(size), convert(count, int256)))


@internal
@pure
def _signed_products(
    products: uint256,
    left_sum: uint256,
    right_sum: uint256,
    left_size: uint256,
    right_size: uint256,
    count: uint256,
) -> int256:
    """
    @dev The dot product of two rows of `count` elements, from the sums of their unsigned numbers.
    """
    # SAFETY: sum (x - p)(y - q) = sum xy - q sum x - p sum y + pqn, all under 2^46.
    p: int256 = self._half_of(left_size)
    q: int256 = self._half_of(right_size)
    crossed: int256 = unsafe_add(
        unsafe_mul(q, convert(left_sum, int256)), unsafe_mul(p, convert(right_sum, int256))
    )
    constant_term: int256 = unsafe_mul(unsafe_mul(p, q), convert(count, int256))
    return unsafe_add(unsafe_sub(convert(products, int256), crossed), constant_term)


@internal
@pure
def _lanes_16(sums: uint256) -> uint256:
    """
    @dev The sum of sixteen lanes of 16 bits.
    """
    return unsafe_mul(unsafe_add(sums & _HALF, (sums >> 16) & _HALF), _ONES) >> 224


# ---- the last step of an operator


@internal
@pure
def _low(post: uint256) -> int256:
    # SAFETY: a number of 32 bits.
    return unsafe_sub(convert(post >> 224, int256), _OFFSET)


@internal
@pure
def _clamp(number: int256, post: uint256) -> int256:
    # SAFETY: a registered clamp has two numbers of 32 bits, the least and the greatest output.
    high: int256 = unsafe_sub(convert((post >> 192) & _M32, int256), _OFFSET)
    return max(self._low(post), min(high, number))


@internal
@pure
def _saturate(acc: int256) -> int256:
    return max(-_SATURATED, min(_SATURATED, acc))


@internal
@pure
def _requantise(acc: int256, word: uint256, post: uint256) -> int256:
    """
    @dev Q of the format. Reverts on a parameter word that is out of bounds: what a registrant got
         wrong convicts nobody.
    """
    assert word >> 72 == 0, "graph: spare bits in a word"
    bias: int256 = unsafe_sub(convert(word >> 40, int256), _OFFSET)
    mult: int256 = unsafe_sub(convert((word >> 8) & _M32, int256), _OFFSET)
    places: uint256 = word & _M8
    assert -_MAX_BIAS <= bias and bias <= _MAX_BIAS, "graph: bias out of bounds"
    assert -_MAX_MULT <= mult, "graph: mult out of bounds"
    assert places != 0 and places <= _MAX_SHIFT, "graph: shift out of bounds"
    # SAFETY: |acc + bias| is at most 2^31 and |mult| under 2^31, the half at most 2^61.
    scaled: int256 = unsafe_mul(unsafe_add(self._saturate(acc), bias), mult)
    half: int256 = convert(1, int256) << unsafe_sub(places, 1)
    # ROUNDING: half up, by the floor of an arithmetic shift.
    return self._clamp(unsafe_add(scaled, half) >> places, post)
