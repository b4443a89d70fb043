"""Bytes of tensors against a slow reading of the format."""

import numpy as np
import pytest

from headrace.graph import encoding


@pytest.mark.parametrize(("width", "size"), [(1, 32), (32, 32), (33, 64), (1_024, 1_024)])
def test_padded(width: int, size: int) -> None:
    assert encoding.padded(width) == size


@pytest.mark.parametrize("width", [1, 31, 32, 33, 100])
def test_rows_are_offset_binary_with_zero_padding(width: int) -> None:
    rng = np.random.default_rng(width)
    tensor = rng.integers(-128, 128, (3, width)).astype(np.int8)
    rows = encoding.encode_rows(tensor)
    for row, values in zip(rows, tensor.tolist(), strict=True):
        assert list(row[:width]) == [x + 128 for x in values]
        assert set(row[width:]) <= {128}
        assert len(row) == encoding.padded(width)
        assert encoding.has_zero_padding(row, width)
    assert encoding.decode_rows(rows, width).tolist() == tensor.tolist()
    assert encoding.encode_tensor(tensor) == b"".join(rows)


def test_a_transposed_tensor_is_read_by_its_rows() -> None:
    tensor = np.arange(6, dtype=np.int8).reshape(2, 3).T
    assert [list(row[:2]) for row in encoding.encode_rows(tensor)] == [
        [128, 131],
        [129, 132],
        [130, 133],
    ]


def test_mirror_swaps_groups_within_words() -> None:
    row = bytes(range(64))
    mirrored = encoding.mirror(row)
    assert mirrored[:8] == bytes([28, 29, 30, 31, 24, 25, 26, 27])
    assert mirrored[32:36] == bytes([60, 61, 62, 63])
    assert encoding.mirror(mirrored) == row


def test_padding_that_is_not_zero() -> None:
    row = bytearray(encoding.encode_rows(np.zeros((1, 3), np.int8))[0])
    row[31] = 129
    assert not encoding.has_zero_padding(bytes(row), 3)


@pytest.mark.parametrize(
    ("bias", "mult", "shift", "word"),
    [
        (0, 0, 1, 0x80000000_00000000_01),
        (-(1 << 30), (1 << 31) - 1, 62, 0x40000000_7FFFFFFF_3E),
        (1 << 30, 1, 8, 0xC0000000_00000001_08),
    ],
)
def test_parameter_word(bias: int, mult: int, shift: int, word: int) -> None:
    assert encoding.parameter_word(bias, mult, shift) == word
