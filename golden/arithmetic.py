"""Exact integer arithmetic: rounding shift, narrowing and requantization, in int64.

There is one implementation of each; the hardware and the rest of the golden model follow it. The
specification is docs/dint.md, sections 2.3 (rounding modes), 4.3 (overflow), 5 (requantization).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_array, check_int, check_member

#: Longest shift whose doubled remainder still fits int64.
MAX_SHIFT = 62
#: Most bits of the magnitude of a requantizer's multiplier.
MAX_MULTIPLIER_BITS = 31
#: Greatest magnitude of a product in a requantizer: room for rounding and the zero point.
MAX_INTERMEDIATE = 1 << 62


class Rounding(enum.Enum):
    """To which integer a number that is none is rounded."""

    #: To the nearest, a tie to the one of greater magnitude.
    HALF_AWAY_FROM_ZERO = "half away from zero"
    #: To the nearest, a tie to the even one.
    HALF_TO_EVEN = "half to even"
    #: To the nearest, a tie to the greater one: floor(x + 1/2).
    HALF_UP = "half up"
    #: To the one of lesser magnitude.
    TOWARD_ZERO = "toward zero"
    #: To the lesser one: an arithmetic shift to the right.
    FLOOR = "floor"


class Overflow(enum.Enum):
    """What becomes of a number that does not fit."""

    #: It is an error.
    REFUSE = "refuse"
    #: Its low bits stay: exact modulo 2^bits.
    WRAP = "wrap"
    #: The nearest number that fits takes its place.
    SATURATE = "saturate"


def rounding_shift(values: NDArray[np.int64], shift: int, rounding: Rounding) -> NDArray[np.int64]:
    """``values / 2**shift``, rounded to integers.

    Parameters
    ----------
    values : int64 array, any shape
        Any integers.
    shift : int
        0 to 62.
    rounding : Rounding
        How to round.

    Returns
    -------
    int64 array of the same shape.

    Raises
    ------
    TypeError
        If ``values`` is not an int64 array, ``shift`` no int or ``rounding`` no :class:`Rounding`.
    ValueError
        If ``shift`` is out of range.
    """
    check_array("values to shift", values, "int64")
    check_int("shift", shift, 0, MAX_SHIFT)
    check_member("rounding", rounding, Rounding)
    floor = values >> shift
    # The remainder of the floor is in 0 … 2^shift − 1, whatever the sign.
    doubled = 2 * (values & ((1 << shift) - 1))
    return floor + _rounds_up(values, floor, doubled, 1 << shift, rounding)


def _rounds_up(
    values: NDArray[np.int64],
    floor: NDArray[np.int64],
    doubled: NDArray[np.int64],
    whole: int,
    rounding: Rounding,
) -> NDArray[np.bool_]:
    """Where the result is ``floor + 1``; ``doubled`` is twice the remainder, of ``whole``."""
    up: NDArray[np.bool_]
    match rounding:
        case Rounding.FLOOR:
            up = np.zeros(values.shape, dtype=np.bool_)
        case Rounding.TOWARD_ZERO:
            up = (values < 0) & (doubled > 0)
        case Rounding.HALF_UP:
            up = doubled >= whole
        case Rounding.HALF_AWAY_FROM_ZERO:
            up = (doubled > whole) | ((doubled == whole) & (values >= 0))
        case Rounding.HALF_TO_EVEN:
            up = (doubled > whole) | ((doubled == whole) & (floor % 2 == 1))
    return up


def narrow(values: NDArray[np.int64], bits: int, overflow: Overflow) -> NDArray[np.int64]:
    """Bring integers into ``bits`` bits, two's complement.

    Parameters
    ----------
    values : int64 array, any shape
        Any integers.
    bits : int
        Width to fit, 1 to 64.
    overflow : Overflow
        What becomes of a value outside −2^(bits−1) … 2^(bits−1) − 1.

    Returns
    -------
    int64 array of the same shape, each value within ``bits`` bits.

    Raises
    ------
    TypeError
        If ``values`` is not an int64 array, ``bits`` no int or ``overflow`` no :class:`Overflow`.
    ValueError
        If ``bits`` is out of range, or a value does not fit and overflow is refused.
    """
    check_array("values to narrow", values, "int64")
    check_int("bits", bits, 1, 64)
    check_member("overflow", overflow, Overflow)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if overflow is Overflow.SATURATE:
        return np.clip(values, low, high)
    if overflow is Overflow.WRAP:
        return (values << (64 - bits)) >> (64 - bits)
    for extreme in (values.min(initial=0), values.max(initial=0)):
        if not low <= extreme <= high:
            raise ValueError(f"values must fit {bits} signed bits, not {int(extreme)}")
    return values.copy()


@dataclass(frozen=True)
class Requantizer:
    """Wide to narrow with a scale: integers only (docs/dint.md, section 5).

    ``result = saturate(round(accumulator * multiplier / 2**shift) + zero_point)``. The real scale
    that it stands for is ``multiplier / 2**shift``; negative where weights have a negative scale.
    Weights with a scale per channel take one requantizer for each output.

    Parameters
    ----------
    multiplier : int
        ±1 to ±(2^31 − 1).
    shift : int
        0 to 62.
    zero_point : int
        Result of a zero accumulator, within ``bits`` signed bits.
    rounding : Rounding
        How the shift rounds.
    bits : int
        Width of the result, 2 to 8.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If it is out of range.
    """

    multiplier: int
    shift: int
    zero_point: int = 0
    rounding: Rounding = Rounding.HALF_AWAY_FROM_ZERO
    bits: int = 8

    def __post_init__(self) -> None:
        limit = (1 << MAX_MULTIPLIER_BITS) - 1
        check_int("multiplier", self.multiplier, -limit, limit)
        if self.multiplier == 0:
            raise ValueError("multiplier must not be 0")
        check_int("shift", self.shift, 0, MAX_SHIFT)
        check_member("rounding", self.rounding, Rounding)
        check_int("bits", self.bits, 2, 8)
        half = 1 << (self.bits - 1)
        check_int("zero_point", self.zero_point, -half, half - 1)

    @classmethod
    def from_scale(
        cls,
        scale: float,
        *,
        zero_point: int = 0,
        rounding: Rounding = Rounding.HALF_AWAY_FROM_ZERO,
        bits: int = 8,
        multiplier_bits: int = 16,
    ) -> Requantizer:
        """The requantizer nearest to a real scale: relative error at most 2^−multiplier_bits.

        Parameters
        ----------
        scale : float
            Result units per accumulator unit; not zero, either sign.
        zero_point, rounding, bits
            As in the class.
        multiplier_bits : int
            Bits of the magnitude of the multiplier, 2 to 31.

        Raises
        ------
        TypeError
            If ``scale`` is not a float, or another parameter of the wrong kind.
        ValueError
            If ``scale`` is zero, not finite, or too large or small for a shift of 0 to 62.
        """
        if not isinstance(scale, float):
            raise TypeError(f"scale must be a float, not {scale!r}")
        if not math.isfinite(scale) or scale == 0:
            raise ValueError(f"scale must be finite and not zero, not {scale!r}")
        check_int("multiplier_bits", multiplier_bits, 2, MAX_MULTIPLIER_BITS)
        fraction, exponent = math.frexp(scale)
        multiplier = round(fraction * (1 << multiplier_bits))
        if abs(multiplier) == 1 << multiplier_bits:
            multiplier, exponent = multiplier // 2, exponent + 1
        shift = multiplier_bits - exponent
        if not 0 <= shift <= MAX_SHIFT:
            raise ValueError(f"scale must need a shift of 0 to {MAX_SHIFT}, not {shift}: {scale!r}")
        return cls(multiplier, shift, zero_point, rounding, bits)

    @property
    def scale(self) -> float:
        """The real scale that multiplier and shift stand for, exact in floating point."""
        return math.ldexp(self.multiplier, -self.shift)

    def __call__(self, accumulators: NDArray[np.integer]) -> NDArray[np.int8]:
        """Requantize accumulators.

        Parameters
        ----------
        accumulators : int32 or int64 array, any shape
            Exact sums, in units.

        Returns
        -------
        int8 array of the same shape, within ``bits`` bits.

        Raises
        ------
        TypeError
            If ``accumulators`` is not an int32 or int64 array.
        ValueError
            If a product may exceed 2^62, which int32 accumulators cannot reach.
        """
        check_array("accumulators", accumulators, "int32", "int64")
        limit = MAX_INTERMEDIATE // abs(self.multiplier)
        for extreme in (accumulators.min(initial=0), accumulators.max(initial=0)):
            if abs(int(extreme)) > limit:
                raise ValueError(
                    f"accumulators must be within ±{limit} for a multiplier of "
                    f"{self.multiplier}, not {int(extreme)}"
                )
        products = accumulators.astype(np.int64) * self.multiplier
        rounded = rounding_shift(products, self.shift, self.rounding)
        return narrow(rounded + self.zero_point, self.bits, Overflow.SATURATE).astype(np.int8)
