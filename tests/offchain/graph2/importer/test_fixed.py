"""Fixed-point words: as near as the bits allow, within the format's bounds, refused beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.graph.errors import ModelError
from headrace.graph2.importer.fixed import fixed_point, grid, offset_params, params, scale, table
from headrace.graph2.operators import MAX_BIAS, MAX_MULT, MAX_SHIFT

FACTORS = st.floats(2.0**-70, 2.0**29 - 1) | st.floats(-(2.0**29) + 1, -(2.0**-70))


@given(FACTORS)
def test_fixed_point_is_as_near_as_its_bits_allow(factor: float) -> None:
    mult, shift = fixed_point(factor)
    assert abs(mult) <= MAX_MULT
    assert 1 <= shift <= MAX_SHIFT
    assert abs(mult / 2**shift - factor) <= max(abs(factor) * 2.0**-29, 2.0**-63)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.0, (0, 1)),
        (1.0, (1 << 29, 29)),
        (-1.0, (-(1 << 29), 29)),
        (2.0**-40, (1 << 22, 62)),
        (2.0**-64, (0, 62)),
        (2.0**29 - 1, ((1 << 30) - 2, 1)),
    ],
)
def test_fixed_point_at_the_edges(factor: float, expected: tuple[int, int]) -> None:
    assert fixed_point(factor) == expected


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -float("inf"), 2.0**29, -(2.0**40)])
def test_no_fixed_point(factor: float) -> None:
    with pytest.raises(ModelError):
        fixed_point(factor)


@given(st.floats(-1e30, 1e30, allow_subnormal=False))
def test_grid_keeps_nine_bits_and_takes_noise_away(value: float) -> None:
    kept = float(grid(value))
    assert abs(kept - value) <= abs(value) * 2.0**-9
    assert float(grid(kept)) == kept
    assert float(grid(kept * (1 + 1e-12))) == kept


def test_params_refuse_what_does_not_fit_beside_a_factor() -> None:
    assert params(0.5, MAX_BIAS).at(0) == (MAX_BIAS, 1 << 29, 30)
    with pytest.raises(ModelError, match="bias"):
        params(0.5, MAX_BIAS + 1)
    with pytest.raises(ModelError, match="bias"):
        params(0.5, float("nan"))


def test_offset_of_a_column_that_has_no_factor() -> None:
    offsets = [5.0, -5.0, 8.0, 32_767.0, 0.0]
    words = offset_params([0.0, -1e-12, 2.0, 0.0, 0.0], offsets)
    for column, expected in enumerate(offsets):
        bias, mult, shift = words.at(column)
        for acc in (0, 1 << 14, -(1 << 14)) if column != 2 else (0,):
            made = ((acc + bias) * mult + (1 << (shift - 1))) >> shift
            assert abs(made - expected) <= 1
        assert column == 3 or (bias * mult + (1 << (shift - 1))) >> shift == expected


def test_scale_of_nothing_is_one() -> None:
    assert scale([0.0, 127.0]).tolist() == [1.0, 1.0]


def test_tables_saturate() -> None:
    assert table([1e9, -1e9, 1.5, -0.4], 2).tolist() == [32_767, -32_768, 2, 0]
    assert table([np.inf, -np.inf], 1).tolist() == [127, -128]
