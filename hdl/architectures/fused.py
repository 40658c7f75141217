"""Two 4-bit lanes that hold two 4-bit weights or one INT8 weight.

A lane keeps a nibble that stands for two radix-4 digits, ``low + 4 high``. Two lanes make a pair.
With 4-bit weights each lane multiplies its own activation. With INT8 weights both lanes have the
same activation, and the four digits of the weight are spread over them: w = Σ digit_i 4^i, of which
the lower lane has l = w − 16 h and the upper one h. What an INT8 digit is worth in another column
than a 4-bit digit is shifted behind the adder tree, where one multiplexer serves all lanes; digits
that are shifted alike share a tree.

Nibbles are not the codes of golden.formats: :func:`nibbles` recodes the weights when they are
prepared, bit for bit, so that decoders are smallest. As in :mod:`folded`, activations are unsigned
in the heap and negative multiples uncorrected; :func:`correction` is what remains.

For dINT4, high digits are −1, 0, 1 and 2 (three legs) and low ones −2, −1, 0 and 1 (behind an XOR,
which the denormals need). Two of the sixteen combinations are the denormals in 4-bit mode. Digits
of INT8 are, from the lowest: low and high of the lower lane, high and low of the upper one, because
only a low slot can give the top digit its fifth value: −2 or 2 by the sign of all that lies below.

For INT4, nibbles are two's complement and high digits −2 … 2, behind an XOR; low ones need none.
Digits of INT8 keep their order, so that only one tree is shifted. The top digit of code 1000 is 2
in place of −2 where the lower lane is negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Mux, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, DINT4, INT4, INT8, Format
from dintmac.hdl.architectures.folded import EXCESS, LARGEST
from dintmac.hdl.architectures.partial_products import PartialProducts, select

__all__ = ["FORMATS", "NIBBLE_BITS", "accumulator_bits", "correction", "generator", "nibbles"]

#: 4-bit formats that can be fused with INT8.
FORMATS = (DINT4, INT4)
#: Bits of a lane's weight, in either mode.
NIBBLE_BITS = 4


@dataclass(frozen=True)
class _Lane:
    """u = a + 128, its complement, and the nibble of a lane."""

    u: list[Value]
    complement: list[Value]
    nibble: Value


def generator(
    format: Format, operands: Sequence[Value], nibbles: Sequence[Value], int8: Value
) -> dict[int, PartialProducts]:
    """Partial products of a pair, by the columns that they are shifted by in INT8 mode.

    Their sum, shifted, is too large by the correction.

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
    lower, upper = (
        _Lane(list(o[:ACTIVATION_BITS]), list(o[ACTIVATION_BITS:]), nibble)
        for o, nibble in zip(operands, nibbles, strict=True)
    )
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
    low, high = (_dint4_excess if format.is_dint else _int4_excess)(digits)
    if weights == INT8:
        low_shift, high_shift = _SHIFTS[format]
        low, high = low.copy(), high.copy()
        low[..., 1::2] <<= low_shift
        high[..., 1::2] <<= high_shift
    units = weights.half_steps[codes].astype(np.int64) * format.units_per_step // 2
    total: NDArray[np.int64] = EXCESS * units.sum(axis=-1) + (low + high).sum(axis=-1)
    return total


def accumulator_bits(format: Format, depth: int) -> int:
    """Signed width that holds every sum of ``depth`` products of either mode.

    An INT8 product counts ``format.units_per_step`` units.

    Raises
    ------
    ValueError
        If ``depth`` is not positive.
    """
    int8 = INT8.accumulator_bits(depth) + format.units_per_step - 1
    return max(format.accumulator_bits(depth), int8)


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
        Whether ``low`` stands for a denormal: 0 for +1/2 and 1 for −1/2.
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
            low, high = _split(steps, 4, -2)
            low = np.where(denormal, half_steps < 0, low)
            return cls(low, np.where(denormal, 2, high), denormal)
        if format.is_dint:
            lower, upper = _split(steps, 16, -6)
            lower_low, lower_high = _split(lower, 4, -2)
            upper_high, upper_low = _split(upper, 4, -1)
        else:
            lower, upper = _split(steps, 16, -8)
            lower_low, lower_high = _split(lower, 4, -2)
            upper_low, upper_high = _split(upper, 4, -2)
        low = np.stack([lower_low, upper_low], axis=-1).reshape(*codes.shape[:-1], -1)
        high = np.stack([lower_high, upper_high], axis=-1).reshape(low.shape)
        return cls(low, high, np.zeros(low.shape, dtype=np.bool_))

    def nibbles(self, format: Format) -> NDArray[np.uint8]:
        if format.is_dint:
            return (self.high + 1 << 2 | self.low & 3).astype(np.uint8)
        return (4 * self.high + self.low & 15).astype(np.uint8)


def _split(
    values: NDArray[np.int64], base: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The digit of ``least … least + base − 1`` that agrees modulo ``base``, and the rest."""
    digit = (values - least) % base + least
    return digit, (values - digit) // base


# dINT4


def _dint4(lower: _Lane, upper: _Lane, int8: Value) -> dict[int, PartialProducts]:
    low_shift, high_shift = _SHIFTS[DINT4]
    fixed, low, high = PartialProducts(), PartialProducts(), PartialProducts()
    _add_low_slot(fixed, lower, int8)
    _add_high_slot(fixed, lower, int8)
    negative = fixed.define("lane_negative", _is_negative(lower.nibble, lower.nibble[1]))
    _add_low_slot(low, upper, int8, plus_two=int8 & _is_negative(upper.nibble, negative))
    _add_high_slot(high, upper, int8)
    return {0: fixed, low_shift: low, high_shift: high}


def _is_negative(nibble: Value, below: Value) -> Value:
    """Whether the high digit is, or is nought and what stands ``below`` it is negative."""
    minus_one, nought = ~nibble[3] & ~nibble[2], ~nibble[3] & nibble[2]
    return minus_one | (nought & below)


def _denormal(lane: _Lane, int8: Value) -> Value:
    """Digits 0 and 1 below a 2, which no steps of dINT4 have."""
    return lane.nibble[3] & lane.nibble[2] & ~lane.nibble[1] & ~int8


def _add_low_slot(
    products: PartialProducts, lane: _Lane, int8: Value, plus_two: Value | None = None
) -> None:
    """Add the low digit, −2 … 1 at column 1, or ± 1/2; ``plus_two`` makes 2 of −2."""
    u, complement, nibble = lane.u, lane.complement, lane.nibble
    denormal = products.define("denormal", _denormal(lane, int8))
    one = products.define("one", nibble[0] & ~denormal)
    two = products.define("two", nibble[1] & ~nibble[0])
    below = nibble[1] if plus_two is None else nibble[1] & ~(two & plus_two)
    negative = products.define("negative", below | (denormal & nibble[0]))
    plus_half = products.define("plus_half", denormal & ~nibble[0])
    minus_half = products.define("minus_half", denormal & nibble[0])
    columns = select([(denormal, u, 0), (one, u, 1), (two, u, 2)])
    for i in range(1, 9):
        products.add(i, columns[i] ^ negative)
    # The ends are reached by one magnitude each.
    products.add(0, (plus_half & u[0]) | (minus_half & complement[0]))
    products.add(9, two & (complement[-1] if plus_two is None else u[-1] ^ negative))


def _add_high_slot(products: PartialProducts, lane: _Lane, int8: Value) -> None:
    """Add the high digit, −1 … 2 at column 3; it is one less than its two bits."""
    high, low = lane.nibble[3], lane.nibble[2]
    minus_one = products.define("minus_one", ~high & ~low)
    one = products.define("one", high & ~low)
    two = products.define("two", high & low & ~_denormal(lane, int8))
    products.add_selection([(minus_one, lane.complement, 3), (one, lane.u, 3), (two, lane.u, 4)])


def _dint4_excess(digits: _Digits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Excess of the low and of the high slots, not shifted."""
    # Inverted are columns 1 … 8, of which −4u begins at column 2 and −u ends at column 7.
    low = np.select([digits.low == -2, digits.low == -1], [4 * LARGEST + 2, 2 * LARGEST], 0)
    low = np.where(digits.denormal, np.where(digits.low == 1, LARGEST + 256, 0), low)
    return low, np.where(digits.high == -1, LARGEST << 3, 0)


# INT4


def _int4(lower: _Lane, upper: _Lane, int8: Value) -> dict[int, PartialProducts]:
    fixed, shifted = PartialProducts(), PartialProducts()
    _add_three_way_slot(fixed, lower)
    _add_booth_slot(fixed, lower, negative=lower.nibble[3])
    _add_three_way_slot(shifted, upper)
    plus_two = ~upper.nibble[:3].any() & int8 & lower.nibble[3]
    _add_booth_slot(shifted, upper, negative=upper.nibble[3] & ~plus_two)
    return {0: fixed, _SHIFTS[INT4][0]: shifted}


def _add_three_way_slot(products: PartialProducts, lane: _Lane) -> None:
    """Add the low digit, −2 … 1."""
    high, low = lane.nibble[1], lane.nibble[0]
    one = products.define("one", ~high & low)
    minus_one = products.define("minus_one", high & low)
    minus_two = products.define("minus_two", high & ~low)
    products.add_selection(
        [(one, lane.u, 0), (minus_one, lane.complement, 0), (minus_two, lane.complement, 1)]
    )


def _add_booth_slot(products: PartialProducts, lane: _Lane, negative: Value) -> None:
    """Add the high digit, −2 … 2 at column 2."""
    high, middle, low = lane.nibble[3], lane.nibble[2], lane.nibble[1]
    one = products.define("one", middle ^ low)
    two = products.define("two", Mux(high, ~middle & ~low, middle & low))
    negative = products.define("negative", negative)
    for i, bit in select([(one, lane.u, 2), (two, lane.u, 3)]).items():
        products.add(i, bit ^ negative)


def _int4_excess(digits: _Digits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Excess of the low and of the high slots, not shifted."""
    low = np.select([digits.low == -2, digits.low == -1], [2 * LARGEST, LARGEST], 0)
    # The sign bit inverts all of the high slot, also where its digit is nought.
    negative = 4 * digits.high + digits.low < 0
    return low, np.where(negative, 2 * LARGEST + 1 << 2, 0)
