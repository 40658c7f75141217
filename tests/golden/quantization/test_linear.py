"""The three kinds of linear layers against each other and against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.quantization.activations import ActivationScheme, AffineQuantizer
from dintmac.golden.quantization.gptq import hessian
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.linear import (
    FloatLinear,
    IntegerLinear,
    QuantizedLinear,
    float_columns,
    low_rank_correction,
)
from dintmac.golden.quantization.weights import Granularity, quantize_weights

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 24)).astype(np.float32)
W = RNG.standard_normal((9, 24)).astype(np.float32)
BIAS = RNG.standard_normal(9).astype(np.float32)
SCALE = np.exp(RNG.standard_normal(24)).astype(np.float32)
SCHEMES = [
    ActivationScheme(dynamic=dynamic, symmetric=symmetric)
    for dynamic in (False, True)
    for symmetric in (False, True)
]
WEIGHTS = [
    quantize_weights(W * SCALE, DINT4, signed_scale=True),
    quantize_weights(W * SCALE, INT8, granularity=Granularity.TENSOR),
    quantize_weights(W * SCALE, DINT4, granularity=Granularity.GROUP, group_size=8),
    quantize_weights(W * SCALE, INT4),
]


def quantized(weight=WEIGHTS[0], scheme=SCHEMES[1], **options):
    options = {"bias": BIAS, "input_scale": SCALE} | options
    return QuantizedLinear(weight, scheme.fit(X / SCALE), **options)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bias", [None, BIAS])
def test_integer_layers_equal_fake_quantized_ones_to_float_rounding(weight, scheme, bias):
    layer = quantized(weight, scheme, bias=bias)
    fake, exact = layer(X), IntegerLinear(layer)(X)
    assert fake.dtype == exact.dtype == np.float32
    np.testing.assert_allclose(exact, fake, rtol=1e-5, atol=1e-5 * np.abs(fake).max())


def test_integer_layers_take_their_products_from_elsewhere():
    layer, seen = quantized(WEIGHTS[2]), []

    def multiply(activations, weights, format):
        seen.append((activations.dtype, weights.shape, format))
        return activations.astype(int) @ format.to_units(weights).astype(int).T

    np.testing.assert_array_equal(
        IntegerLinear(layer, multiply=multiply)(X), IntegerLinear(layer)(X)
    )
    assert seen == [(np.int8, (9, 8), DINT4)] * 3


def test_fake_quantized_layers_are_near_float_ones():
    exact = FloatLinear(W, BIAS)(X)
    np.testing.assert_allclose(exact, X @ W.T + BIAS, rtol=1e-5)
    error = np.sum((quantized(WEIGHTS[1])(X) - exact) ** 2) / np.sum(exact**2)
    assert 0 < error < 1e-2


def test_without_a_quantizer_inputs_stay_as_they_are():
    layer = QuantizedLinear(WEIGHTS[0], input_scale=SCALE)
    np.testing.assert_allclose(layer(X), (X / SCALE) @ WEIGHTS[0].dequantize().T, rtol=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES[:2])
@pytest.mark.parametrize("weight", [WEIGHTS[0], WEIGHTS[1]])
def test_requantized_results_are_the_nearest_codes_of_the_exact_sums(weight, scheme):
    layer = quantized(weight, scheme)
    fake = layer(X)
    output = AffineQuantizer.from_range(float(fake.min()), float(fake.max()))
    results = output.quantize(IntegerLinear(layer, output)(X)).astype(int)
    codes, quantizer = IntegerLinear(layer).codes(X)
    unit = np.broadcast_to(weight.unit_scale()[:, 0], 9)
    units = weight.format.to_units(weight.codes)
    for token, channel in np.ndindex(results.shape):
        real = Fraction(float(unit[channel])) * Fraction(float(quantizer.scale))
        shifted = [int(c) - int(quantizer.zero_point) for c in codes[token]]
        total = sum(a * int(w) for a, w in zip(shifted, units[channel], strict=True))
        total += round(Fraction(float(BIAS[channel])) / real)
        expected = total * real / Fraction(float(output.scale)) + int(output.zero_point)
        expected = min(max(expected, -128), 127)
        # Half a code, and what the multiplier of 16 bits is off by.
        assert abs(results[token, channel] - expected) <= Fraction(1, 2) + Fraction(256, 1 << 15)


def test_requantized_layers_equal_fake_quantized_ones_within_a_step_of_the_output():
    layer = quantized()
    fake = layer(X)
    output = AffineQuantizer.symmetric(float(np.abs(fake).max()))
    difference = np.abs(IntegerLinear(layer, output)(X) - fake)
    assert difference.max() <= 0.51 * output.scale + np.abs(WEIGHTS[0].unit_scale()).max()


def test_outlier_columns_are_exact_to_16_bits():
    inputs = X.copy()
    inputs[:, [4, 20]] *= 50
    columns = float_columns(inputs, W)
    assert columns.channels.tolist() == [4, 20]
    rest = W.copy()
    rest[:, [4, 20]] = 0
    weight = quantize_weights(rest, INT8)

    def error(layer):
        exact = inputs @ W.T
        return np.sum((layer(inputs) - exact) ** 2) / np.sum(exact**2)

    kept = inputs.copy()
    kept[:, [4, 20]] = 0
    split = QuantizedLinear(weight, SCHEMES[1].fit(kept), columns=columns)
    plain = QuantizedLinear(quantize_weights(W, INT8), SCHEMES[1].fit(inputs))
    assert error(split) < 0.2 * error(plain)
    assert float_columns(X, W, threshold=100.0) is None


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_low_rank_correction_is_the_best_of_its_rank(rank):
    inputs = X * np.linspace(0.1, 3, 24)
    error = W - quantize_weights(W, INT4).dequantize()
    found = low_rank_correction(error, hessian(inputs), rank, damping=1e-9)
    assert found.left.shape == (9, rank)
    left = inputs @ (error - found.left.astype(float) @ found.right).T
    singular = np.linalg.svd(inputs @ error.T, compute_uv=False)
    assert np.sum(left**2) == pytest.approx(np.sum(singular[rank:] ** 2), rel=1e-3, abs=1e-6)


def test_a_corrected_layer_has_less_error():
    weight = quantize_weights(W, INT4)
    correction = low_rank_correction(W - weight.dequantize(), hessian(X), 4)
    exact = X @ W.T
    with_it, without = (
        np.sum((QuantizedLinear(weight, correction=c)(X) - exact) ** 2) for c in (correction, None)
    )
    assert with_it < 0.5 * without


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: IntegerLinear(quantized(quantize_weights(W, NF4))),
            ValueError,
            "format of an integer layer must be int2 to int8, dint3 to dint8 or fp4, not NF4",
        ),
        (
            lambda: IntegerLinear(quantized(quantize_weights(W, DINT4, asymmetric=True))),
            ValueError,
            "weights of an integer layer must not have a zero point",
        ),
        (
            lambda: IntegerLinear(QuantizedLinear(WEIGHTS[0])),
            ValueError,
            "inputs of an integer layer must be quantized",
        ),
        (
            lambda: IntegerLinear(quantized(columns=float_columns(X, W, 0.1))),
            ValueError,
            "integer layer must have no columns or correction in floating point",
        ),
        (
            lambda: IntegerLinear(quantized(WEIGHTS[2]), AffineQuantizer.symmetric(1.0)),
            ValueError,
            "weights must have a scale per tensor or channel to be requantized",
        ),
        (
            lambda: IntegerLinear(quantized(scheme=SCHEMES[2]), AffineQuantizer.symmetric(1.0))(X),
            ValueError,
            "inputs must have a static scale to be requantized",
        ),
        (
            lambda: float_columns(X, W, 0.0),
            ValueError,
            "threshold must be positive, not 0.0",
        ),
        (
            lambda: float_columns(X, W.astype(float)),
            TypeError,
            "weight must be an array of float32, not float64",
        ),
        (
            lambda: low_rank_correction(W, np.eye(24), 10),
            ValueError,
            "rank must be 1 to 9, not 10",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
