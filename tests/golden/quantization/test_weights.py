"""Weight quantization against straightforward loops, and its error against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden.formats import DINT4, FP4, INT4, INT8, dint, integer
from dintmac.golden.matmul import matmul
from dintmac.golden.quantization import weights as module
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.weights import (
    Granularity,
    QuantizedTensor,
    ScaleSearch,
    quantize_weights,
    split_error,
)

FORMATS = [INT4, DINT4, INT8, dint(3)]
GRANULARITIES = [
    (Granularity.TENSOR, None),
    (Granularity.CHANNEL, None),
    (Granularity.GROUP, 4),
    (Granularity.GROUP, 12),
]


def random_weights(seed=0, shape=(5, 12)):
    return np.random.default_rng(seed).standard_t(4, shape)


def shared(weights, granularity, group_size):
    """The sets of weights that share a scale, in the order of the scales."""
    if granularity is Granularity.TENSOR:
        return [weights.ravel()]
    size = group_size or weights.shape[1]
    return [row[i : i + size] for row in weights for i in range(0, len(row), size)]


def squared_error(block, grid, scale):
    """Of what shares a scale, rounded to the nearest levels."""
    half_steps = grid.decode(grid.encode(block / scale))
    return np.sum((half_steps * (scale / 2) - block) ** 2, axis=-1)


def absmax_scales(block, grid, signed):
    """The smallest scales that clip nothing, of section 8, the positive one first."""

    def smallest(values):
        scale = max(max(values) / grid.maximum, min(values) / grid.minimum)
        return scale if scale > 0 else 1.0

    return [smallest(block), *([-smallest(-block)] if signed else [])]


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize(("granularity", "group_size"), GRANULARITIES)
@pytest.mark.parametrize("signed", [False, True])
def test_equals_a_loop_over_what_shares_a_scale(format, granularity, group_size, signed):
    weights = random_weights()
    quantized = quantize_weights(
        weights, format, granularity=granularity, group_size=group_size, signed_scale=signed
    )
    blocks = shared(weights, granularity, group_size)
    scales = [
        min(absmax_scales(block, format, signed), key=lambda s: squared_error(block, format, s))
        for block in blocks
    ]
    np.testing.assert_allclose(quantized.scale.ravel(), scales, rtol=1e-12)
    actual = shared(quantized.codes, granularity, group_size)
    for codes, block, scale in zip(actual, blocks, quantized.scale.ravel(), strict=True):
        assert codes.tolist() == format.encode(block / scale).tolist()
        assert scale != 0


def densely_searched_error(block, grid, signed, factors):
    """The least squared error of all these multiples of the absmax scales."""
    scales = np.multiply.outer(absmax_scales(block, grid, signed), factors).ravel()
    return squared_error(block, grid, scales[:, np.newaxis]).min()


GRIDS = [dint(3), INT4, DINT4, FP4, NF4, dint(7), INT8]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("group_size", [16, 64, 128])
def test_mse_scales_of_groups_equal_a_dense_search(grid, signed, group_size):
    rng = np.random.default_rng(group_size)
    weights = np.vstack([rng.standard_normal((4, 128)), rng.standard_t(4, (4, 128))])
    quantized = quantize_weights(
        weights,
        grid,
        granularity=Granularity.GROUP,
        group_size=group_size,
        search=ScaleSearch.MSE,
        signed_scale=signed,
    )
    factors = np.linspace(0.3, 2.7, 1000)
    dense = sum(
        densely_searched_error(block, grid, signed, factors)
        for block in shared(weights, Granularity.GROUP, group_size)
    )
    assert np.square(quantized.dequantize() - weights).sum() <= 1.005 * dense


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("outliers", [[], [60.0], [-300.0, 290.0], [2e4]])
def test_mse_scales_of_tensors_with_outliers_equal_a_dense_search(grid, signed, outliers):
    weights = np.random.default_rng(1).standard_t(4, (2, 1024))
    weights[1, : len(outliers)] = outliers
    quantized = quantize_weights(
        weights,
        grid,
        granularity=Granularity.TENSOR,
        search=ScaleSearch.MSE,
        signed_scale=signed,
    )
    factors = np.geomspace(1e-4, 2, 600)
    dense = densely_searched_error(weights.ravel(), grid, signed, factors)
    assert np.square(quantized.dequantize() - weights).sum() <= 1.005 * dense


def test_a_scale_above_absmax_leaves_the_top_level_out():
    steps = np.array([[4.0, 3.0, 1.5, -0.5]])
    quantized = quantize_weights(1.25 * steps, FP4, search=ScaleSearch.MSE)
    assert quantized.scale.item() == pytest.approx(1.25)
    assert (FP4.half_steps[quantized.codes] / 2).tolist() == steps.tolist()


def test_parts_of_a_large_matrix_are_quantized_alike(monkeypatch):
    weights = random_weights(1, (9, 12))
    whole = quantize_weights(weights, DINT4, search=ScaleSearch.MSE, signed_scale=True)
    monkeypatch.setattr(module, "_CHUNK", 30)
    parts = quantize_weights(weights, DINT4, search=ScaleSearch.MSE, signed_scale=True)
    np.testing.assert_array_equal(whole.codes, parts.codes)
    np.testing.assert_array_equal(whole.scale, parts.scale)


@given(
    row=st.lists(st.floats(-100, 100), min_size=1, max_size=16),
    format=st.sampled_from(FORMATS),
    signed=st.booleans(),
)
def test_absmax_clips_nothing(row, format, signed):
    weights = np.array([row])
    quantized = quantize_weights(weights, format, signed_scale=signed)
    steps = weights / quantized.scale
    slack = 1e-9
    assert steps.min() >= format.minimum - slack
    assert steps.max() <= format.maximum + slack
    reaches = np.isclose(steps, format.minimum) | np.isclose(steps, format.maximum)
    assert reaches.any() or not np.any(weights)


def test_a_signed_scale_takes_the_side_that_reaches_further():
    weights = np.array([[7.0, -6.0, 1.0], [-7.0, 6.0, 1.0]])
    quantized = quantize_weights(weights, DINT4, signed_scale=True)
    assert quantized.scale.ravel().tolist() == [1.0, -1.0]
    np.testing.assert_array_equal(quantized.dequantize(), weights)


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_more_freedom_never_raises_the_error(format):
    weights = random_weights(2, (8, 48))

    def error(**options):
        return split_error(weights, quantize_weights(weights, format, **options)).total

    plain = error()
    assert error(signed_scale=True) <= plain
    assert error(search=ScaleSearch.MSE) <= plain
    both = error(search=ScaleSearch.MSE, signed_scale=True)
    assert both <= min(error(search=ScaleSearch.MSE), error(signed_scale=True))


def test_rows_and_groups_of_zeros_have_a_scale_of_one():
    weights = np.array([[0.0, 0.0, 7.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    for search in ScaleSearch:
        for signed in (False, True):
            quantized = quantize_weights(
                weights,
                DINT4,
                granularity=Granularity.GROUP,
                group_size=2,
                search=search,
                signed_scale=signed,
            )
            assert not quantized.codes[[0, 0, 1, 1], [0, 1, 0, 1]].any()
            assert not quantized.dequantize()[1].any()
    channel = quantize_weights(weights, DINT4)
    assert channel.scale.ravel().tolist() == [1.0, 1.0]
    assert not channel.codes[1].any()


def test_of_equal_candidates_the_positive_and_greater_scale_wins():
    for weights, scale in ((np.array([[3.0, -3.0]]), 0.5), (np.zeros((1, 2)), 1.0)):
        for search in ScaleSearch:
            quantized = quantize_weights(weights, DINT4, search=search, signed_scale=True)
            assert quantized.scale.tolist() == [[scale]]


@pytest.mark.parametrize(("granularity", "group_size"), GRANULARITIES)
def test_dequantizes_every_code_with_its_own_scale(granularity, group_size):
    weights = random_weights(3)
    quantized = quantize_weights(weights, DINT4, granularity=granularity, group_size=group_size)
    values = quantized.dequantize()
    scales = quantized.scale
    for row, column in np.ndindex(weights.shape):
        size = group_size or weights.shape[1]
        scale = scales[min(row, len(scales) - 1), column // size]
        half_steps = DINT4.half_steps[quantized.codes[row, column]]
        assert values[row, column] == half_steps * (scale / 2)
    assert quantized.group_size == (group_size or weights.shape[1])
    assert quantized.granularity is granularity


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("search", ScaleSearch)
def test_asymmetric_weights_are_the_nearest_values_of_the_shifted_range(format, search):
    weights = random_weights(11, (6, 16)) + 0.7
    quantized = quantize_weights(weights, format, search=search, asymmetric=True)
    values = quantized.dequantize()
    for row in range(6):
        zero, scale = quantized.zero_point[row, 0], quantized.scale[row, 0]
        levels = np.arange(format.minimum, format.maximum + 1) - zero
        if format.is_dint:
            levels = np.append(levels, [0.5, -0.5])
        for weight, value in zip(weights[row], values[row], strict=True):
            nearest = np.abs(levels * scale - weight).min()
            assert abs(value - weight) == pytest.approx(nearest, abs=1e-12)
            assert np.isclose(levels * scale, value).any()
    assert len(set(quantized.zero_point.ravel().tolist())) > 1


def shifted_error(weights, format, scale, zero):
    codes = module.encode(weights / scale, format, zero)
    return np.square(module.decode(codes, format, zero) * scale - weights).sum(axis=1)


def min_max_error(weights, format):
    """Of the range over all steps, from its least value, and the nearest zero point."""
    low, high = np.minimum(weights.min(axis=1), 0), np.maximum(weights.max(axis=1), 0)
    scale = ((high - low) / (format.maximum - format.minimum))[:, np.newaxis]
    zero = np.round(format.minimum - low[:, np.newaxis] / scale).astype(int)
    return shifted_error(weights, format, scale, zero)


def test_asymmetric_scales_are_the_best_of_all_zero_points_and_of_min_max():
    weights = random_weights(12, (40, 10)) + 0.5

    def error(zero):
        low, high = -6 - zero, 7 - zero
        scale = np.maximum(weights.max(axis=1) / high, weights.min(axis=1) / low)[:, np.newaxis]
        return shifted_error(weights, DINT4, scale, zero)

    errors = [*(error(zero) for zero in range(-5, 7)), min_max_error(weights, DINT4)]
    values = quantize_weights(weights, DINT4, asymmetric=True).dequantize()
    found = np.square(values - weights).sum(axis=1)
    np.testing.assert_allclose(found, np.min(errors, axis=0), rtol=1e-9)


@pytest.mark.parametrize("search", ScaleSearch)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("shift", [0.0, 0.3, 5.0, -5.0])
def test_asymmetric_integers_are_never_worse_than_the_textbook(search, bits, shift):
    weights = np.random.default_rng(14).standard_normal((30, 64)) + shift
    low, high = np.minimum(weights.min(axis=1), 0), np.maximum(weights.max(axis=1), 0)
    scale = ((high - low) / (2**bits - 1))[:, np.newaxis]
    zero = np.round(-low[:, np.newaxis] / scale)
    codes = np.clip(np.round(weights / scale) + zero, 0, 2**bits - 1)
    textbook = np.square(scale * (codes - zero) - weights).sum(axis=1)
    quantized = quantize_weights(weights, integer(bits), search=search, asymmetric=True)
    found = np.square(quantized.dequantize() - weights).sum(axis=1)
    assert (found <= textbook * (1 + 1e-9)).all()


@pytest.mark.parametrize("format", [dint(3), DINT4, dint(8)], ids=lambda f: f.name)
@pytest.mark.parametrize("shift", [0.3, 5.0, -5.0])
def test_asymmetric_dint_is_never_worse_than_min_max(format, shift):
    weights = np.random.default_rng(15).standard_normal((30, 64)) + shift
    values = quantize_weights(weights, format, asymmetric=True).dequantize()
    found = np.square(values - weights).sum(axis=1)
    assert (found <= min_max_error(weights, format) * (1 + 1e-9)).all()


@pytest.mark.parametrize("format", [INT4, DINT4], ids=lambda f: f.name)
def test_zero_points_reach_from_the_least_to_the_greatest_integer(format):
    steps = np.linspace(-20, 20, 401)
    for zero in range(format.minimum, format.maximum + 1):
        levels = np.arange(format.minimum, format.maximum + 1) - zero
        if format.is_dint:
            levels = np.append(levels, [0.5, -0.5])
        values = module.decode(module.encode(steps, format, zero), format, zero)
        nearest = np.abs(levels - steps[:, np.newaxis]).min(axis=1)
        np.testing.assert_allclose(np.abs(values - steps), nearest, atol=1e-12)


def test_asymmetric_dint4_is_more_accurate_than_a_signed_scale():
    weights = random_weights(13, (64, 128))
    signed = split_error(weights, quantize_weights(weights, DINT4, signed_scale=True))
    shifted = split_error(weights, quantize_weights(weights, DINT4, asymmetric=True))
    assert shifted.total < signed.total


def test_integer_sums_times_the_size_of_a_unit_are_the_products_of_dequantized_weights():
    rng = np.random.default_rng(4)
    activations = rng.integers(-128, 128, (3, 12), dtype=np.int8)
    for format in FORMATS:
        quantized = quantize_weights(random_weights(5), format, signed_scale=True)
        sums = matmul(activations, quantized.codes, format)
        expected = activations.astype(float) @ quantized.dequantize().T
        np.testing.assert_allclose(sums * quantized.unit_scale()[:, 0], expected, rtol=1e-12)


def test_weights_of_float32_are_quantized_in_float64():
    weights = random_weights(6).astype(np.float32)
    single, double = (quantize_weights(w, DINT4) for w in (weights, weights.astype(np.float64)))
    np.testing.assert_array_equal(single.scale, double.scale)
    np.testing.assert_array_equal(single.codes, double.codes)


def test_error_of_weights_is_rounding_plus_underflow():
    weights = random_weights(7, (6, 40))
    weights[0, :3] = 0
    quantized = quantize_weights(weights, INT4)
    split = split_error(weights, quantized)
    values, energy = quantized.dequantize(), float(np.sum(weights**2))
    lost = (weights != 0) & (values == 0)
    assert lost.any()
    assert split.underflow == pytest.approx(np.sum(weights[lost] ** 2) / energy)
    assert split.rounding == pytest.approx(np.sum((values - weights)[~lost] ** 2) / energy)
    assert split.total == pytest.approx(split.rounding + split.underflow)
    assert split.underflowed == lost.mean()


def test_error_of_outputs_is_that_of_the_products():
    weights, inputs = random_weights(8), np.random.default_rng(9).standard_normal((7, 12))
    quantized = quantize_weights(weights, DINT4)
    split = split_error(weights, quantized, inputs)
    values, reference = quantized.dequantize(), inputs @ weights.T
    energy = np.sum(reference**2)
    assert split.total == pytest.approx(np.sum((inputs @ values.T - reference) ** 2) / energy)
    underflow = np.where(values == 0, weights, 0)
    assert split.underflow == pytest.approx(np.sum((inputs @ underflow.T) ** 2) / energy)
    on_identity = split_error(weights, quantized, np.eye(12))
    assert on_identity.total == pytest.approx(split_error(weights, quantized).total)


def test_dint4_underflows_less_than_int4():
    weights = np.random.default_rng(10).standard_normal((16, 256))
    int4, dint4 = (split_error(weights, quantize_weights(weights, f)) for f in (INT4, DINT4))
    assert dint4.underflow < 0.3 * int4.underflow
    assert dint4.underflowed < 0.7 * int4.underflowed


def test_all_zero_weights_have_no_error():
    weights = np.zeros((2, 3))
    split = split_error(weights, quantize_weights(weights, DINT4))
    assert (split.total, split.rounding, split.underflow, split.underflowed) == (0, 0, 0, 0)


W = np.ones((2, 6))
CODES = np.zeros((2, 6), dtype=np.uint8)
Q = quantize_weights(W, DINT4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: quantize_weights(CODES, DINT4),
            TypeError,
            "weights must be a floating-point array, not uint8",
        ),
        (
            lambda: quantize_weights(W * np.nan, DINT4),
            ValueError,
            "weights must be finite, not NaN or infinite",
        ),
        (
            lambda: quantize_weights(W[0], DINT4),
            ValueError,
            r"weights must have 2 axes, not shape \(6,\)",
        ),
        (
            lambda: quantize_weights(W[:, :0], DINT4),
            ValueError,
            r"weights must not be empty, not shape \(2, 0\)",
        ),
        (
            lambda: quantize_weights(W, DINT4, granularity="channel"),
            TypeError,
            "granularity must be of type Granularity, not 'channel'",
        ),
        (
            lambda: quantize_weights(W, DINT4, search="mse"),
            TypeError,
            "search must be of type ScaleSearch, not 'mse'",
        ),
        (
            lambda: quantize_weights(W, "dint4"),
            TypeError,
            "format must be a Format or a Codebook, not 'dint4'",
        ),
        (
            lambda: quantize_weights(W, DINT4, group_size=2),
            ValueError,
            "group_size must be None per channel, not 2",
        ),
        (
            lambda: quantize_weights(W, DINT4, granularity=Granularity.GROUP),
            TypeError,
            "group_size must be an int, not None",
        ),
        (
            lambda: quantize_weights(W, DINT4, granularity=Granularity.GROUP, group_size=4),
            ValueError,
            "group_size must divide the inner axis of 6, not 4",
        ),
        (
            lambda: quantize_weights(W, DINT4, granularity=Granularity.GROUP, group_size=7),
            ValueError,
            "group_size must be 1 to 6, not 7",
        ),
        (
            lambda: QuantizedTensor(CODES, np.ones((3, 1)), DINT4, Granularity.CHANNEL),
            ValueError,
            r"scale per channel must fit codes of shape \(2, 6\), not have shape \(3, 1\)",
        ),
        (
            lambda: QuantizedTensor(CODES, np.ones((2, 4)), DINT4, Granularity.GROUP),
            ValueError,
            r"scale per group must fit codes of shape \(2, 6\), not have shape \(2, 4\)",
        ),
        (
            lambda: QuantizedTensor(CODES, np.zeros((1, 1)), DINT4, Granularity.TENSOR),
            ValueError,
            "scale must not be 0",
        ),
        (
            lambda: QuantizedTensor(CODES, np.ones((1, 1), "float32"), DINT4, Granularity.TENSOR),
            TypeError,
            "scale must be an array of float64, not float32",
        ),
        (
            lambda: QuantizedTensor(CODES + np.uint8(16), np.ones((1, 1)), DINT4, None),
            ValueError,
            "dINT4 codes must be 0 to 15, not 16",
        ),
        (
            lambda: quantize_weights(W, FP4, asymmetric=True),
            ValueError,
            "format with a zero point must be int2 to int8 or dint3 to dint8, not FP4",
        ),
        (
            lambda: quantize_weights(W, NF4, asymmetric=True),
            ValueError,
            "format with a zero point must be int2 to int8 or dint3 to dint8, not NF4",
        ),
        (
            lambda: quantize_weights(W, DINT4, asymmetric=True, signed_scale=True),
            ValueError,
            "scales must be either signed or asymmetric, not both",
        ),
        (
            lambda: QuantizedTensor(
                CODES, np.ones((1, 1)), DINT4, Granularity.TENSOR, np.zeros((2, 1), dtype=np.int64)
            ),
            ValueError,
            r"zero_point must have the shape of scale, \(1, 1\), not \(2, 1\)",
        ),
        (
            lambda: QuantizedTensor(
                CODES, np.ones((1, 1)), DINT4, Granularity.TENSOR, np.full((1, 1), 8)
            ),
            ValueError,
            "zero_point must be -6 to 7, not 8",
        ),
        (
            lambda: split_error(W[:, :3], Q),
            ValueError,
            r"weights must have shape \(2, 6\), not \(2, 3\)",
        ),
        (
            lambda: split_error(W, Q, W[:, :3]),
            ValueError,
            r"inputs must have shape \(M, 6\), not \(2, 3\)",
        ),
        (
            lambda: split_error(W, Q, CODES),
            TypeError,
            "inputs must be a floating-point array, not uint8",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
