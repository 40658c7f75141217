"""GPTQ: rounding that makes up for its own error (Frantar et al., 2022; also called OPTQ).

Columns of the weights are rounded one after another, and what a column lost is made up for by the
columns that are still to come, so that the error of the layer's outputs on calibration inputs,
``Δ H Δᵀ`` with ``H = X̃ᵀX̃``, stays small. The scales are given and stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_positive, check_real
from dintmac.golden.quantization.activations import in_batches
from dintmac.golden.quantization.weights import QuantizedTensor, decode, encode

#: Columns between which the error is passed on at once, by one product of matrices.
BLOCK = 64


def hessian(inputs: NDArray[np.floating]) -> NDArray[np.float64]:
    """``XᵀX`` of the inputs of a layer, shape (M, K): float64 array, shape (K, K)."""
    check_real("inputs", inputs)
    product = np.zeros((inputs.shape[1], inputs.shape[1]))
    for some in in_batches(inputs):
        exact = some.astype(np.float64)
        product += exact.T @ exact
    return product


def gptq(
    weights: NDArray[np.floating],
    hessian: NDArray[np.float64],
    start: QuantizedTensor,
    *,
    damping: float = 0.01,
    activation_order: bool = True,
) -> QuantizedTensor:
    """Round weights anew, to the grid and with the scales of ``start``.

    If the Hessian is a multiple of the identity, the result is plain rounding, exactly.

    Parameters
    ----------
    weights : floating-point array, shape (N, K)
        The weights to round.
    hessian : float64 array, shape (K, K)
        XᵀX of the inputs of the layer in calibration.
    start : QuantizedTensor of shape (N, K)
        Grid, scales and zero points; its codes do not matter.
    damping : float, positive
        So much of the mean of the diagonal is added to the diagonal.
    activation_order : bool
        Whether the columns with the greatest diagonal go first, or those on the left.

    Returns
    -------
    QuantizedTensor

    Raises
    ------
    TypeError
        If ``weights`` or ``hessian`` is not a floating-point array.
    ValueError
        If a value is NaN or infinite, shapes do not match, the damping is not positive, or the
        Hessian is not positive semidefinite.
    """
    check_real("weights", weights)
    check_real("hessian", hessian)
    if weights.shape != start.shape:
        raise ValueError(f"weights must have shape {start.shape}, not {weights.shape}")
    depth = weights.shape[1]
    if hessian.shape != (depth, depth):
        raise ValueError(f"hessian must have shape {(depth, depth)}, not {hessian.shape}")
    check_positive("damping", damping)
    diagonal = np.diag(hessian)
    order = np.argsort(-diagonal, kind="stable") if activation_order else np.arange(depth)
    passed_on = _error_factors(hessian[np.ix_(order, order)], damping)

    group = order // start.group_size
    remaining = weights.astype(np.float64)[:, order]
    codes = np.empty(start.shape, dtype=np.uint8)
    for begin in range(0, depth, BLOCK):
        end = min(begin + BLOCK, depth)
        lost = np.empty((len(remaining), end - begin))
        for column in range(begin, end):
            scale = start.scale[:, group[column]]
            zero = 0 if start.zero_point is None else start.zero_point[:, group[column]]
            chosen = encode(remaining[:, column] / scale, start.format, zero)
            codes[:, order[column]] = chosen
            error = remaining[:, column] - decode(chosen, start.format, zero) * scale
            lost[:, column - begin] = error
            remaining[:, column + 1 : end] -= np.outer(error, passed_on[column, column + 1 : end])
        remaining[:, end:] -= lost @ passed_on[begin:end, end:]
    return replace(start, codes=codes)


def _error_factors(hessian: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Row c, columns after c: what share of the error of column c the others make up for.

    It is the Cholesky factor U of the inverse of the damped Hessian, UᵀU = H⁻¹, with rows divided
    by the diagonal. The inverse itself is not needed: with J for the reversal of the order and
    J H J = L Lᵀ, U is J L⁻¹ J.
    """
    diagonal = np.diag(hessian)
    # A channel that is always zero says nothing about its weights: they are rounded plainly.
    added = damping * diagonal.mean() + (diagonal == 0) * (diagonal.mean() or 1.0)
    try:
        lower = np.linalg.cholesky((hessian + np.diag(added))[::-1, ::-1])
    except np.linalg.LinAlgError as error:
        raise ValueError("hessian must be positive semidefinite") from error
    upper = _triangular_inverse(lower)[::-1, ::-1]
    return np.triu(upper / np.diag(upper)[:, np.newaxis], 1)


def _triangular_inverse(lower: NDArray[np.floating]) -> NDArray[np.floating]:
    """Inverse of a lower triangular matrix, at a third of the cost of that of any matrix."""
    size = len(lower)
    if size <= BLOCK:
        return np.linalg.inv(lower)
    half = size // 2
    first, last = _triangular_inverse(lower[:half, :half]), _triangular_inverse(lower[half:, half:])
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = first
    inverse[half:, half:] = last
    inverse[half:, :half] = -last @ (lower[half:, :half] @ first)
    return inverse
