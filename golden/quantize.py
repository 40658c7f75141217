"""Symmetric quantization of weights, and what its error is made of (docs/dint.md, section 8)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_axes, check_int, check_member, check_real
from dintmac.golden.formats import Format

#: Fractions of the absmax scale that the MSE search tries.
MSE_FACTORS = np.arange(100, 39, -2) / 100

#: Weights quantized at a time: few enough for the cache, enough for NumPy.
_CHUNK = 1 << 17


class Granularity(enum.Enum):
    """Which weights share a scale."""

    #: All of them.
    TENSOR = "tensor"
    #: Those of an output: a row.
    CHANNEL = "channel"
    #: So many neighbours within a row.
    GROUP = "group"


class ScaleSearch(enum.Enum):
    """How the magnitude of a scale is chosen."""

    #: The smallest scale that clips nothing.
    ABSMAX = "absmax"
    #: The fraction of the absmax scale with the least squared error.
    MSE = "mse"


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A weight matrix as codes and scales.

    Parameters
    ----------
    codes : uint8 array, shape (N, K)
        Codes of ``format``, a row for each output.
    scale : float64 array
        Real size of a step; negative for the mirror image of the format's range. Its shape is
        (1, 1) per tensor, (N, 1) per channel and (N, groups) per group.
    format : Format
        What the codes mean.
    granularity : Granularity
        Which weights share a scale.

    Raises
    ------
    TypeError
        If a field is of the wrong kind.
    ValueError
        If a code is out of range, a scale zero or not finite, or the shape of ``scale`` is not
        the one of the granularity.
    """

    codes: NDArray[np.uint8]
    scale: NDArray[np.float64]
    format: Format
    granularity: Granularity

    def __post_init__(self) -> None:
        check_member("format", self.format, Format)
        self.format.check_codes(self.codes)
        check_axes("codes", self.codes, 2)
        check_member("granularity", self.granularity, Granularity)
        check_array("scale", self.scale, "float64")
        check_axes("scale", self.scale, 2)
        check_real("scale", self.scale)
        if not self.scale.all():
            raise ValueError("scale must not be 0")
        rows, depth = self.codes.shape
        groups = self.scale.shape[1]
        fits = {
            Granularity.TENSOR: self.scale.shape == (1, 1),
            Granularity.CHANNEL: self.scale.shape == (rows, 1),
            Granularity.GROUP: len(self.scale) == rows and groups > 0 and depth % groups == 0,
        }
        if not fits[self.granularity]:
            raise ValueError(
                f"scale per {self.granularity.value} must fit codes of shape {self.codes.shape}, "
                f"not have shape {self.scale.shape}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def group_size(self) -> int:
        """Neighbours within a row that share a scale; K unless the granularity is GROUP."""
        return self.shape[1] // int(self.scale.shape[1])

    def unit_scale(self) -> NDArray[np.float64]:
        """Real size of a hardware unit (half a step for dINT), shape as ``scale``."""
        return self.scale / self.format.units_per_step

    def dequantize(self) -> NDArray[np.float64]:
        """Real weights, float64, shape (N, K): units times the size of a unit."""
        rows, groups = len(self.codes), self.scale.shape[1]
        units = self.format.to_units(self.codes).reshape(rows, groups, self.group_size)
        values: NDArray[np.float64] = units * self.unit_scale()[:, :, np.newaxis]
        return values.reshape(self.shape)


def quantize_weights(
    weights: NDArray[np.floating],
    format: Format,
    *,
    granularity: Granularity = Granularity.CHANNEL,
    group_size: int | None = None,
    search: ScaleSearch = ScaleSearch.ABSMAX,
    signed_scale: bool = False,
) -> QuantizedTensor:
    """Quantize a weight matrix without a zero point.

    Weights that share a scale and are all zero have a scale of 1 and codes of zero. All
    arithmetic is in float64, whatever the dtype of ``weights``.

    Parameters
    ----------
    weights : floating-point array, shape (N, K), neither of them 0
        A row for each output.
    format : Format
        Format of the codes.
    granularity : Granularity
        Which weights share a scale.
    group_size : int, optional
        For ``GROUP``, and only then: weights in a group; it divides K.
    search : ScaleSearch
        How the magnitude of a scale is chosen.
    signed_scale : bool
        Whether each scale may be negative, wherever this lowers the squared error: the range of
        a format is not symmetric, and its mirror image costs nothing in hardware.

    Returns
    -------
    QuantizedTensor

    Raises
    ------
    TypeError
        If ``weights`` is not a floating-point array or an option is of the wrong kind.
    ValueError
        If a weight is NaN or infinite, there are none, or ``group_size`` does not divide K, is
        missing or is not wanted.
    """
    check_real("weights", weights)
    check_axes("weights", weights, 2)
    if weights.size == 0:
        raise ValueError(f"weights must not be empty, not shape {weights.shape}")
    check_member("granularity", granularity, Granularity)
    check_member("search", search, ScaleSearch)
    check_member("format", format, Format)
    shape = _scale_shape(weights.shape[0], weights.shape[1], granularity, group_size)
    blocks = weights.astype(np.float64).reshape(shape[0] * shape[1], -1)
    scale = np.empty((len(blocks), 1))
    codes = np.empty(blocks.shape, dtype=np.uint8)
    for part in _chunks(blocks):
        scale[part] = _best_scale(blocks[part], format, search, signed_scale)
        codes[part] = format.encode(blocks[part] / scale[part])
    return QuantizedTensor(codes.reshape(weights.shape), scale.reshape(shape), format, granularity)


@dataclass(frozen=True)
class ErrorSplit:
    """Squared error of quantization, relative to the squared norm of what was quantized.

    The two parts are those of "Enhancing Computation Efficiency in Large Language Models through
    Weight and Activation Quantization" (EMNLP 2023). For weights they add up to the total; for
    outputs they need not, as the two errors may be correlated.
    """

    #: Of both parts together.
    total: float
    #: Δr: of the weights that are not quantized to zero, or were zero.
    rounding: float
    #: Δu: of the non-zero weights that are quantized to zero.
    underflow: float
    #: Share of all weights that are not zero and are quantized to zero.
    underflowed: float


def split_error(
    weights: NDArray[np.floating],
    quantized: QuantizedTensor,
    inputs: NDArray[np.floating] | None = None,
) -> ErrorSplit:
    """Split the error of quantization into rounding and underflow.

    Parameters
    ----------
    weights : floating-point array, shape (N, K)
        The weights that were quantized.
    quantized : QuantizedTensor
        What became of them.
    inputs : floating-point array, shape (M, K), optional
        Inputs of the layer: the error is then that of its outputs ``inputs @ weights.T``,
        instead of that of the weights.

    Returns
    -------
    ErrorSplit; all zero if what was quantized is all zero and is reproduced.

    Raises
    ------
    TypeError
        If ``weights`` or ``inputs`` is not a floating-point array.
    ValueError
        If a value is NaN or infinite, or shapes do not match.
    """
    check_real("weights", weights)
    if weights.shape != quantized.shape:
        raise ValueError(f"weights must have shape {quantized.shape}, not {weights.shape}")
    if inputs is not None:
        check_real("inputs", inputs)
        if inputs.ndim != 2 or inputs.shape[1] != weights.shape[1]:
            raise ValueError(f"inputs must have shape (M, {weights.shape[1]}), not {inputs.shape}")

    exact = weights.astype(np.float64)
    error = quantized.dequantize() - exact
    underflows = (exact != 0) & (quantized.format.decode(quantized.codes) == 0)
    reference = _energy(exact, inputs) or 1.0
    return ErrorSplit(
        total=_energy(error, inputs) / reference,
        rounding=_energy(np.where(underflows, 0.0, error), inputs) / reference,
        underflow=_energy(np.where(underflows, error, 0.0), inputs) / reference,
        underflowed=float(underflows.mean()),
    )


def _energy(matrix: NDArray[np.float64], inputs: NDArray[np.floating] | None) -> float:
    """Squared norm of a matrix, or of the outputs that it makes of inputs."""
    values = matrix if inputs is None else inputs.astype(np.float64) @ matrix.T
    return float(np.vdot(values, values))


def _scale_shape(
    rows: int, depth: int, granularity: Granularity, group_size: int | None
) -> tuple[int, int]:
    """Shape of the scales of a matrix."""
    if granularity is not Granularity.GROUP:
        if group_size is not None:
            raise ValueError(f"group_size must be None per {granularity.value}, not {group_size!r}")
        return (1, 1) if granularity is Granularity.TENSOR else (rows, 1)
    check_int("group_size", group_size, 1, depth)
    assert group_size is not None  # For the type checker: check_int has refused None.
    if depth % group_size:
        raise ValueError(f"group_size must divide the inner axis of {depth}, not {group_size}")
    return rows, depth // group_size


def _chunks(blocks: NDArray[np.float64]) -> Iterator[slice]:
    """Slices of the rows, of about as many weights each as the cache holds."""
    rows = max(_CHUNK // blocks.shape[1], 1)
    return (slice(start, start + rows) for start in range(0, len(blocks), rows))


def _best_scale(
    blocks: NDArray[np.float64], format: Format, search: ScaleSearch, signed_scale: bool
) -> NDArray[np.float64]:
    """Scale of each row with the least squared error of all candidates; shape (rows, 1)."""
    candidates = [absmax_scale(blocks, format)]
    if signed_scale:
        candidates.append(-absmax_scale(-blocks, format))
    if search is ScaleSearch.MSE:
        candidates = [factor * scale for scale in candidates for factor in MSE_FACTORS]
    if len(candidates) == 1:
        return candidates[0]
    best, least = candidates[0], _squared_error(blocks, candidates[0], format)
    for scale in candidates[1:]:
        error = _squared_error(blocks, scale, format)
        better = error < least
        best, least = np.where(better, scale, best), np.where(better, error, least)
    return best


def absmax_scale(blocks: NDArray[np.float64], format: Format) -> NDArray[np.float64]:
    """Smallest positive scale that clips nothing of a row; 1 for a row of zeros.

    Parameters
    ----------
    blocks : float64 array, shape (rows, length)
        Each row shares a scale.
    format : Format
        Its range, −6 … 7 for dINT4, need not be symmetric.

    Returns
    -------
    float64 array, shape (rows, 1).
    """
    highest = blocks.max(axis=1, keepdims=True) / format.maximum
    lowest = blocks.min(axis=1, keepdims=True) / format.minimum
    scale = np.maximum(highest, lowest)
    return np.where(scale > 0, scale, 1.0)


def _squared_error(
    blocks: NDArray[np.float64], scale: NDArray[np.float64], format: Format
) -> NDArray[np.float64]:
    """Squared error of each row; shape (rows, 1)."""
    error = format.round(blocks / scale) * (scale / 2) - blocks
    squared: NDArray[np.float64] = np.square(error).sum(axis=1, keepdims=True)
    return squared
