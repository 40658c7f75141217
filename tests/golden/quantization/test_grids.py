"""Comparison grids against a search over all levels, and the quantizers on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.formats import DINT4, FP4, INT4, INT8
from dintmac.golden.quantization.grids import NF4, Codebook, parse_grid, whole_levels
from dintmac.golden.quantization.weights import (
    Granularity,
    ScaleSearch,
    quantize_weights,
    split_error,
)

UNEVEN = Codebook("uneven", (0.0, 3.0, -1.0, 0.5))


def nearest(levels, step):
    """The nearest level, of two equally near ones the one of greater magnitude."""
    return min(levels, key=lambda level: (abs(level - step), -abs(level)))


@given(st.floats(-10, 10), st.sampled_from([NF4, UNEVEN]))
def test_rounds_to_the_nearest_level(step, grid):
    steps = np.array([step])
    assert grid.round(steps)[0] == 2 * nearest(grid.levels, step)
    assert grid.decode(grid.encode(steps))[0] == grid.round(steps)[0]


def test_ties_go_away_from_zero_on_either_side():
    steps = np.array([0.25, -0.25, 0.75, -0.75, 2.5, -2.5, 5.0, -5.0, 9.0, -9.0])
    expected = [0.5, -0.5, 1, -1, 3, -3, 6, -6, 6, -6]
    assert (FP4.round(steps) / 2).tolist() == expected


def test_nf4_levels_are_integers_of_no_step():
    assert (NF4.half_steps % 1 != 0).sum() == 13
    assert (NF4.bits, UNEVEN.bits) == (4, 2)
    assert (NF4.minimum, NF4.maximum) == (-1, 1)


@pytest.mark.parametrize(("tolerance", "greatest"), [(0.05, 51), (0.01, 162)])
def test_whole_levels_are_the_smallest_within_the_tolerance(tolerance, greatest):
    whole = whole_levels(NF4, tolerance)
    assert np.abs(whole).max() == greatest
    assert whole[NF4.levels.index(0.0)] == 0

    def spread(factor):
        levels = np.array([level for level in NF4.levels if level])
        ratios = np.rint(levels * factor) / levels
        return ratios.max() / ratios.min() if ratios.min() > 0 else np.inf

    bound = (1 + tolerance) / (1 - tolerance)
    ratios = whole[whole != 0] / np.array([level for level in NF4.levels if level])
    assert ratios.max() / ratios.min() <= bound
    assert all(spread(factor) > bound for factor in np.arange(0.5, greatest - 0.5, 0.001))


def test_levels_that_are_whole_numbers_stay_as_they_are():
    assert whole_levels(UNEVEN, 0.001).tolist() == [0, 6, -2, 1]


@pytest.mark.parametrize("grid", [FP4, NF4])
@pytest.mark.parametrize("search", ScaleSearch)
def test_weights_are_quantized_to_the_nearest_levels_of_their_scale(grid, search):
    weights = np.random.default_rng(0).standard_t(4, (3, 24))
    quantized = quantize_weights(
        weights, grid, granularity=Granularity.GROUP, group_size=8, search=search
    )
    values = quantized.dequantize()
    for row, column in np.ndindex(weights.shape):
        scale = quantized.scale[row, column // 8]
        expected = scale * nearest(grid.half_steps / 2, weights[row, column] / scale)
        assert values[row, column] == pytest.approx(expected)
    assert split_error(weights, quantized).total < 0.03


def test_nf4_is_nearest_to_normal_weights_and_fp4_next():
    weights = np.random.default_rng(1).standard_normal((32, 256))
    nf4, fp4, int4 = (split_error(weights, quantize_weights(weights, g)) for g in (NF4, FP4, INT4))
    assert nf4.total < fp4.total < int4.total


def test_names_are_read_in_any_case():
    assert parse_grid("FP4") == FP4
    assert parse_grid("nf4") is NF4
    assert (parse_grid("dint4"), parse_grid("INT4"), parse_grid("int8")) == (DINT4, INT4, INT8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: parse_grid("fp8"),
            ValueError,
            "format must be int2 to int8, dint3 to dint8, fp4 or nf4, not 'fp8'",
        ),
        (
            lambda: whole_levels(NF4, 0.0),
            ValueError,
            "tolerance must be above 0 and below 1, not 0.0",
        ),
        (
            lambda: Codebook("x", (-1.0, 0.0, 1.0)),
            ValueError,
            "levels must be a power of two up to 256 in number, not 3",
        ),
        (
            lambda: Codebook("x", (-1.0, 0.0, 1.0, float("nan"))),
            ValueError,
            "levels must be finite, not",
        ),
        (
            lambda: Codebook("x", (0.0, 0.5, 1.0, 2.0)),
            ValueError,
            "levels must lie on both sides of 0 and contain it",
        ),
        (
            lambda: NF4.decode(np.array([16], dtype=np.uint8)),
            ValueError,
            "NF4 codes must be 0 to 15, not 16",
        ),
        (
            lambda: NF4.decode(np.zeros(1, dtype=np.int8)),
            TypeError,
            "NF4 codes must be a uint8 array, not int8",
        ),
        (
            lambda: NF4.encode(np.array([np.nan])),
            ValueError,
            "values to encode must be finite, not NaN or infinite",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
