"""Exact products of matrices against Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dintmac.golden import matmul as module
from dintmac.golden.arithmetic import Overflow
from dintmac.golden.formats import DINT4, INT4, INT8, dint, integer
from dintmac.golden.matmul import dot, exact_depth, matmul

FORMATS = [integer(2), INT4, INT8, dint(3), DINT4, dint(8)]


def scalar_value(code: int, name: str) -> int:
    """Units of a code, from the text of the specification and not from the table."""
    bits = int(name[-1])
    signed = code - (1 << bits) if code >> (bits - 1) else code
    if not name.startswith("dINT"):
        return signed
    return {-(1 << (bits - 1)): 1, -(1 << (bits - 1)) + 1: -1}.get(signed, 2 * signed)


def reference(activations, weights, format) -> list[list[int]]:
    rows = activations.tolist()
    columns = [[scalar_value(c, format.name) for c in row] for row in weights.tolist()]
    return [[sum(a * w for a, w in zip(r, c, strict=True)) for c in columns] for r in rows]


def operands(rng, m, n, k, format):
    activations = rng.integers(-128, 128, (m, k), dtype=np.int8)
    return activations, rng.integers(0, format.codes, (n, k), dtype=np.uint8)


@given(
    format=st.sampled_from(FORMATS),
    shape=st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 40)),
    seed=st.integers(0, 2**32),
)
def test_equals_big_integers(format, shape, seed):
    activations, weights = operands(np.random.default_rng(seed), *shape, format)
    result = matmul(activations, weights, format)
    assert result.shape == shape[:2]
    assert result.tolist() == reference(activations, weights, format)


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_every_product_is_exact(format):
    activations = np.arange(-128, 128).astype(np.int8)[:, np.newaxis]
    weights = np.arange(format.codes, dtype=np.uint8)[:, np.newaxis]
    products = matmul(activations, weights, format)
    assert products.tolist() == reference(activations, weights, format)
    assert (products.min(), products.max()) == format.product_range()


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_blocks_change_nothing(monkeypatch, block):
    activations, weights = operands(np.random.default_rng(2), 4, 3, 50, DINT4)
    monkeypatch.setattr(module, "exact_depth", lambda *_: block)
    assert matmul(activations, weights, DINT4).tolist() == reference(activations, weights, DINT4)


def test_exact_where_one_float32_sum_is_not():
    depth = 40_001
    activations = np.full((1, depth), -128, dtype=np.int8)
    weights = np.full((1, depth), 0x80, dtype=np.uint8)
    activations[0, -1] = weights[0, -1] = 1
    exact = 2**14 * (depth - 1) + 1
    assert int(np.float32(exact)) != exact
    assert matmul(activations, weights, INT8).tolist() == [[exact]]


def test_bound_follows_the_magnitudes_that_are_there():
    worst = np.array([-128], dtype=np.int8)
    assert exact_depth(worst, np.array([-128], dtype=np.float32)) == 1024
    assert exact_depth(worst, np.array([14], dtype=np.float32)) == 2**24 // 1792
    assert exact_depth(np.array([1], dtype=np.int8), np.array([1], dtype=np.float32)) == 2**24
    assert exact_depth(np.zeros(0, dtype=np.int8), np.zeros(0, dtype=np.float32)) == 2**24


def test_result_is_int32_where_the_accumulator_fits():
    activations, weights = operands(np.random.default_rng(3), 2, 2, 4, INT8)
    assert matmul(activations, weights, INT8).dtype == np.int32
    assert matmul(activations, weights, INT8, accumulator_bits=32).dtype == np.int32
    assert matmul(activations, weights, INT8, accumulator_bits=33).dtype == np.int64
    depth = INT8.max_depth(32) + 1
    activations, weights = operands(np.random.default_rng(3), 1, 1, depth, INT8)
    assert matmul(activations, weights, INT8).dtype == np.int64


@given(bits=st.integers(1, 20), seed=st.integers(0, 2**32), format=st.sampled_from(FORMATS))
def test_wraps_as_an_accumulator_that_wraps_after_each_addition(bits, seed, format):
    activations, weights = operands(np.random.default_rng(seed), 1, 1, 30, format)
    total, half = 0, 1 << (bits - 1)
    for a, code in zip(activations[0].tolist(), weights[0].tolist(), strict=True):
        total = (total + a * scalar_value(code, format.name) + half) % (1 << bits) - half
    wrapped = matmul(activations, weights, format, accumulator_bits=bits, overflow=Overflow.WRAP)
    assert wrapped.tolist() == [[total]]


def test_saturates_the_exact_sum_and_not_each_addition():
    activations = np.array([[100, 100, -100]], dtype=np.int8)
    weights = np.array([[1, 1, 1]], dtype=np.uint8)
    result = matmul(activations, weights, INT8, accumulator_bits=8, overflow=Overflow.SATURATE)
    assert result.tolist() == [[100]]  # Saturated after each addition it would be 27.
    result = matmul(
        activations[:, :2], weights[:, :2], INT8, accumulator_bits=8, overflow=Overflow.SATURATE
    )
    assert result.tolist() == [[127]]


def test_refuses_a_sum_that_overflows():
    activations = np.array([[100, 100]], dtype=np.int8)
    weights = np.array([[1, 1]], dtype=np.uint8)
    with pytest.raises(ValueError, match="values must fit 8 signed bits, not 200"):
        matmul(activations, weights, INT8, accumulator_bits=8)


def test_no_products_sum_to_zero():
    assert (
        matmul(np.zeros((2, 0), dtype=np.int8), np.zeros((3, 0), dtype=np.uint8), DINT4).tolist()
        == [[0, 0, 0]] * 2
    )


@given(format=st.sampled_from(FORMATS), depth=st.integers(0, 50), seed=st.integers(0, 2**32))
def test_dot_is_one_element_of_matmul(format, depth, seed):
    activations, weights = operands(np.random.default_rng(seed), 1, 1, depth, format)
    result = dot(activations[0], weights[0], format)
    assert isinstance(result, int)
    assert result == reference(activations, weights, format)[0][0]


@pytest.mark.parametrize(("overflow", "expected"), [(Overflow.WRAP, -56), (Overflow.SATURATE, 127)])
def test_dot_has_the_accumulator_of_matmul(overflow, expected):
    activations = np.array([100, 100], dtype=np.int8)
    weights = np.array([1, 1], dtype=np.uint8)
    assert dot(activations, weights, INT8, accumulator_bits=8, overflow=overflow) == expected


A = np.zeros((2, 3), dtype=np.int8)
W = np.zeros((4, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: matmul(A.astype(np.float32), W, DINT4),
            TypeError,
            "activations must be an array of int8, not float32",
        ),
        (
            lambda: matmul(A, W.astype(np.int8), DINT4),
            TypeError,
            "dINT4 codes must be a uint8 array, not int8",
        ),
        (
            lambda: matmul(A, W + np.uint8(16), DINT4),
            ValueError,
            "dINT4 codes must be 0 to 15, not 16",
        ),
        (
            lambda: matmul(A[0], W, DINT4),
            ValueError,
            r"activations must have 2 axes, not shape \(3,\)",
        ),
        (
            lambda: matmul(A, W[0], DINT4),
            ValueError,
            r"weights must have 2 axes, not shape \(3,\)",
        ),
        (
            lambda: matmul(A, W[:, :2], DINT4),
            ValueError,
            "activations and weights must have the same inner axis, not 3 and 2",
        ),
        (
            lambda: matmul(A, W, DINT4, accumulator_bits=65),
            ValueError,
            "accumulator_bits must be 1 to 64, not 65",
        ),
        (
            lambda: matmul(A, W, DINT4, accumulator_bits=8, overflow="wrap"),
            TypeError,
            "overflow must be of type Overflow, not 'wrap'",
        ),
        (
            lambda: dot(A, W[0], DINT4),
            ValueError,
            r"activations must have 1 axis, not shape \(2, 3\)",
        ),
        (
            lambda: dot(A[0], W, DINT4),
            ValueError,
            r"weights must have 1 axis, not shape \(4, 3\)",
        ),
        (
            lambda: dot([1], W[0], DINT4),
            TypeError,
            "activations must be an array of int8, not list",
        ),
        (
            lambda: dot(A[0], [1], DINT4),
            TypeError,
            r"\Aweights must be an array of uint8, not list",
        ),
    ],
)
def test_refuses_bad_input_with_one_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
