"""Exact products of matrices in hardware units, at the speed of a floating-point BLAS.

A sum of integer products is exact in float32 in any order, with or without fused multiply-add, if
the magnitudes of its products add up to at most 2^24: every partial sum is then an integer of at
most 2^24, and float32 has them all (docs/dint.md, section 4.4). The inner axis is cut into blocks
that keep this bound for the greatest magnitudes that the operands really have, and the sums of
blocks are added as integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.checks import check_array, check_axes, check_int, check_member
from dintmac.golden.formats import Format

#: float32 has every integer up to this magnitude.
EXACT_FLOAT32 = 1 << 24


def matmul(
    activations: NDArray[np.int8],
    weights: NDArray[np.uint8],
    format: Format,
    *,
    accumulator_bits: int | None = None,
    overflow: Overflow = Overflow.REFUSE,
) -> NDArray[np.int32] | NDArray[np.int64]:
    """``activations @ weights.T``, exact, in units of ``format``.

    Parameters
    ----------
    activations : int8 array, shape (M, K)
        A row for each token.
    weights : uint8 array, shape (N, K)
        Codes of ``format``, a row for each output.
    format : Format
        What the codes mean.
    accumulator_bits : int, optional
        Width of the accumulator, 1 to 64 signed bits. By default the width that holds every sum
        of K products, so that none overflows.
    overflow : Overflow
        What becomes of a sum that does not fit ``accumulator_bits``. All three act on the exact
        sum: ``WRAP`` is then the same as wrapping after each addition, and ``SATURATE`` is *not*
        the same as saturating after each addition.

    Returns
    -------
    int32 or int64 array, shape (M, N)
        Sums in units (steps for integers, half steps for others); int32 if the accumulator has at
        most 32 bits. Zeros if K is 0.

    Raises
    ------
    TypeError
        If an operand has another dtype; nothing is cast.
    ValueError
        If shapes do not match, a code is out of range, or a sum overflows and that is refused.
    """
    check_array("activations", activations, "int8")
    format.check_codes(weights)
    check_axes("activations", activations, 2)
    check_axes("weights", weights, 2)
    depth = activations.shape[1]
    if weights.shape[1] != depth:
        raise ValueError(
            f"activations and weights must have the same inner axis, "
            f"not {depth} and {weights.shape[1]}"
        )
    check_member("overflow", overflow, Overflow)
    bits = format.accumulator_bits(max(depth, 1)) if accumulator_bits is None else accumulator_bits
    check_int("accumulator_bits", bits, 1, 64)
    sums = _exact_sums(activations, weights, format)
    if accumulator_bits is not None:
        sums = narrow(sums.astype(np.int64), bits, overflow)
    return sums.astype(np.int32) if bits <= 32 else sums.astype(np.int64, copy=False)


def dot(
    activations: NDArray[np.int8],
    weights: NDArray[np.uint8],
    format: Format,
    *,
    accumulator_bits: int | None = None,
    overflow: Overflow = Overflow.REFUSE,
) -> int:
    """Sum of the products of two vectors, exact, in units of ``format``.

    Parameters
    ----------
    activations : int8 array, shape (K,)
    weights : uint8 array, shape (K,)
        Codes of ``format``.
    format, accumulator_bits, overflow
        As in :func:`matmul`.

    Raises
    ------
    TypeError, ValueError
        As :func:`matmul`.
    """
    check_array("activations", activations, "int8")
    check_array("weights", weights, "uint8")
    check_axes("activations", activations, 1)
    check_axes("weights", weights, 1)
    row, column = activations[np.newaxis], weights[np.newaxis]
    result = matmul(row, column, format, accumulator_bits=accumulator_bits, overflow=overflow)
    return int(result[0, 0])


def exact_depth(activations: NDArray[np.int8], units: NDArray[np.float32]) -> int:
    """Greatest number of products whose magnitudes surely add up to at most 2^24.

    Parameters
    ----------
    activations : int8 array, any shape
    units : float32 array, any shape
        Weights in units.

    Returns
    -------
    int, at least 1: 2^24 over the greatest magnitudes found in the operands.
    """
    return EXACT_FLOAT32 // max(_magnitude(activations) * _magnitude(units), 1)


def _exact_sums(
    activations: NDArray[np.int8], weights: NDArray[np.uint8], format: Format
) -> NDArray[np.int64] | NDArray[np.int32] | NDArray[np.float32]:
    """The exact sums; as the float32 that BLAS leaves where one block does."""
    units = format.to_units(np.arange(format.codes, dtype=np.uint8)).astype(np.float32)[weights]
    block = exact_depth(activations, units)
    left = activations.astype(np.float32)
    depth = left.shape[1]
    if depth <= block:
        return left @ units.T
    sums = np.zeros((left.shape[0], units.shape[0]), dtype=np.int64)
    for start in range(0, depth, block):
        part = slice(start, start + block)
        sums += (left[:, part] @ units[:, part].T).astype(np.int64)
    return sums


def _magnitude(values: NDArray[Any]) -> int:
    """Greatest magnitude; 0 if there are no values. (np.abs wraps for −128.)"""
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))
