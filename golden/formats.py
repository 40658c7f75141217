"""Number formats: the only place where a code has a meaning.

A *step* is the scale of a quantized tensor; a *half step* is half of it. A code of ``b`` bits is
kept as an unsigned ``uint8`` in 0 … 2^b − 1. The full specification is ``docs/dint.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.checks import check_real
from dintmac.golden.registry import Registry

ACTIVATION_BITS = 8
ACTIVATION_MIN = -128
ACTIVATION_MAX = 127


@dataclass(frozen=True)
class Kind:
    """How codes are read: what formats of different widths have in common.

    Attributes
    ----------
    name : str
        What the names of formats begin with.
    least, most : int
        Widths of the narrowest and of the widest format.
    half_steps : function
        Values of all codes of a width, in half steps: whole numbers.
    units_per_step : int
        1 if all values are whole steps, 2 if not.
    evenly_spaced : bool
        Whether the values are all whole steps of a range, but for denormals.
    """

    name: str
    least: int
    most: int
    # A function's text says where it lies in memory, which differs from process to process.
    half_steps: Callable[[int], Sequence[int]] = field(repr=False)
    units_per_step: int = 2
    evenly_spaced: bool = False


def _twos_complement(bits: int) -> list[int]:
    half = 1 << bits - 1
    return [2 * value for value in (*range(half), *range(-half, 0))]


def _dint(bits: int) -> list[int]:
    half_steps = _twos_complement(bits)
    half = 1 << bits - 1
    half_steps[half : half + 2] = 1, -1
    return half_steps


def _e2m1(bits: int) -> list[int]:
    """E2M1 of the OCP Microscaling Formats specification 1.0."""
    magnitudes = [0, 1, 2, 3, 4, 6, 8, 12]
    return magnitudes + [-magnitude for magnitude in magnitudes]


#: Two's complement integers.
INTEGER = Kind("INT", 2, 8, _twos_complement, units_per_step=1, evenly_spaced=True)
#: Two's complement, except that the two most negative codes are +1/2 and −1/2.
DINT = Kind("dINT", 3, 8, _dint, evenly_spaced=True)
#: Sign, two bits of exponent, one of mantissa: E2M1.
FLOAT = Kind("FP", 4, 4, _e2m1)


@dataclass(frozen=True)
class Format:
    """A weight format (docs/dint.md, section 1).

    Parameters
    ----------
    kind : Kind
        Such as :data:`INTEGER`, :data:`DINT` or :data:`FLOAT`.
    bits : int
        Width of a code, at most 8.

    Raises
    ------
    TypeError
        If ``kind`` is not a :class:`Kind` or ``bits`` not an int.
    ValueError
        If ``bits`` is out of range.
    """

    kind: Kind
    bits: int

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise TypeError(f"kind must be a Kind, not {self.kind!r}")
        if not isinstance(self.bits, int) or isinstance(self.bits, bool):
            raise TypeError(f"bits must be an int, not {self.bits!r}")
        low, high = self.kind.least, self.kind.most
        if not low <= self.bits <= high:
            span = f"{low} to {high}" if low < high else f"{low}"
            raise ValueError(f"bits must be {span} for {self.kind.name.lower()}, not {self.bits}")

    @property
    def name(self) -> str:
        """Name for people: ``INT8``, ``dINT4``, ``FP4``."""
        return f"{self.kind.name}{self.bits}"

    @property
    def is_integer(self) -> bool:
        """Whether all codes are two's complement."""
        return self.kind == INTEGER

    @property
    def is_dint(self) -> bool:
        """Whether two codes are denormals."""
        return self.kind == DINT

    @property
    def is_float(self) -> bool:
        """Whether codes are floating-point numbers."""
        return self.kind == FLOAT

    @property
    def codes(self) -> int:
        """Number of codes, 2^bits."""
        return 1 << self.bits

    @property
    def units_per_step(self) -> int:
        """Hardware units in a step: 1 for integers, 2 (half steps) for others."""
        return self.kind.units_per_step

    @property
    def minimum(self) -> float:
        """Least value, in steps."""
        return _steps(int(self.half_steps.min()))

    @property
    def maximum(self) -> float:
        """Greatest value, in steps."""
        return _steps(int(self.half_steps.max()))

    @property
    def denormals(self) -> tuple[int, int] | None:
        """Codes of +1/2 and −1/2 of a dINT format, or None."""
        most_negative = 1 << (self.bits - 1)
        return (most_negative, most_negative + 1) if self.is_dint else None

    @cached_property
    def half_steps(self) -> NDArray[np.int16]:
        """Value of every code, int16, shape ``(codes,)``, in half steps."""
        table = np.array(self.kind.half_steps(self.bits), dtype=np.int16)
        table.setflags(write=False)
        return table

    @cached_property
    def _code_of_half_step(self) -> NDArray[np.uint8]:
        """Code of the half-step value ``i + least``; only representable values are used."""
        table = np.zeros(int(np.ptp(self.half_steps)) + 1, dtype=np.uint8)
        # The first of equal values is written last: 0 and not −0.
        table[self.half_steps[::-1] - self.half_steps.min()] = np.arange(self.codes)[::-1]
        return table

    def check_codes(self, codes: NDArray[np.uint8]) -> None:
        """Refuse what is no array of codes of this format.

        Raises
        ------
        TypeError
            If ``codes`` is not a uint8 array.
        ValueError
            If a code is out of range.
        """
        check_codes(codes, self.name, self.codes)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Values of codes in half steps, int16, same shape (docs/dint.md, section 1).

        Raises
        ------
        TypeError, ValueError
            As :meth:`check_codes`.
        """
        self.check_codes(codes)
        return self.half_steps[codes]

    def to_units(
        self, codes: NDArray[np.uint8], hardware: Format | None = None
    ) -> NDArray[np.int16]:
        """The integers that the hardware multiplies: steps for integers, half steps for others.

        They count in the units of the format of ``hardware``, where that is another one.
        """
        return self.decode(codes) * np.int16((hardware or self).units_per_step) // np.int16(2)

    def encode(self, steps: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Round to the nearest value, ties away from zero, and saturate (docs/dint.md, section 2).

        Parameters
        ----------
        steps : float array, any shape
            Real values divided by the scale, in steps.

        Returns
        -------
        uint8 array of the same shape, codes.

        Raises
        ------
        TypeError
            If ``steps`` is not a floating-point array.
        ValueError
            If a value is NaN or infinite.
        """
        half_steps = self.round(steps).astype(np.int16)
        codes: NDArray[np.uint8] = self._code_of_half_step[half_steps - self.half_steps.min()]
        return codes

    def round(self, steps: NDArray[np.floating]) -> NDArray[np.floating]:
        """The values that :meth:`encode` chooses, in half steps, in the dtype of ``steps``.

        Raises
        ------
        TypeError, ValueError
            As :meth:`encode`.
        """
        if not self.kind.evenly_spaced:
            levels = np.unique(self.half_steps)
            return levels.astype(steps.dtype)[nearest(levels, steps)]
        check_real("values to encode", steps)
        # Saturate first: doubling the greatest floats would overflow.
        steps = np.clip(steps, self.minimum, self.maximum)
        whole = 2 * round_half_away(steps)
        if not self.is_dint:
            return whole
        half_steps = round_half_away(2 * steps)
        return np.where(np.abs(half_steps) == 1, half_steps, whole)

    def product_range(self) -> tuple[int, int]:
        """Least and greatest product with an INT8 activation, in hardware units."""
        per_unit = 2 // self.units_per_step
        low = int(self.half_steps.min()) // per_unit
        high = int(self.half_steps.max()) // per_unit
        corners = [w * a for w in (low, high) for a in (ACTIVATION_MIN, ACTIVATION_MAX)]
        return min(corners), max(corners)

    @property
    def product_bits(self) -> int:
        """Signed width that holds every product with an INT8 activation."""
        return _signed_bits(*self.product_range())

    def accumulator_bits(self, depth: int) -> int:
        """Signed width that holds every sum of ``depth`` products (docs/dint.md, section 4).

        Raises
        ------
        ValueError
            If ``depth`` is not positive.
        """
        if depth < 1:
            raise ValueError(f"depth must be positive, not {depth}")
        low, high = self.product_range()
        return _signed_bits(depth * low, depth * high)

    def max_depth(self, accumulator_bits: int) -> int:
        """Greatest depth whose sums all fit ``accumulator_bits`` signed bits; 0 if none does."""
        low, high = self.product_range()
        limit = 1 << (accumulator_bits - 1)
        return min(limit // -low, (limit - 1) // high)


def _steps(half_steps: int) -> float:
    """A number of half steps in steps: an int if it is whole."""
    return half_steps / 2 if half_steps % 2 else half_steps // 2


def check_codes(codes: NDArray[np.uint8], name: str, count: int) -> None:
    """Refuse what is no array of codes below ``count``, of the grid called ``name``.

    Raises
    ------
    TypeError
        If ``codes`` is not a uint8 array.
    ValueError
        If a code is out of range.
    """
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8:
        kind = codes.dtype if isinstance(codes, np.ndarray) else type(codes).__name__
        raise TypeError(f"{name} codes must be a uint8 array, not {kind}")
    if codes.size and int(codes.max()) >= count:
        raise ValueError(f"{name} codes must be 0 to {count - 1}, not {int(codes.max())}")


def nearest(
    levels: NDArray[np.integer | np.floating], steps: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """Which of the levels is nearest, ties away from zero.

    Parameters
    ----------
    levels : array, shape (n,)
        In half steps, ascending, at most 256.
    steps : floating-point array, any shape
        Values in steps.

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
    check_real("values to encode", steps)
    thresholds = (levels[1:] + levels[:-1]) / 4
    # A negative step on a threshold goes down, away from zero: it is below the next number.
    thresholds = np.where(thresholds < 0, np.nextafter(thresholds, np.inf), thresholds)
    # For so few levels counting is several times faster than searching.
    position = np.zeros(steps.shape, dtype=np.uint8)
    for threshold in thresholds:
        position += steps >= threshold
    return position


def round_half_away(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Nearest integers, ties away from zero, in the dtype of ``values``."""
    # All of it is exact; a value plus 1/2 would not be.
    rounded: NDArray[np.floating] = np.trunc(2 * values) - np.trunc(values)
    return rounded


def _signed_bits(low: int, high: int) -> int:
    """Width of the two's complement number that holds ``low`` (negative) to ``high``."""
    return max((-low - 1).bit_length(), high.bit_length()) + 1


def integer(bits: int) -> Format:
    """The two's complement format of 2 … 8 bits."""
    return Format(INTEGER, bits)


def dint(bits: int) -> Format:
    """The dINT format of 3 … 8 bits."""
    return Format(DINT, bits)


def formats_of(kind: Kind) -> list[Format]:
    """All formats of a kind, the narrowest first."""
    return [Format(kind, bits) for bits in range(kind.least, kind.most + 1)]


INT8 = integer(8)
INT4 = integer(4)
DINT4 = dint(4)
#: E2M1: ±{0, 1/2, 1, 3/2, 2, 3, 4, 6}. The code of −0 is never chosen.
FP4 = Format(FLOAT, 4)

#: All that there are, by their names in lower case.
FORMATS: Registry[Format] = Registry(
    "format",
    "formats",
    (
        (format.name.lower(), format)
        for kind in (INTEGER, DINT, FLOAT)
        for format in formats_of(kind)
    ),
)


def named(formats: Iterable[Format], *others: str) -> str:
    """Names for people, those of a kind as a span: ``int2 to int8, dint3 to dint8 or fp4``.

    Parameters
    ----------
    formats : iterable of Format
    others : str
        Names that stand behind them.
    """
    spans: dict[Kind, list[str]] = {}
    for format in formats:
        spans.setdefault(format.kind, []).append(format.name.lower())
    names = [f"{n[0]} to {n[-1]}" if len(n) > 1 else n[0] for n in spans.values()]
    *first, last = *names, *others
    return f"{', '.join(first)} or {last}" if first else last


def parse(name: str) -> Format:
    """The format called ``name``, in any case: one of :data:`FORMATS`.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    if name.lower() not in FORMATS:
        raise ValueError(f"format must be {named(FORMATS.values())}, not {name!r}")
    return FORMATS[name.lower()]
