"""GPTQ against plain rounding, the textbook recursion, and its purpose."""

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4
from dintmac.golden.quantization import gptq as module
from dintmac.golden.quantization.gptq import gptq, hessian
from dintmac.golden.quantization.grids import NF4
from dintmac.golden.quantization.weights import (
    Granularity,
    ScaleSearch,
    quantize_weights,
    split_error,
)

STARTS = [
    lambda w: quantize_weights(w, DINT4, signed_scale=True),
    lambda w: quantize_weights(w, INT4, granularity=Granularity.GROUP, group_size=10),
    lambda w: quantize_weights(w, DINT4, asymmetric=True, search=ScaleSearch.MSE),
    lambda w: quantize_weights(w, NF4, granularity=Granularity.TENSOR),
]


def layer(seed=0, outputs=7, depth=30, tokens=200):
    """Weights, and inputs that are correlated as those of real layers are."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((depth, depth)) * np.linspace(0.1, 2, depth)
    return rng.standard_t(4, (outputs, depth)), rng.standard_normal((tokens, depth)) @ mix


def textbook(weights, hessian, start, damping):
    """The recursion of the paper on the inverse Hessian, a row at a time, without blocks."""
    depth = len(hessian)
    damped = hessian + damping * np.mean(np.diag(hessian)) * np.eye(depth)
    values = np.empty(weights.shape)
    for row in range(len(weights)):
        left, rest = np.linalg.inv(damped), weights[row].copy()
        scale = start.scale[row, 0]
        for column in range(depth):
            code = start.format.encode(rest[column : column + 1] / scale)
            values[row, column] = start.format.decode(code)[0] / 2 * scale
            factor = (rest[column] - values[row, column]) / left[column, column]
            rest -= factor * left[column]
            left -= np.outer(left[:, column], left[column]) / left[column, column]
            left[column, column] = 1
    return values


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("size", [1.0, 3e-7])
def test_with_the_identity_it_is_plain_rounding_exactly(start, order, size):
    weights, _ = layer(depth=150)
    plain = start(weights)
    result = gptq(weights, size * np.eye(150), plain, activation_order=order)
    np.testing.assert_array_equal(result.codes, plain.codes)
    np.testing.assert_array_equal(result.scale, plain.scale)


def test_equals_the_recursion_on_the_inverse(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 8)
    weights, inputs = layer(1)
    start = quantize_weights(weights, DINT4)
    result = gptq(weights, hessian(inputs), start, damping=0.05, activation_order=False)
    expected = textbook(weights, hessian(inputs), start, 0.05)
    np.testing.assert_allclose(result.dequantize(), expected, rtol=1e-9)


def test_activation_order_is_a_permutation_of_the_columns():
    weights, inputs = layer(2)
    order = np.argsort(-np.diag(hessian(inputs)))
    start = quantize_weights(weights, DINT4)
    ordered = gptq(weights, hessian(inputs), start)
    permuted = gptq(weights[:, order], hessian(inputs[:, order]), start, activation_order=False)
    np.testing.assert_array_equal(ordered.codes[:, order], permuted.codes)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("order", [False, True])
def test_lowers_the_error_of_the_outputs(start, order):
    weights, inputs = layer(3)
    plain = start(weights)
    result = gptq(weights, hessian(inputs), plain, activation_order=order)
    before, after = (split_error(weights, q, inputs).total for q in (plain, result))
    assert after < (0.7 if order else 1) * before


def test_a_channel_that_is_always_zero_is_rounded_plainly():
    weights, inputs = layer(4)
    inputs[:, [3, 17]] = 0
    plain = quantize_weights(weights, DINT4)
    result = gptq(weights, hessian(inputs), plain)
    np.testing.assert_array_equal(result.codes[:, [3, 17]], plain.codes[:, [3, 17]])


W, X = layer(5, 2, 4, 9)
Q = quantize_weights(W, DINT4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gptq(W[:, :3], np.eye(4), Q), r"weights must have shape \(2, 4\), not \(2, 3\)"),
        (lambda: gptq(W, np.eye(3), Q), r"hessian must have shape \(4, 4\), not \(3, 3\)"),
        (lambda: gptq(W, np.eye(4), Q, damping=0), "damping must be positive and finite, not 0"),
        (lambda: gptq(W, -np.eye(4), Q), "hessian must be positive semidefinite"),
        (lambda: gptq(W * np.nan, np.eye(4), Q), "weights must be finite"),
        (lambda: hessian(X * np.inf), "inputs must be finite"),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
