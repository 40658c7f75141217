"""Two 4-bit lanes that hold two 4-bit weights or one INT8 weight.

A lane keeps a nibble that stands for two radix-4 digits, ``low + 4 high``. Two lanes make a pair.
With 4-bit weights each lane multiplies its own activation. With INT8 weights both lanes have the
same activation, and the four digits of the weight are spread over them: w = Σ digit_i 4^i, of which
the lower lane has l = w − 16 h and the upper one h. What an INT8 digit is worth in another column
than a 4-bit digit is shifted behind the adder tree, where one multiplexer serves all lanes; digits
that are shifted alike share a tree.

Nibbles are not the codes of golden.formats: :func:`nibbles` recodes the weights when they are
prepared, bit for bit, so that decoders are smallest: most bits of a nibble are controls of legs. As
in :mod:`folded`, activations are unsigned in the heap, selections are inverted and so subtract, and
digits of zero let pass what they like, as long as no bit of an activation is in it;
:func:`correction` is what remains. Multiplexers invert as well, so what they shift is subtracted
once more: there a positive multiple passes u, and elsewhere its complement.

For dINT4, high digits are −1, 0, 1 and 2 (three legs) and low ones −2, −1, 0 and 1 (behind a sign,
which the denormals need). Two of the sixteen combinations are the denormals in 4-bit mode. Digits
of INT8 are, from the lowest: low and high of the lower lane, high and low of the upper one, because
only a low slot can give the top digit its fifth value: −2 or 2 by the sign of all that lies below.

For INT4, low digits are −2, −1, 0 and 1 (three legs), and high ones −2 … 2 behind a sign: −2 or 2
by the sign of all that lies below. Digits of INT8 keep their order, so that only one tree is
shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from amaranth.hdl import Mux, Signal, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, DINT4, INT4, INT8, Format
from dintmac.hdl.architectures.architecture import Architecture
from dintmac.hdl.architectures.folded import EXCESS, LARGEST
from dintmac.hdl.architectures.nr4sd import (
    DINT4_LOW,
    LEGS,
    Lane,
    add_dint4_high_digit,
    add_dint4_low_digit,
    add_signed_digit,
    add_three_way_digit,
    lowest_digit,
)
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = [
    "FORMATS",
    "FUSED",
    "NIBBLE_BITS",
    "OPERAND_BITS",
    "correction",
    "generator",
    "nibbles",
    "places_of",
    "shifted_trees",
]

#: 4-bit formats that can be fused with INT8.
FORMATS = (DINT4, INT4)
#: Bits of a lane's weight, in either mode.
NIBBLE_BITS = 4
#: An activation with its first bit inverted, and the complement of that.
OPERAND_BITS = 2 * ACTIVATION_BITS


def generator(
    format: Format, operands: Sequence[Value], nibbles: Sequence[Value], int8: Value
) -> dict[int, PartialProducts]:
    """Partial products of a pair, by the columns that they are shifted by in INT8 mode.

    Those that are never shifted less all others, shifted, are too large by the correction.

    Parameters
    ----------
    format : Format
        DINT4 or INT4.
    operands : two Values, 16 bits
        Of the lower and the upper lane, as :func:`folded.operands` makes them.
    nibbles : two Values, 4 bits
    int8 : Value, 1 bit
        Whether the nibbles are those of an INT8 weight.
    """
    u, complement = (
        [list(o[part]) for o in operands]
        for part in (slice(ACTIVATION_BITS), slice(ACTIVATION_BITS, None))
    )
    lower = Lane(complement[0], u[0], nibbles[0])
    upper = Lane(u[1], complement[1], nibbles[1])
    return (_dint4 if format.is_dint else _int4)(lower, upper, int8)


def nibbles(format: Format, weights: Format, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the lanes keep of weights.

    Parameters
    ----------
    format : Format
        DINT4 or INT4, that of the hardware.
    weights : Format
        That of the weights: the same, or INT8.
    codes : uint8
        Shape (…, lanes), or (…, lanes / 2) of INT8.

    Returns
    -------
    uint8, shape (…, lanes), 0 … 15. Of an INT8 weight the lower lane comes first.

    Raises
    ------
    TypeError, ValueError
        If ``codes`` are no codes of the format.
    """
    return _Digits.of(format, weights, codes).nibbles(format)


def correction(format: Format, weights: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the partial products of a sum are too large by.

    Parameters
    ----------
    format, weights, codes
        As for :func:`nibbles`.

    Returns
    -------
    int64, shape (…), in hardware units of ``format``.

    Raises
    ------
    TypeError, ValueError
        As :func:`nibbles`.
    """
    digits = _Digits.of(format, weights, codes)
    units = weights.to_units(codes, format).astype(np.int64)
    total: NDArray[np.int64] = EXCESS * units.sum(axis=-1)
    slots = zip(digits.multiples(format), digits.ones(format), _SHIFTS[format], strict=True)
    for multiples, ones, shift in slots:
        lower = np.maximum(multiples, 0) + ones
        upper = np.maximum(-multiples, 0) + ones << (shift if weights == INT8 else 0)
        total += LARGEST * (upper[..., 1::2].sum(axis=-1) - lower[..., ::2].sum(axis=-1))
    return total


@cache
def places_of(format: Format) -> tuple[tuple[int, int], ...]:
    """For each bit of a pair: by how many columns INT8 mode shifts it, and where it stands."""
    nibble = Signal(NIBBLE_BITS)
    trees = generator(format, [Signal(OPERAND_BITS)] * 2, [nibble] * 2, Signal())
    return tuple((shift, column) for shift, p in trees.items() for column, _ in p.bits)


def shifted_trees(format: Format, pairs: int) -> dict[int, tuple[int, int]]:
    """Lowest column and width of the sum of what is shifted, by the number of columns."""
    trees = {}
    places = places_of(format)
    for shift in sorted({shift for shift, _ in places if shift}):
        columns = [column for by, column in places if by == shift]
        most = pairs * sum(1 << column - min(columns) for column in columns)
        trees[shift] = min(columns), most.bit_length()
    return trees


#: Columns by which low and high digits of the upper lane are shifted in INT8 mode.
_SHIFTS = {DINT4: (6, 2), INT4: (4, 4)}


# Weights


@dataclass(frozen=True)
class _Digits:
    """Digits of lanes, int64, shape (…, lanes).

    Attributes
    ----------
    low, high
        What the slots of a lane select, −2 … 2; those of a denormal's nibble for denormals.
    denormal
        Whether ``low`` stands for a denormal: 1 for +1/2 and 0 for −1/2.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    denormal: NDArray[np.bool_]

    @classmethod
    def of(cls, format: Format, weights: Format, codes: NDArray[np.uint8]) -> _Digits:
        half_steps = weights.decode(codes).astype(np.int64)
        steps = half_steps >> 1
        if weights != INT8:
            denormal = half_steps & 1 == 1
            low, high = lowest_digit(steps, 4, -2)
            low = np.where(denormal, half_steps > 0, low)
            return cls(low, np.where(denormal, 2, high), denormal)
        if format.is_dint:
            lower, upper = lowest_digit(steps, 16, -6)
            lower_low, lower_high = lowest_digit(lower, 4, -2)
            upper_high, upper_low = lowest_digit(upper, 4, -1)
        else:
            lower, upper = lowest_digit(steps, 16, -8)
            lower_low, lower_high = lowest_digit(lower, 4, -2)
            upper_low, upper_high = lowest_digit(upper, 4, -2)
        low = np.stack([lower_low, upper_low], axis=-1).reshape(*codes.shape[:-1], -1)
        high = np.stack([lower_high, upper_high], axis=-1).reshape(low.shape)
        return cls(low, high, np.zeros(low.shape, dtype=np.bool_))

    def nibbles(self, format: Format) -> NDArray[np.uint8]:
        low = (DINT4_LOW if format.is_dint else LEGS)[self.low + 2]
        return (LEGS[self.high + 2] << 2 | low).astype(np.uint8)

    def multiples(self, format: Format) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What low and high slots select, in hardware units."""
        low, high = self.low * format.units_per_step, 4 * self.high * format.units_per_step
        return np.where(self.denormal, 2 * self.low - 1, low), np.where(self.denormal, 0, high)

    def ones(self, format: Format) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Multiples of 255 that low and high slots let pass besides, of digits zero."""
        zero = (self.low == 0) & ~self.denormal
        if not format.is_dint:
            return zero.astype(np.int64), np.zeros_like(self.high)
        # The low slot of an upper lane lets nothing pass.
        zero[..., 1::2] = False
        return 2 * zero.astype(np.int64), 8 * (self.high == 0).astype(np.int64)


# dINT4


def _dint4(lower: Lane, upper: Lane, int8: Value) -> dict[int, PartialProducts]:
    low_shift, high_shift = _SHIFTS[DINT4]
    fixed, low, high = PartialProducts(), PartialProducts(), PartialProducts()
    denormal = add_dint4_high_digit(fixed, lower, int8)
    add_dint4_low_digit(fixed, lower, denormal)
    denormal = add_dint4_high_digit(high, upper, int8)
    below = fixed.define("lane_negative", _is_negative(lower.stored, lower.stored[0]))
    plus_two = low.define("plus_two", int8 & _is_negative(upper.stored, below))
    _add_top_slot(low, upper, denormal, plus_two)
    return {0: fixed, low_shift: low, high_shift: high}


def _is_negative(nibble: Value, below: Value) -> Value:
    """Whether the high digit is, or is zero and what stands ``below`` it is negative."""
    return nibble[2] & (~nibble[3] | below)


def _add_top_slot(products: PartialProducts, lane: Lane, denormal: Value, plus_two: Value) -> None:
    """The same for the digit that is −2 … 2 in INT8 mode; ``plus_two`` makes 2 of −2."""
    minus, plus = lane.stored[0], lane.stored[1]
    one = products.define("one", (plus ^ minus) & ~denormal)
    two = products.define("top_two", plus & minus)
    positive = products.define("positive", plus & (~minus | plus_two))
    signed = lane.signed(products, 0, positive, ~positive)
    products.subtract_selection([(denormal, signed, 0), (one, signed, 1), (two, signed, 2)])


# INT4


def _int4(lower: Lane, upper: Lane, int8: Value) -> dict[int, PartialProducts]:
    fixed, shifted = PartialProducts(), PartialProducts()
    _, one = add_three_way_digit(fixed, lower, 0)
    low_negative = ~one
    add_signed_digit(fixed, lower, 2, plus_two=low_negative)
    minus_one, one = lower.stored[2], lower.stored[3]
    # A two is negative where the low digit is not.
    below = fixed.define(
        "lane_negative", Mux(one, minus_one & low_negative, minus_one | ~low_negative)
    )
    minus_one, one = add_three_way_digit(shifted, upper, 0)
    zero = minus_one & one
    add_signed_digit(shifted, upper, 2, plus_two=~one | (zero & int8 & below))
    return {0: fixed, _SHIFTS[INT4][0]: shifted}


# Architecture


class _Fused(Architecture):
    """Two lanes hold two weights of the 4-bit format, or one of INT8."""

    def weight_formats(self, format: Format) -> tuple[Format, ...]:
        return format, INT8

    def lanes_of_weight(self, format: Format, weights: Format) -> int:
        return 2 if weights == INT8 else 1

    def accumulator_bits(self, format: Format, depth: int) -> int:
        # An INT8 product counts ``units_per_step`` units.
        int8 = INT8.accumulator_bits(depth) + format.units_per_step - 1
        return max(format.accumulator_bits(depth), int8)

    def encode(
        self, format: Format, codes: NDArray[np.uint8], weights: Format | None = None
    ) -> NDArray[np.uint8]:
        return nibbles(format, weights or format, codes)

    def decode(
        self, format: Format, stored: NDArray[np.uint8], weights: Format | None = None
    ) -> NDArray[np.uint8]:
        weights = weights or format
        every = np.arange(weights.codes, dtype=np.uint8)
        words = self.encode(format, every[:, np.newaxis], weights)
        places = 1 << NIBBLE_BITS * np.arange(words.shape[-1])
        code_of_word = np.empty(weights.codes, dtype=np.uint8)
        code_of_word[words @ places] = every
        return code_of_word[stored.reshape(*stored.shape[:-1], -1, len(places)) @ places]

    def correction(
        self, format: Format, codes: NDArray[np.uint8], weights: Format | None = None
    ) -> NDArray[np.int64]:
        return correction(format, weights or format, codes)

    def constant_correction(self, format: Format, lanes: int, weights: Format) -> int:
        """What bits of partial products are short of, and complements of the shifters."""
        pairs, total = lanes // 2, 0
        for shift, column in places_of(format):
            by = shift if weights == INT8 else 0
            total += pairs * (-1 if shift else 1) << column + by
        for shift, (lowest, width) in shifted_trees(format, pairs).items():
            total += (1 << width + shift) - 1 << lowest
        return total


FUSED = _Fused(
    "fused",
    "digits of two 4-bit weights or of an INT8 weight in a pair of lanes",
    supports=lambda format: format in FORMATS,
    group=2,
)
