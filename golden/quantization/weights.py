"""Quantization of weights, and what its error is made of (docs/dint.md, section 8)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_axes, check_int, check_member, check_real
from dintmac.golden.formats import Format, round_half_away
from dintmac.golden.quantization.grids import Grid, check_grid, check_shiftable

#: Scales that the MSE search tries, and one more for every three codes (section 8.1).
MSE_SCALES = 16
#: Root mean squares that a range without outliers reaches to, as a first guess.
TYPICAL_RANGE = 3.0
#: Binary orders of magnitude that the search may go below the absmax scale.
OCTAVES = 12.0

#: Errors that differ by less of them are equal: a scale and its mirror image often are, but for
#: the rounding of floating point.
EQUAL = 1e-12

#: Weights quantized at a time: few enough for the cache, enough for NumPy.
_CHUNK = 1 << 16


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
    #: The scale with the least squared error.
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
    format : Format or Codebook
        What the codes mean.
    granularity : Granularity
        Which weights share a scale.
    zero_point : int64 array, shape as ``scale``, optional
        Code of real zero, as an integer, for integers and dINT only: the integer codes stand for so
        many steps less, the denormals for what they always do (docs/dint.md, section 8.2).

    Raises
    ------
    TypeError
        If a field is of the wrong kind.
    ValueError
        If a code is out of range, a scale zero or not finite, the shape of ``scale`` is not
        the one of the granularity, or a zero point does not fit.
    """

    codes: NDArray[np.uint8]
    scale: NDArray[np.float64]
    format: Grid
    granularity: Granularity
    zero_point: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        check_grid("format", self.format)
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
        if self.zero_point is not None:
            self._check_zero_point(self.zero_point)

    def _check_zero_point(self, zero_point: NDArray[np.int64]) -> None:
        check_shiftable("format with a zero point", self.format)
        check_array("zero_point", zero_point, "int64")
        if zero_point.shape != self.scale.shape:
            raise ValueError(
                f"zero_point must have the shape of scale, {self.scale.shape}, "
                f"not {zero_point.shape}"
            )
        low, high = int(self.format.minimum), int(self.format.maximum)
        for extreme in (int(zero_point.min()), int(zero_point.max())):
            check_int("zero_point", extreme, low, high)

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
        """Real weights, float64, shape (N, K): steps times the scale."""
        rows, groups = len(self.codes), self.scale.shape[1]
        codes = self.codes.reshape(rows, groups, self.group_size)
        zero = 0 if self.zero_point is None else self.zero_point[:, :, np.newaxis]
        values = decode(codes, self.format, zero) * self.scale[:, :, np.newaxis]
        return values.reshape(self.shape)


def quantize_weights(
    weights: NDArray[np.floating],
    format: Grid,
    *,
    granularity: Granularity = Granularity.CHANNEL,
    group_size: int | None = None,
    search: ScaleSearch = ScaleSearch.ABSMAX,
    signed_scale: bool = False,
    asymmetric: bool = False,
) -> QuantizedTensor:
    """Quantize a weight matrix.

    Weights that share a scale and are all zero have a scale of 1 and codes of zero. All
    arithmetic is in float64, whatever the dtype of ``weights``.

    Parameters
    ----------
    weights : floating-point array, shape (N, K), neither of them 0
        A row for each output.
    format : Format or Codebook
        Grid that the weights are rounded to.
    granularity : Granularity
        Which weights share a scale.
    group_size : int, optional
        For ``GROUP``, and only then: weights in a group; it divides K.
    search : ScaleSearch
        How the magnitude of a scale is chosen.
    signed_scale : bool
        Whether each scale may be negative, wherever this lowers the squared error: the range of
        a format is not symmetric, and its mirror image costs nothing in hardware.
    asymmetric : bool
        Whether each scale has a zero point, for integers and dINT only (docs/dint.md, section
        8.2). It takes the place of a signed scale.

    Returns
    -------
    QuantizedTensor

    Raises
    ------
    TypeError
        If ``weights`` is not a floating-point array or an option is of the wrong kind.
    ValueError
        If a weight is NaN or infinite, there are none, ``group_size`` does not divide K, is
        missing or is not wanted, or scales are to be both signed and asymmetric.
    """
    check_real("weights", weights)
    check_axes("weights", weights, 2)
    if weights.size == 0:
        raise ValueError(f"weights must not be empty, not shape {weights.shape}")
    check_member("granularity", granularity, Granularity)
    check_member("search", search, ScaleSearch)
    check_grid("format", format)
    if asymmetric:
        check_shiftable("format with a zero point", format)
    if asymmetric and signed_scale:
        raise ValueError("scales must be either signed or asymmetric, not both")
    shape = _scale_shape(weights.shape[0], weights.shape[1], granularity, group_size)
    blocks = weights.astype(np.float64).reshape(shape[0] * shape[1], -1)
    scale = np.empty((len(blocks), 1))
    zero = np.zeros((len(blocks), 1), dtype=np.int64)
    codes = np.empty(blocks.shape, dtype=np.uint8)
    for part in _chunks(blocks):
        best = _best_candidate(blocks[part], format, search, signed_scale, asymmetric)
        scale[part], zero[part] = best
        codes[part] = encode(blocks[part] / best.scale, format, best.zero)
    return QuantizedTensor(
        codes.reshape(weights.shape),
        scale.reshape(shape),
        format,
        granularity,
        zero.reshape(shape) if asymmetric else None,
    )


def encode(
    steps: NDArray[np.floating], format: Grid, zero_point: NDArray[np.int64] | int = 0
) -> NDArray[np.uint8]:
    """Codes of the nearest values on a grid that a zero point may shift.

    Parameters
    ----------
    steps : floating-point array, any shape
        Real values divided by the scale.
    format : Format or Codebook
        The grid; one with denormals keeps them round real zero.
    zero_point : int64 array that broadcasts against ``steps``, or int
        Code of real zero; 0 for FP4 and a Codebook.

    Returns
    -------
    uint8 array, shape of ``steps``.

    Raises
    ------
    TypeError
        If ``steps`` is not a floating-point array.
    ValueError
        If a value is NaN or infinite.
    """
    if not np.any(zero_point):
        return format.encode(steps)
    half_steps = _round(steps, format, zero_point)
    integers = format.encode(half_steps / 2 + zero_point)
    # A denormal is the only odd number of half steps; shifted it would not be one.
    return np.where(half_steps % 2 != 0, format.encode(half_steps / 2), integers)


def decode(
    codes: NDArray[np.uint8], format: Grid, zero_point: NDArray[np.int64] | int = 0
) -> NDArray[np.float64]:
    """Values of codes in steps, less the zero point; undoes :func:`encode`.

    Parameters
    ----------
    codes : uint8 array, any shape
    format : Format or Codebook
        What they mean.
    zero_point : int64 array that broadcasts against ``codes``, or int
        Code of real zero; 0 for FP4 and a Codebook.

    Returns
    -------
    float64 array, same shape.

    Raises
    ------
    TypeError, ValueError
        If ``codes`` are no codes of the grid.
    """
    steps = format.decode(codes) / 2
    if not np.any(zero_point):
        return np.asarray(steps, dtype=np.float64)
    return np.where(steps % 1 != 0, steps, steps - zero_point)


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
    underflows = (exact != 0) & (quantized.dequantize() == 0)
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


class _Candidate(NamedTuple):
    """What the weights of each row may be divided by, and shifted; both of shape (rows, 1)."""

    scale: NDArray[np.float64]
    zero: NDArray[np.int64]


def _best_candidate(
    blocks: NDArray[np.float64],
    format: Grid,
    search: ScaleSearch,
    signed_scale: bool,
    asymmetric: bool,
) -> _Candidate:
    """Scale and zero point of each row with the least squared error of all candidates."""
    unshifted = np.zeros((len(blocks), 1), dtype=np.int64)
    candidates = [_Candidate(absmax_scale(blocks, format), unshifted)]
    if signed_scale:
        candidates.append(_Candidate(-absmax_scale(-blocks, format), unshifted))
    if asymmetric:
        shifts = range(int(format.minimum) + 1, int(format.maximum))
        candidates += [
            _Candidate(absmax_scale(blocks, format, shift), unshifted + shift) for shift in shifts
        ]
        candidates = [_least_error(blocks, format, [*candidates, _min_max(blocks, format)])]
    if search is ScaleSearch.MSE:
        candidates += [_fitted(blocks, format, candidate) for candidate in candidates]
    return _least_error(blocks, format, candidates)


def _least_error(
    blocks: NDArray[np.float64], format: Grid, candidates: Iterable[_Candidate]
) -> _Candidate:
    """For each row the first of the candidates with the least squared error."""
    first, *others = candidates
    if not others:
        return first
    best, least = first, _squared_error(blocks, first, format)
    for candidate in others:
        error = _squared_error(blocks, candidate, format)
        better = error < least * (1 - EQUAL)
        best = _Candidate(
            np.where(better, candidate.scale, best.scale),
            np.where(better, candidate.zero, best.zero),
        )
        least = np.where(better, error, least)
    return best


def absmax_scale(
    blocks: NDArray[np.float64], format: Grid, zero_point: int = 0
) -> NDArray[np.float64]:
    """Smallest positive scale that clips nothing of a row; 1 for a row of zeros.

    Parameters
    ----------
    blocks : float64 array, shape (rows, length)
        Each row shares a scale.
    format : Format or Codebook
        Its range, −6 … 7 for dINT4, need not be symmetric.
    zero_point : int
        The range is so many steps less; zero lies within.

    Returns
    -------
    float64 array, shape (rows, 1).
    """
    highest = blocks.max(axis=1, keepdims=True) / (format.maximum - zero_point)
    lowest = blocks.min(axis=1, keepdims=True) / (format.minimum - zero_point)
    return _or_one(np.maximum(highest, lowest))


def _min_max(blocks: NDArray[np.float64], format: Grid) -> _Candidate:
    """All steps over the range of each row, widened to contain zero, and the nearest zero point."""
    low = np.minimum(blocks.min(axis=1, keepdims=True), 0)
    high = np.maximum(blocks.max(axis=1, keepdims=True), 0)
    scale = _or_one((high - low) / (format.maximum - format.minimum))
    return _Candidate(scale, round_half_away(format.minimum - low / scale).astype(np.int64))


def _fitted(blocks: NDArray[np.float64], format: Grid, start: _Candidate) -> _Candidate:
    """The scale of each row with the least squared error, searched round an absmax scale.

    docs/dint.md, section 8.1. A scale that is tried only has to find the right codes: it stands
    for the one that is best for them.
    """
    steps = blocks / start.scale
    energy = _row_dots(steps, steps)
    reach = np.maximum(format.maximum - start.zero, start.zero - format.minimum)
    rms = np.sqrt(energy / steps.shape[1])
    best = _Fit(np.ones(energy.shape), np.zeros(energy.shape))
    for tried in (best.scale, np.clip(TYPICAL_RANGE * rms / reach, 2.0**-OCTAVES, 1)):
        best = _better(best, _fit(steps, tried, format, start.zero))
    narrowest = _narrowest(np.abs(steps), reach, energy - best.explained)
    widest = 1 + 4 / format.bits
    count = MSE_SCALES + (1 << format.bits) // 3
    for inverse in np.linspace(1 / widest, 1 / narrowest, count):
        best = _better(best, _fit(steps, 1 / inverse, format, start.zero))
    best = _better(best, _fit(steps, best.scale, format, start.zero))
    return _Candidate(start.scale * best.scale, start.zero)


class _Fit(NamedTuple):
    """Scales of rows, and what codes explain of the squares of each; both of shape (rows, 1)."""

    scale: NDArray[np.float64]
    explained: NDArray[np.float64]


def _fit(
    steps: NDArray[np.float64], tried: NDArray[np.float64], format: Grid, zero: NDArray[np.int64]
) -> _Fit:
    """The codes that a scale gives, with the scale that is best for them.

    Values q leave the least of Σ(w − sq)² with s = Σwq / Σq²: Σw² − (Σwq)² / Σq².
    """
    half_steps = _round(steps / tried, format, zero)
    products, squares = _row_dots(half_steps, steps), _or_one(_row_dots(half_steps, half_steps))
    return _Fit(2 * products / squares, products**2 / squares)


def _better(first: _Fit, second: _Fit) -> _Fit:
    """For each row the fit that explains more; of equals the first."""
    better = second.explained > first.explained
    return _Fit(*(np.where(better, b, a) for a, b in zip(first, second, strict=True)))


def _narrowest(
    magnitudes: NDArray[np.float64], reach: NDArray[np.int64], error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A scale of each row below which clipping alone costs more than an error; shape (rows, 1)."""
    low, high = np.zeros(error.shape), np.full(error.shape, OCTAVES)
    for _ in range(8):
        middle = (low + high) / 2
        clipped = np.maximum(magnitudes - reach * 2.0**-middle, 0)
        too_much = _row_dots(clipped, clipped) > error
        low, high = np.where(too_much, low, middle), np.where(too_much, middle, high)
    return 2.0**-high


def _row_dots(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Products of rows with rows; shape (rows, 1)."""
    # Not by BLAS, whose last bits depend on the number of its threads.
    dots: NDArray[np.float64] = np.einsum("ij,ij->i", first, second)[:, np.newaxis]
    return dots


def _or_one(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, and 1 where there are none above zero."""
    return np.where(values > 0, values, 1.0)


def _squared_error(
    blocks: NDArray[np.float64], candidate: _Candidate, format: Grid
) -> NDArray[np.float64]:
    """Squared error of each row; shape (rows, 1)."""
    scale, zero = candidate
    error = _round(blocks / scale, format, zero) * (scale / 2) - blocks
    return _row_dots(error, error)


def _round(
    steps: NDArray[np.floating], format: Grid, zero_point: NDArray[np.int64] | int
) -> NDArray[np.floating]:
    """The values that :func:`encode` chooses, in half steps, less the zero point."""
    if not np.any(zero_point):
        return format.round(steps)
    assert isinstance(format, Format)  # No other grid has a zero point.
    low, high = format.minimum - zero_point, format.maximum - zero_point
    whole = 2 * round_half_away(np.clip(steps, low, high))
    if not format.is_dint:
        return whole
    # Where zero is an end of the range, its denormal is.
    inside = np.clip(steps, np.minimum(low, -0.5), np.maximum(high, 0.5))
    half_steps = round_half_away(2 * inside)
    return np.where(np.abs(half_steps) == 1, half_steps, whole)
