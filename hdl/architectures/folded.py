"""Radix-4 digits whose weight-only part is left to the bias.

The digits are those of :mod:`radix4`, but what the heap takes is unsigned. The activation counts
as u = a + 128, which is its code with the first bit inverted, so no sign has to be extended; the
excess is 128 w. A multiple is subtracted as it is if negative, and as its complement if positive,

    −m (255 − u) = m u − 255 m,

because gates that select and invert subtract for nothing. What is missing, 255 m, depends on the
weight alone, and so does anything that a code of digit zero lets pass, as long as no bit of the
activation is in it: the controls are the simplest ones that leave it so. :func:`correction` adds
all of it up, and whoever prepares the weights subtracts it from the bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, ACTIVATION_MAX, ACTIVATION_MIN, Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import PartialProducts
from dintmac.hdl.architectures.radix4 import BOOTH, DIGITS

__all__ = ["BOOTH_FOLDED", "DIGITS_FOLDED", "EXCESS", "LARGEST", "operands"]

#: u − a.
EXCESS = -ACTIVATION_MIN
#: The largest u, all bits set: u and its complement add up to it.
LARGEST = ACTIVATION_MAX + EXCESS


def operands(activations: Sequence[Value]) -> Value:
    """u = a + 128 and its complement, 8 bits each.

    The complement is a leg of its own in the lanes: made here, its inverters are shared.
    """
    (a,) = activations
    sign = a[ACTIVATION_BITS - 1]
    low = a[: ACTIVATION_BITS - 1]
    return Cat(low, ~sign, ~low, sign)


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of a code and the operands of its lane; too large by the correction."""
    products = PartialProducts()
    (weight,) = weights
    u, complement = list(operands[:ACTIVATION_BITS]), list(operands[ACTIVATION_BITS:])
    code = Cat(weight, weight[-1]) if format.bits % 2 else weight
    digits = range(1, len(code) // 2)
    if not format.is_dint:
        _add_lowest_slot(products, u, complement, code)
        for digit in digits:
            _add_slot(products, 2 * digit, u, complement, *_digit(code, digit))
        return products
    denormal = products.define("denormal", weight[-1] & ~weight[1:-1].any())
    _add_lowest_dint_slot(products, u, complement, code, denormal)
    for digit in digits:
        high, middle, low = _digit(code, digit)
        if format.bits == 4:
            _add_three_way_slot(products, 2 * digit + 1, u, complement, high, middle, low)
        else:
            # A denormal's code is the digit −2 (or −1 at odd widths) at the top; make it zero.
            high, middle, low = (bit & ~denormal for bit in (high, middle, low))
            _add_slot(products, 2 * digit + 1, u, complement, high, middle, low)
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """128 w less 255 for each complement that enters; shape (…, 1) gives (…)."""
    codes = codes[..., 0]
    bits = codes.astype(np.int64)
    if format.bits % 2:
        bits |= (bits >> (format.bits - 1)) << format.bits
    is_denormal = np.isin(codes, format.denormals or ())
    complements = _LOWEST_SLOT[bits & 3] * format.units_per_step
    if format.is_dint:
        complements = np.where(is_denormal, 1 - (bits & 1), complements)
    for digit in range(1, (format.bits + 1) // 2):
        high_to_low = bits >> (2 * digit - 1) & 7
        if format.bits == 4 and format.is_dint:
            slot = _THREE_WAY_SLOT[high_to_low]
        else:
            slot = _SLOT[np.where(is_denormal, 0, high_to_low)]
        complements += (slot << (2 * digit)) * format.units_per_step
    return EXCESS * format.to_units(codes).astype(np.int64) - LARGEST * complements


#: Multiples of the complement in the lowest slot by its two code bits, of digits 0, 1, −2 and −1.
_LOWEST_SLOT = np.array([0, 1, 0, 0])
#: In a slot by its three code bits, of digits 0, 1, 1, 2, −2, −1, −1, 0: two at the first zero.
_SLOT = np.array([2, 1, 1, 2, 0, 0, 0, 0])
#: In dINT4's upper slot, of 0, 1, 1, 2, 0 (the denormals), −1, −1 and 0: one at the last zeros.
_THREE_WAY_SLOT = np.array([0, 1, 1, 2, 1, 0, 0, 1])


def _digit(code: Value, digit: int) -> tuple[Value, Value, Value]:
    return code[2 * digit + 1], code[2 * digit], code[2 * digit - 1]


def signed_operand(
    products: PartialProducts,
    column: int,
    u: list[Value],
    complement: list[Value],
    positive: Value,
    negative: Value,
) -> list[Value]:
    """The complement of u where ``positive``, u where ``negative``, all ones where neither.

    An AND-OR-invert gate, cheaper than an XOR, before the selection, where it takes fewer bits.
    """
    return [
        products.define(f"signed_{column}_{i}", ~((positive & u[i]) | (negative & complement[i])))
        for i in range(len(u))
    ]


def _add_lowest_slot(
    products: PartialProducts, u: list[Value], complement: list[Value], code: Value
) -> None:
    """Add the digit 1, −1 or −2: with three values each is a leg of its own."""
    one = products.define("one", code[0] & ~code[1])
    minus_one = products.define("minus_one", code[0] & code[1])
    minus_two = products.define("minus_two", ~code[0] & code[1])
    products.subtract_selection([(one, complement, 0), (minus_one, u, 0), (minus_two, u, 1)])


def _add_slot(
    products: PartialProducts,
    column: int,
    u: list[Value],
    complement: list[Value],
    high: Value,
    middle: Value,
    low: Value,
) -> None:
    """Add the digit ``-2 high + middle + low``.

    Where all are low, ``two`` passes ones. Where all are high, nothing passes.
    """
    one = products.define("one", middle ^ low)
    two = products.define("two", ~one & ~(high & middle))
    positive = products.define("positive", ~high & (middle | low))
    signed = signed_operand(products, column, u, complement, positive, high)
    products.subtract_selection([(one, signed, column), (two, signed, column + 1)], late=True)


def _add_three_way_slot(
    products: PartialProducts,
    column: int,
    u: list[Value],
    complement: list[Value],
    high: Value,
    middle: Value,
    low: Value,
) -> None:
    """Add the upper digit of dINT4, which is −1, 0, 1 or 2: −2 occurs in the denormals alone.

    A negative code of digit zero lets u pass, and its complement as well.
    """
    one = products.define("one", high ^ middle ^ low)
    two = products.define("two", ~high & middle & low)
    products.subtract_selection(
        [(one, complement, column), (two, complement, column + 1), (high, u, column)]
    )


def _add_lowest_dint_slot(
    products: PartialProducts,
    u: list[Value],
    complement: list[Value],
    code: Value,
    denormal: Value,
) -> None:
    """Add the lowest digit in half steps: ±2u, −4u or, for a denormal, ±u."""
    one = products.define("one", code[0] & ~denormal)
    two = products.define("two", code[1] & ~code[0])
    negative = products.define("negative", code[1] | (denormal & code[0]))
    signed = signed_operand(products, 0, u, complement, ~negative, negative)
    products.subtract_selection(
        [(denormal, signed, 0), (one, signed, 1), (two, signed, 2)], late=True
    )


BOOTH_FOLDED = Multiplier(
    "booth_folded",
    "booth, with all that depends on the weight alone left to the bias",
    supports=BOOTH.supports,
    generator=generator,
    operands=operands,
    group_correction=correction,
    adds_complements=False,
)

DIGITS_FOLDED = Multiplier(
    "digits_folded",
    "digits, with all that depends on the weight alone left to the bias",
    supports=DIGITS.supports,
    generator=generator,
    operands=operands,
    group_correction=correction,
    adds_complements=False,
)
