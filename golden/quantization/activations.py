"""Affine INT8 quantization of activations and the calibration of its range, in floating point.

``xq = clip(R(x / S) + Z, −128, 127)`` and ``x̃ = S · (xq − Z)``; docs/dint.md, section 7. R rounds
to nearest, ties away from zero, as everywhere in this project.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_member, check_real
from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN, round_half_away

#: Fractions of the full range that the MSE calibration tries.
MSE_FACTORS = np.arange(20, 101) / 100

#: Inputs of a layer that are worked on at a time, in float64 where need be.
ROWS = 1024

#: Of so many values at most, evenly spaced among all, the MSE calibration takes the error.
MSE_VALUES = 1 << 18


class Calibration(enum.Enum):
    """How a clipping range is chosen from the values seen."""

    #: The least and the greatest value: clips nothing.
    MIN_MAX = "min-max"
    #: Percentiles: the same share of values is clipped on either side.
    PERCENTILE = "percentile"
    #: The fraction of the min-max range with the least mean squared error.
    MSE = "mse"


@dataclass(frozen=True, eq=False)
class AffineQuantizer:
    """Real numbers to INT8 and back with a scale and a zero point.

    Parameters
    ----------
    scale : float64 array that broadcasts against the values, positive
        S, the real size of a step. Shape () for one scale, (…, 1) for one a token.
    zero_point : int64 array of the same shape, −128 to 127
        Z, the code of real zero.

    Raises
    ------
    TypeError
        If ``scale`` or ``zero_point`` is of another type.
    ValueError
        If a scale is not finite and positive, a zero point out of range, or their shapes differ.
    """

    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_array("scale", self.scale, "float64")
        check_array("zero_point", self.zero_point, "int64")
        check_real("scale", self.scale)
        if not (self.scale > 0).all():
            raise ValueError(f"scale must be positive, not {self.scale.min()}")
        if self.zero_point.shape != self.scale.shape:
            raise ValueError(
                f"scale and zero_point must have the same shape, "
                f"not {self.scale.shape} and {self.zero_point.shape}"
            )
        if ((self.zero_point < ACTIVATION_MIN) | (self.zero_point > ACTIVATION_MAX)).any():
            raise ValueError(f"zero_point must be -128 to 127, not {self.zero_point}")

    @classmethod
    def from_range(
        cls, low: float | NDArray[np.floating], high: float | NDArray[np.floating]
    ) -> AffineQuantizer:
        """The quantizer with the clipping range [low, high], α and β in the specification.

        ``S = (β − α) / (127 − (−128))`` and ``Z = R(−128 − α / S)``. A range of no width
        (α = β = 0) has S = 1.

        Parameters
        ----------
        low, high : float, or floating-point arrays of one shape
            The range must contain zero, which has to have a code of its own.

        Raises
        ------
        ValueError
            If an end is not finite, or a range does not contain zero.
        """
        low, high = (np.asarray(end, dtype=np.float64) for end in (low, high))
        if not (np.isfinite(low) & np.isfinite(high) & (low <= 0) & (high >= 0)).all():
            raise ValueError(f"range must be finite and contain 0, not [{low}, {high}]")
        scale = np.asarray(_or_one((high - low) / (ACTIVATION_MAX - ACTIVATION_MIN)))
        zero_point = np.asarray(round_half_away(ACTIVATION_MIN - low / scale))
        return cls(scale, zero_point.astype(np.int64))

    @classmethod
    def symmetric(cls, limit: float | NDArray[np.floating]) -> AffineQuantizer:
        """The quantizer with the clipping range [−limit, limit], S = limit / 127 and Z = 0.

        A limit of 0 has S = 1.

        Raises
        ------
        ValueError
            If a limit is negative or not finite.
        """
        limit = np.asarray(limit, dtype=np.float64)
        if not (np.isfinite(limit) & (limit >= 0)).all():
            raise ValueError(f"limit must be finite and not negative, not {limit}")
        scale = np.asarray(_or_one(limit / ACTIVATION_MAX))
        return cls(scale, np.zeros(scale.shape, dtype=np.int64))

    def quantize(self, values: NDArray[np.floating]) -> NDArray[np.int8]:
        """Codes of real values; int8, same shape. What is out of range saturates.

        Raises
        ------
        TypeError
            If ``values`` is not a floating-point array.
        ValueError
            If a value is NaN or infinite.
        """
        check_real("values to quantize", values)
        steps = round_half_away(values.astype(np.float64) / self.scale) + self.zero_point
        codes: NDArray[np.int8] = np.clip(steps, ACTIVATION_MIN, ACTIVATION_MAX).astype(np.int8)
        return codes

    def dequantize(self, codes: NDArray[np.int8]) -> NDArray[np.float64]:
        """Real values of codes; float64, same shape.

        Raises
        ------
        TypeError
            If ``codes`` is not an int8 array.
        """
        check_array("codes to dequantize", codes, "int8")
        values: NDArray[np.float64] = self.scale * (codes.astype(np.int64) - self.zero_point)
        return values


#: Gives the quantizer for values, float, shape (…, features).
QuantizerOf = Callable[[NDArray[np.floating]], AffineQuantizer]


@dataclass(frozen=True)
class ActivationScheme:
    """How the activations that enter a layer become INT8.

    Parameters
    ----------
    dynamic : bool
        Whether each token has its own min-max range; otherwise all have the one of calibration.
    symmetric : bool
        Whether the zero point is 0, as the hardware takes it.
    method : Calibration
        How a static range is chosen.
    percentile : float
        As in :func:`calibrate`.
    """

    dynamic: bool = False
    symmetric: bool = True
    method: Calibration = Calibration.MIN_MAX
    percentile: float = 99.99

    @property
    def name(self) -> str:
        """Name for people: ``min-max``, ``percentile 99.9``, ``dynamic, affine``."""
        name = "dynamic" if self.dynamic else self.method.value
        if name == Calibration.PERCENTILE.value:
            name += f" {self.percentile:g}"
        return name if self.symmetric else f"{name}, affine"

    def fit(self, inputs: NDArray[np.floating]) -> QuantizerOf:
        """What gives the quantizer for inputs like these.

        Parameters
        ----------
        inputs : floating-point array, shape (…, features)
            Inputs of the layer in calibration.

        Raises
        ------
        TypeError, ValueError
            As :func:`calibrate`.
        """
        if self.dynamic:
            return partial(calibrate_dynamic, symmetric=self.symmetric)
        quantizer = calibrate(
            [inputs],
            method=self.method,
            symmetric=self.symmetric,
            percentile=self.percentile,
        )
        return lambda values: quantizer


def in_batches(inputs: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """Views of inputs of a layer, shape (M, K), a few rows each: all of them, in order."""
    return (inputs[start : start + ROWS] for start in range(0, len(inputs), ROWS))


def calibrate(
    batches: Iterable[NDArray[np.floating]],
    *,
    method: Calibration = Calibration.MIN_MAX,
    symmetric: bool = False,
    percentile: float = 99.99,
) -> AffineQuantizer:
    """Static quantization: one range for all values, chosen from samples beforehand.

    Parameters
    ----------
    batches : iterable of floating-point arrays, any shapes
        Samples of the values to be quantized.
    method : Calibration
        How the range is chosen. It is always widened to contain zero.
    symmetric : bool
        Whether the range is [−limit, limit], with a zero point of 0.
    percentile : float
        For ``PERCENTILE``: the range is from the (100 − percentile)-th to the percentile-th
        percentile of the values, or the percentile-th of their magnitudes if symmetric.
        Above 50, up to 100.

    Returns
    -------
    AffineQuantizer with a scale of shape ().

    Raises
    ------
    TypeError
        If a batch is not a floating-point array.
    ValueError
        If there are no values, one is NaN or infinite, or ``percentile`` is out of range.
    """
    check_member("method", method, Calibration)
    if not 50 < percentile <= 100:
        raise ValueError(f"percentile must be above 50 and at most 100, not {percentile}")
    values = _all_values(batches)
    if method is not Calibration.PERCENTILE:
        percentile = 100.0
    low, high = _range(values, percentile, symmetric)
    if method is not Calibration.MSE:
        return _quantizer(low, high, symmetric)
    candidates = [_quantizer(f * low, f * high, symmetric) for f in MSE_FACTORS]
    values = values[:: -(-values.size // MSE_VALUES)]
    return min(candidates, key=lambda quantizer: _mean_squared_error(quantizer, values))


def calibrate_dynamic(values: NDArray[np.floating], *, symmetric: bool = False) -> AffineQuantizer:
    """Dynamic quantization: a min-max range for each token, from the very values to quantize.

    Parameters
    ----------
    values : floating-point array, shape (…, features)
        A token is a row of the last axis.
    symmetric : bool
        Whether the ranges are [−limit, limit], with zero points of 0.

    Returns
    -------
    AffineQuantizer with scales of shape (…, 1).

    Raises
    ------
    TypeError
        If ``values`` is not a floating-point array.
    ValueError
        If a value is NaN or infinite.
    """
    check_real("values to calibrate", values)
    low = np.minimum(values.min(axis=-1, keepdims=True, initial=0), 0)
    high = np.maximum(values.max(axis=-1, keepdims=True, initial=0), 0)
    return _quantizer(low, high, symmetric)


def _all_values(batches: Iterable[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The values of all batches in one vector."""
    flat = []
    for batch in batches:
        check_real("values to calibrate", batch)
        flat.append(batch.ravel())
    if not sum(part.size for part in flat):
        raise ValueError("calibration must see at least one value")
    return flat[0] if len(flat) == 1 else np.concatenate(flat)


def _range(values: NDArray[np.floating], percentile: float, symmetric: bool) -> tuple[float, float]:
    """The range between percentiles, widened to contain zero."""
    if percentile == 100:  # The extremes need no sorting.
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
    if symmetric:
        limit = float(np.percentile(np.abs(values), percentile))
        return -limit, limit
    low, high = np.percentile(values, [100 - percentile, percentile])
    return min(float(low), 0.0), max(float(high), 0.0)


def _quantizer(
    low: float | NDArray[np.floating], high: float | NDArray[np.floating], symmetric: bool
) -> AffineQuantizer:
    """The quantizer of a range; the symmetric one is as wide as its wider side."""
    if symmetric:
        return AffineQuantizer.symmetric(np.maximum(np.negative(low), high))
    return AffineQuantizer.from_range(low, high)


def _mean_squared_error(quantizer: AffineQuantizer, values: NDArray[np.floating]) -> float:
    """Mean squared error of values that go to INT8 and back."""
    error = quantizer.dequantize(quantizer.quantize(values)) - values
    return float(np.mean(error**2))


def _or_one(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """A scale of 1 where there is nothing to scale."""
    return np.where(scale > 0, scale, 1.0)
