"""Scales of input channels that make a layer easier to quantize.

``X Wᵀ = (X / s)(W · s)ᵀ`` for any positive s, one for each input channel; where W and X are
quantized, s decides how their errors share the range. All methods here take s from families

    s = a^α / w^β,   a: magnitude of an input channel, w: of the weights that read it

scaled to a geometric mean of 1, with the identity α = β = 0 in each of them.

- SmoothQuant (Xiao et al., 2023): β = 1 − α, with one α for all layers.
- AWQ-like (after Lin et al., 2023): a is the mean magnitude and β = 0; α has the least error of
  the output with the *weights* quantized.
- AQAS, activation-quantization-aware scaling ("Enhancing Computation Efficiency in Large Language
  Models through Weight and Activation Quantization", EMNLP 2023): the least error of the output
  with weights *and* activations quantized. The families are the choice of this project.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_axes, check_member, check_real
from dintmac.golden.quantization.activations import ActivationScheme, in_batches
from dintmac.golden.quantization.linear import squared_norm

Floats = NDArray[np.float32]

#: From weights, shape (N, K), to what quantization makes of them.
FakeQuantizer = Callable[[NDArray[np.floating]], NDArray[np.floating]]

#: Exponents of the families with one of them.
ALPHAS = np.arange(21) / 20
#: Exponents of the family with two of them.
ALPHAS_OF_TWO = np.arange(9) / 8

#: Inputs, and outputs of a layer, by which candidates are ranked, evenly spaced among all.
RANKING_ROWS = 512
RANKING_OUTPUTS = 96


class Family(enum.Enum):
    """A set of candidates for the scales."""

    #: s = max|X|^α / max|W|^(1 − α), α = 0, 0.05 … 1.
    SMOOTH = "smooth"
    #: s = mean|X|^α, α = 0, 0.05 … 1.
    MEAN = "mean"
    #: s = max|X|^α / max|W|^β, α and β each 0, 1/8 … 1.
    TWO_EXPONENTS = "two exponents"


def smoothquant_scale(
    inputs: Floats, weights: Sequence[Floats], alpha: float = 0.5
) -> NDArray[np.float64]:
    """The scales of SmoothQuant, max|X|^α / max|W|^(1 − α).

    Parameters
    ----------
    inputs : floating-point array, shape (M, K)
        Inputs in calibration.
    weights : sequence of floating-point arrays, shape (N_i, K)
        Weights of the layers that read them.
    alpha : float, 0 to 1
        How much of the range of the inputs goes into the weights.

    Returns
    -------
    float64 array, shape (K,), of geometric mean 1.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If a value is NaN or infinite, shapes do not match, or ``alpha`` is out of range.
    """
    _check(inputs, weights)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be 0 to 1, not {alpha}")
    return _power(_input_maxima(inputs), alpha) / _power(_weight_maxima(weights), 1 - alpha)


def rank_scales(
    inputs: Floats,
    weights: Sequence[Floats],
    fake_quantize: FakeQuantizer,
    scheme: ActivationScheme | None,
    families: Iterable[Family] = (Family.SMOOTH, Family.TWO_EXPONENTS),
) -> list[NDArray[np.float64]]:
    """All candidates for the scales, those with the least error of the outputs first.

    The error is that of some of the inputs and outputs; maxima, means and min-max ranges are those
    of all inputs.

    Parameters
    ----------
    inputs : floating-point array, shape (M, K)
        Inputs in calibration.
    weights : sequence of floating-point arrays, shape (N_i, K)
        Weights of the layers that read them, each with the same say.
    fake_quantize : callable
        What quantization makes of weights.
    scheme : ActivationScheme, optional
        How the inputs are quantized: the joint loss of AQAS. None leaves them as they are: the
        weights-only loss.
    families : iterable of Family
        Candidates.

    Returns
    -------
    list of float64 arrays, shape (K,), of geometric mean 1.

    Raises
    ------
    TypeError
        If an array is not floating-point.
    ValueError
        If a value is NaN or infinite, or shapes do not match.
    """
    _check(inputs, weights)
    few_inputs = inputs[_spaced(len(inputs), RANKING_ROWS)]
    few_outputs = [matrix[_spaced(len(matrix), RANKING_OUTPUTS)] for matrix in weights]
    # With the extremes of each channel the min-max range of scaled inputs is that of all of them.
    seen = np.vstack([few_inputs, inputs.max(axis=0), inputs.min(axis=0)])
    return sorted(
        _candidates(inputs, weights, families),
        key=lambda s: _error(few_inputs, few_outputs, s, fake_quantize, scheme, seen),
    )


def _error(
    inputs: Floats,
    weights: Sequence[Floats],
    scale: NDArray[np.float64],
    fake_quantize: FakeQuantizer,
    scheme: ActivationScheme | None,
    seen: Floats,
) -> float:
    """Relative squared error of the outputs, summed over layers, with the ranges of ``seen``."""
    reciprocal = (1 / scale).astype(np.float32)
    scaled = inputs * reciprocal
    if scheme is not None:
        quantizer = scheme.fit(seen * reciprocal)(scaled)
        scaled = quantizer.dequantize(quantizer.quantize(scaled)).astype(np.float32)
    total = 0.0
    for matrix in weights:
        exact = inputs @ matrix.T
        quantized = fake_quantize(matrix * scale).astype(np.float32)
        total += squared_norm(scaled @ quantized.T - exact) / (squared_norm(exact) or 1.0)
    return total


def _candidates(
    inputs: Floats, weights: Sequence[Floats], families: Iterable[Family]
) -> list[NDArray[np.float64]]:
    """All scales of the families, each of them once."""
    found: list[NDArray[np.float64]] = []
    pairs: list[tuple[float, float]] = []
    for family in families:
        check_member("family", family, Family)
        match family:
            case Family.SMOOTH:
                pairs += [(a, 1 - a) for a in ALPHAS]
            case Family.MEAN:
                found += [_power(_input_sums(inputs), a) for a in ALPHAS]
            case Family.TWO_EXPONENTS:
                pairs += product(ALPHAS_OF_TWO, repeat=2)
    maxima, w = _input_maxima(inputs), _weight_maxima(weights)
    return found + [_power(maxima, a) / _power(w, b) for a, b in dict.fromkeys(pairs)]


def _spaced(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of ``count`` indices, evenly spaced."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.intp)


def _check(inputs: Floats, weights: Sequence[Floats]) -> None:
    check_real("inputs", inputs)
    check_axes("inputs", inputs, 2)
    for matrix in weights:
        check_real("weights", matrix)
        if matrix.ndim != 2 or matrix.shape[1] != inputs.shape[1]:
            raise ValueError(f"weights must have shape (N, {inputs.shape[1]}), not {matrix.shape}")
    if not len(inputs) or not weights:
        raise ValueError("scaling must see at least one input and one layer")


def _input_maxima(inputs: Floats) -> NDArray[np.float64]:
    maxima = np.maximum(inputs.max(axis=0), -inputs.min(axis=0))
    return np.asarray(maxima, dtype=np.float64)


def _input_sums(inputs: Floats) -> NDArray[np.float64]:
    """Sums of magnitudes, which are as good as their means up to a factor."""
    sums = [np.abs(some).sum(axis=0, dtype=np.float64) for some in in_batches(inputs)]
    return np.asarray(np.sum(sums, axis=0))


def _weight_maxima(weights: Sequence[Floats]) -> NDArray[np.float64]:
    maxima = [np.abs(matrix).max(axis=0) for matrix in weights]
    return np.asarray(np.maximum.reduce(maxima), dtype=np.float64)


def _power(magnitudes: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Powers of magnitudes, of geometric mean 1; a channel without any has a power of 1."""
    present = magnitudes > 0
    if not present.any():
        return np.ones_like(magnitudes)
    logarithms = exponent * np.log(np.where(present, magnitudes, 1.0))
    powers: NDArray[np.float64] = np.exp(logarithms - logarithms[present].mean())
    return np.where(present, powers, 1.0)
