"""Affine INT8 quantization against exact fractions, and the calibration of its range."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.quantization.activations import (
    AffineQuantizer,
    Calibration,
    calibrate,
    calibrate_dynamic,
)


def round_away(value: Fraction) -> int:
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


@given(
    x=st.integers(-2000, 2000),
    scale_exponent=st.integers(-6, 6),
    zero_point=st.integers(-128, 127),
)
def test_quantizes_as_the_formula_says(x, scale_exponent, zero_point):
    # A scale that is a power of two keeps x / S exact, so that ties are ties.
    quantizer = AffineQuantizer(np.array(2.0**scale_exponent), np.array(zero_point))
    steps = Fraction(x, 4) / Fraction(2) ** scale_exponent
    expected = min(max(round_away(steps) + zero_point, -128), 127)
    code = quantizer.quantize(np.array([x / 4]))
    assert code.dtype == np.int8
    assert code.tolist() == [expected]
    value = Fraction(2) ** scale_exponent * (expected - zero_point)
    assert quantizer.dequantize(code).tolist() == [float(value)]


@given(low=st.floats(-1e3, -1e-3), high=st.floats(1e-3, 1e3))
def test_range_spans_all_codes_and_zero_is_exact(low, high):
    quantizer = AffineQuantizer.from_range(low, high)
    ends = quantizer.quantize(np.array([low, high])).astype(int)
    assert ends[0] <= -127
    assert ends[1] >= 126
    zero = quantizer.quantize(np.array([0.0]))
    assert zero == quantizer.zero_point
    assert quantizer.dequantize(zero) == 0


@given(low=st.floats(-10, 0), high=st.floats(0, 10), inside=st.floats(0, 1), width=st.just(1 / 255))
def test_error_inside_the_range_is_at_most_one_step(low, high, inside, width):
    quantizer = AffineQuantizer.from_range(low, high)
    x = np.array([low + inside * (high - low)])
    error = np.abs(quantizer.dequantize(quantizer.quantize(x)) - x)
    # Half a step of x and half a step of the zero point.
    assert error <= max((high - low) * width, 1e-12) * (1 + 1e-9)


def test_symmetric_range_has_no_zero_point_and_its_limit_is_127():
    quantizer = AffineQuantizer.symmetric(2.54)
    assert quantizer.zero_point == 0
    assert quantizer.scale == pytest.approx(0.02)
    assert quantizer.quantize(np.array([2.54, -2.54, 3.0, -3.0])).tolist() == [127, -127, 127, -128]


def test_nothing_but_zeros_has_a_scale_of_one():
    zeros = np.zeros(4, dtype=np.float32)
    for symmetric in (False, True):
        for method in Calibration:
            quantizer = calibrate([zeros], method=method, symmetric=symmetric)
            assert quantizer.scale == 1
            assert (quantizer.dequantize(quantizer.quantize(zeros)) == 0).all()


def test_min_max_takes_the_extremes_of_all_batches():
    quantizer = calibrate([np.array([-1.5, 0.5]), np.array([[2.5], [1.0]])])
    assert quantizer.scale == pytest.approx(4 / 255)
    assert quantizer.zero_point == -32


def test_min_max_is_widened_to_contain_zero():
    assert calibrate([np.array([1.0, 2.0])]).scale == pytest.approx(2 / 255)
    assert calibrate([np.array([-1.0, -2.0])]).scale == pytest.approx(2 / 255)


def test_percentile_leaves_outliers_out():
    values = np.concatenate([np.linspace(-1, 1, 10_001), [1000.0]])
    quantizer = calibrate([values], method=Calibration.PERCENTILE, percentile=99.9)
    assert quantizer.scale == pytest.approx(2 / 255, rel=0.01)
    symmetric = calibrate([values], method=Calibration.PERCENTILE, percentile=99.9, symmetric=True)
    assert symmetric.scale == pytest.approx(1 / 127, rel=0.01)


def test_percentile_of_100_is_min_max():
    values = np.random.default_rng(5).standard_normal(100)
    exact = calibrate([values])
    full = calibrate([values], method=Calibration.PERCENTILE, percentile=100.0)
    assert (full.scale, full.zero_point) == (exact.scale, exact.zero_point)


@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_takes_the_best_fraction_of_the_range(symmetric):
    values = np.append(np.random.default_rng(6).standard_normal(100_000), 9.0)
    low, high = values.min(), values.max()

    def error(quantizer):
        return np.mean((quantizer.dequantize(quantizer.quantize(values)) - values) ** 2)

    def candidate(fraction):
        if symmetric:
            return AffineQuantizer.symmetric(fraction * max(-low, high))
        return AffineQuantizer.from_range(fraction * low, fraction * high)

    chosen = calibrate([values], method=Calibration.MSE, symmetric=symmetric)
    errors = [error(candidate(percent / 100)) for percent in range(20, 101)]
    assert error(chosen) == min(errors) < 0.9 * errors[-1]


def test_dynamic_ranges_are_those_of_each_token():
    tokens = np.array([[[-1.5, 2.5], [0.0, 0.0], [1.0, 2.0]]], dtype=np.float32)
    quantizer = calibrate_dynamic(tokens)
    assert quantizer.scale.shape == (1, 3, 1)
    np.testing.assert_allclose(quantizer.scale.ravel(), [4 / 255, 1, 2 / 255])
    for i in range(3):
        alone = calibrate([tokens[0, i]])
        assert quantizer.quantize(tokens)[0, i].tolist() == alone.quantize(tokens[0, i]).tolist()


def test_dynamic_symmetric_limits_are_those_of_each_token():
    quantizer = calibrate_dynamic(np.array([[-1.27, 0.5], [0.3, 2.54]]), symmetric=True)
    np.testing.assert_allclose(quantizer.scale, [[0.01], [0.02]])
    assert not quantizer.zero_point.any()


ONE, ZERO = np.array(1.0), np.array(0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: AffineQuantizer(1.0, ZERO),
            TypeError,
            "scale must be an array of float64, not float",
        ),
        (
            lambda: AffineQuantizer(ONE, np.array(0.0)),
            TypeError,
            "zero_point must be an array of int64, not float64",
        ),
        (
            lambda: AffineQuantizer(np.array([-1.0]), np.array([0])),
            ValueError,
            "scale must be positive, not -1.0",
        ),
        (
            lambda: AffineQuantizer(np.array([np.inf]), np.array([0])),
            ValueError,
            "scale must be finite, not NaN or infinite",
        ),
        (
            lambda: AffineQuantizer(np.array([1.0]), ZERO),
            ValueError,
            r"scale and zero_point must have the same shape, not \(1,\) and \(\)",
        ),
        (
            lambda: AffineQuantizer(ONE, np.array(128)),
            ValueError,
            "zero_point must be -128 to 127, not 128",
        ),
        (
            lambda: AffineQuantizer.from_range(1.0, 2.0),
            ValueError,
            r"range must be finite and contain 0, not \[1.0, 2.0\]",
        ),
        (
            lambda: AffineQuantizer.from_range(-1.0, np.nan),
            ValueError,
            r"range must be finite and contain 0, not \[-1.0, nan\]",
        ),
        (
            lambda: AffineQuantizer.symmetric(-1.0),
            ValueError,
            "limit must be finite and not negative, not -1.0",
        ),
        (
            lambda: AffineQuantizer(ONE, ZERO).quantize(np.array([1])),
            TypeError,
            "values to quantize must be a floating-point array, not int64",
        ),
        (
            lambda: AffineQuantizer(ONE, ZERO).quantize(np.array([np.nan])),
            ValueError,
            "values to quantize must be finite, not NaN or infinite",
        ),
        (
            lambda: AffineQuantizer(ONE, ZERO).dequantize(np.array([1])),
            TypeError,
            "codes to dequantize must be an array of int8, not int64",
        ),
        (lambda: calibrate([]), ValueError, "calibration must see at least one value"),
        (
            lambda: calibrate([np.array([1])]),
            TypeError,
            "values to calibrate must be a floating-point array, not int64",
        ),
        (
            lambda: calibrate([np.array([np.inf])]),
            ValueError,
            "values to calibrate must be finite, not NaN or infinite",
        ),
        (
            lambda: calibrate([np.ones(1)], method="mse"),
            TypeError,
            "method must be of type Calibration, not 'mse'",
        ),
        (
            lambda: calibrate([np.ones(1)], percentile=50),
            ValueError,
            "percentile must be above 50 and at most 100, not 50",
        ),
        (
            lambda: calibrate_dynamic(np.array([[np.nan]])),
            ValueError,
            "values to calibrate must be finite, not NaN or infinite",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
