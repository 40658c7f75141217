"""Grids of values that weights can be rounded to: those of the hardware, and others to compare.

A :class:`~dintmac.golden.formats.Format` is a grid that the hardware multiplies. A
:class:`Codebook` is any other one, given by its levels; it goes through the same quantizers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import FORMATS, Format, check_codes, named, nearest


class Grid(Protocol):
    """What a quantizer needs to know of a set of values; all of it in steps or half steps."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def bits(self) -> int:
        """Width of a code."""

    @property
    def units_per_step(self) -> int:
        """Hardware units in a step."""

    @property
    def minimum(self) -> float:
        """Least value, in steps."""

    @property
    def maximum(self) -> float:
        """Greatest value, in steps."""

    def check_codes(self, codes: NDArray[np.uint8]) -> None:
        """Refuse what is no array of codes of this grid."""

    def encode(self, steps: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Codes of the nearest values, ties away from zero; saturates."""

    def round(self, steps: NDArray[np.floating]) -> NDArray[np.floating]:
        """The values that ``encode`` chooses, in half steps."""

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[Any]:
        """Values of codes, in half steps."""

    def to_units(self, codes: NDArray[np.uint8]) -> NDArray[Any]:
        """Values of codes, in hardware units."""


@dataclass(frozen=True)
class Codebook:
    """A grid given by its levels.

    Parameters
    ----------
    name : str
        Name for people.
    levels : tuple of float
        Value of every code, in steps; finite, 2^b of them for b bits, b = 1 … 8. Some must be
        negative, some positive, and one zero.

    Raises
    ------
    ValueError
        If there are levels that do not fit this.
    """

    name: str
    levels: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.levels)
        if not 2 <= count <= 256 or count & (count - 1):
            raise ValueError(f"levels must be a power of two up to 256 in number, not {count}")
        if not np.isfinite(self.levels).all():
            raise ValueError(f"levels must be finite, not {self.levels}")
        if not (min(self.levels) < 0 < max(self.levels) and 0 in self.levels):
            raise ValueError(f"levels must lie on both sides of 0 and contain it: {self.levels}")

    @property
    def bits(self) -> int:
        """Width of a code."""
        return len(self.levels).bit_length() - 1

    @property
    def units_per_step(self) -> int:
        """2: the unit is half a step."""
        return 2

    @property
    def minimum(self) -> float:
        """Least level, in steps."""
        return min(self.levels)

    @property
    def maximum(self) -> float:
        """Greatest level, in steps."""
        return max(self.levels)

    @cached_property
    def half_steps(self) -> NDArray[np.float64]:
        """Value of every code, float64, shape ``(codes,)``, in half steps."""
        return 2 * np.array(self.levels)

    @cached_property
    def _ascending(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Different levels in half steps, and their codes."""
        values, codes = np.unique(self.half_steps, return_index=True)
        return values, codes.astype(np.uint8)

    def check_codes(self, codes: NDArray[np.uint8]) -> None:
        """Refuse what is no array of codes of this grid.

        Raises
        ------
        TypeError
            If ``codes`` is not a uint8 array.
        ValueError
            If a code is out of range.
        """
        check_codes(codes, self.name, len(self.levels))

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Values of codes in half steps, float64, same shape.

        Raises
        ------
        TypeError, ValueError
            As :meth:`check_codes`.
        """
        self.check_codes(codes)
        return self.half_steps[codes]

    def to_units(self, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Values of codes in half steps, which need not be whole numbers."""
        return self.decode(codes)

    def encode(self, steps: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Codes of the nearest levels, ties away from zero; uint8, same shape.

        Raises
        ------
        TypeError
            If ``steps`` is not a floating-point array.
        ValueError
            If a value is NaN or infinite.
        """
        values, codes = self._ascending
        return codes[nearest(values, steps)]

    def round(self, steps: NDArray[np.floating]) -> NDArray[np.floating]:
        """The levels that :meth:`encode` chooses, in half steps, in the dtype of ``steps``.

        Raises
        ------
        TypeError, ValueError
            As :meth:`encode`.
        """
        values, _ = self._ascending
        return values.astype(steps.dtype)[nearest(values, steps)]


#: NormalFloat of Dettmers et al., *QLoRA: Efficient Finetuning of Quantized LLMs* (2023), appendix
#: E: quantiles of a normal distribution, no integers of any step.
NF4 = Codebook(
    "NF4",
    (
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ),
)


def whole_levels(grid: Codebook, tolerance: float) -> NDArray[np.int64]:
    """The smallest whole numbers that can stand for the levels, which a MAC would multiply.

    Parameters
    ----------
    grid : Codebook
    tolerance : float
        How far any number, times one factor for all, may be from its level, relative to it.

    Returns
    -------
    int64 array, shape ``(codes,)``.

    Raises
    ------
    ValueError
        If the tolerance is not above 0 and below 1.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be above 0 and below 1, not {tolerance!r}")
    levels = np.array(grid.levels)
    sizes = np.abs(levels[levels != 0])

    def fits(factor: float) -> bool:
        ratios = np.rint(sizes * factor) / sizes
        return bool(ratios.max() * (1 - tolerance) <= ratios.min() * (1 + tolerance))

    factors = (factor for greatest in count(1) for factor in _factors(sizes, greatest))
    whole: NDArray[np.int64] = np.rint(levels * next(filter(fits, factors))).astype(np.int64)
    return whole


def _factors(sizes: NDArray[np.float64], greatest: int) -> NDArray[np.float64]:
    """Factors for every way to round sizes times a factor such that the largest has this value."""
    low, high = (greatest - 0.5) / sizes.max(), (greatest + 0.5) / sizes.max()
    changes = np.outer(1 / sizes, np.arange(greatest) + 0.5).ravel()
    ends = np.unique([low, *changes[(changes > low) & (changes < high)], high])
    between: NDArray[np.float64] = (ends[1:] + ends[:-1]) / 2
    return between


def check_grid(name: str, value: object) -> None:
    """Refuse what is no grid.

    Raises
    ------
    TypeError
        If ``value`` is neither a :class:`Format` nor a :class:`Codebook`.
    """
    if not isinstance(value, Format | Codebook):
        raise TypeError(f"{name} must be a Format or a Codebook, not {value!r}")


def check_shiftable(name: str, value: object) -> None:
    """Refuse what can have no zero point.

    Raises
    ------
    TypeError
        If ``value`` is no grid.
    ValueError
        If it is one whose levels are not evenly spaced.
    """
    check_grid(name, value)
    assert isinstance(value, Format | Codebook)  # For the type checker: check_grid has seen to it.
    if isinstance(value, Codebook) or not value.kind.evenly_spaced:
        even = named(format for format in FORMATS.values() if format.kind.evenly_spaced)
        raise ValueError(f"{name} must be {even}, not {value.name}")


def parse_grid(name: str) -> Format | Codebook:
    """The grid called ``name``, in any case: a format of the hardware, or ``nf4``.

    Raises
    ------
    ValueError
        If there is no such grid.
    """
    grids: dict[str, Format | Codebook] = {**FORMATS, NF4.name.lower(): NF4}
    if name.lower() not in grids:
        names = named(FORMATS.values(), NF4.name.lower())
        raise ValueError(f"format must be {names}, not {name!r}")
    return grids[name.lower()]
