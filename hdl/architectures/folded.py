"""Radix-4 digits whose weight-only part is left to the bias.

The digits are those of :mod:`radix4`, but what enters the heap is unsigned. The activation counts
as u = a + 128, which is its code with the first bit inverted, so no sign has to be extended; the
excess is 128 w. A negative multiple −m u enters as the complement of m u and nothing else; its
excess is the weight of all bits that were inverted. Both depend on the weight alone:
:func:`correction` adds them up, and whoever prepares the weights subtracts them from the bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Mux, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, ACTIVATION_MAX, ACTIVATION_MIN, Format
from dintmac.hdl.architectures.partial_products import PartialProducts, select

__all__ = ["EXCESS", "LARGEST", "correction", "generator", "operands"]

#: u − a.
EXCESS = -ACTIVATION_MIN
#: The largest u, all bits set: what complementing u adds to −u.
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
    code = _even(weight)
    if not format.is_dint:
        _add_lowest_slot(products, u, complement, code)
        for digit in range(1, len(code) // 2):
            _add_slot(products, 2 * digit, u, *_digit(code, digit))
        return products
    denormal = products.define("denormal", weight[-1] & ~weight[1:-1].any())
    _add_lowest_dint_slot(products, u, complement, code, denormal)
    for digit in range(1, len(code) // 2):
        high, middle, low = _digit(code, digit)
        if format.bits == 4:
            _add_three_way_slot(products, 2 * digit + 1, u, complement, high, middle, low)
        else:
            # A denormal's code is the digit −2 (or −1 at odd widths) at the top; make it nought.
            high, middle, low = (bit & ~denormal for bit in (high, middle, low))
            _add_slot(products, 2 * digit + 1, u, high, middle, low)
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The excess of each code, 128 w plus that of its complements; shape (…, 1) gives (…)."""
    codes = codes[..., 0]
    excess = EXCESS * format.to_units(codes).astype(np.int64)
    bits = codes.astype(np.int64)
    if format.bits % 2:
        bits |= (bits >> (format.bits - 1)) << format.bits
    is_denormal = np.isin(codes, format.denormals or ())
    if format.is_dint:
        excess += np.where(is_denormal, _DENORMAL_SLOT[bits & 1], _LOWEST_DINT_SLOT[bits & 3])
    else:
        excess += _LOWEST_SLOT[bits & 3]
    for digit in range(1, (format.bits + 1) // 2):
        high_to_low = bits >> (2 * digit - 1) & 7
        if format.bits == 4 and format.is_dint:
            slot = np.where((high_to_low == 5) | (high_to_low == 6), LARGEST, 0)
        else:
            slot = np.where(high_to_low >= 4, 2 * LARGEST + 1, 0)
        excess += np.where(is_denormal, 0, slot << (2 * digit)) * format.units_per_step
    return excess


#: Excess of the lowest slot by its two code bits, of digits 0, 1, −2 and −1.
_LOWEST_SLOT = np.array([0, 0, 2 * LARGEST, LARGEST])
#: The same in half steps, where column 1 is inverted along with −4u, which begins at column 2.
_LOWEST_DINT_SLOT = np.array([0, 0, 4 * LARGEST + 2, 2 * LARGEST])
#: Of +1/2 and −1/2; column 8 is inverted along with −u, which ends at column 7.
_DENORMAL_SLOT = np.array([0, LARGEST + 256])


def _even(weight: Value) -> Value:
    return Cat(weight, weight[-1]) if len(weight) % 2 else weight


def _digit(code: Value, digit: int) -> tuple[Value, Value, Value]:
    return code[2 * digit + 1], code[2 * digit], code[2 * digit - 1]


def _add_lowest_slot(
    products: PartialProducts, u: list[Value], complement: list[Value], code: Value
) -> None:
    """Add the digit 1, −1 or −2: with three values the complement is a leg, not an XOR."""
    one = products.define("one", code[0] & ~code[1])
    minus_one = products.define("minus_one", code[0] & code[1])
    minus_two = products.define("minus_two", ~code[0] & code[1])
    products.add_selection([(one, u, 0), (minus_one, complement, 0), (minus_two, complement, 1)])


def _add_slot(
    products: PartialProducts, column: int, u: list[Value], high: Value, middle: Value, low: Value
) -> None:
    """Add the digit ``-2 high + middle + low``."""
    one = products.define("one", middle ^ low)
    two = products.define("two", Mux(high, ~middle & ~low, middle & low))
    for i, bit in select([(one, u, column), (two, u, column + 1)]).items():
        products.add(i, bit ^ high)


def _add_three_way_slot(
    products: PartialProducts,
    column: int,
    u: list[Value],
    complement: list[Value],
    high: Value,
    middle: Value,
    low: Value,
) -> None:
    """Add the upper digit of dINT4, which is −1, 0, 1 or 2: −2 occurs in the denormals alone."""
    one = products.define("one", ~high & (middle ^ low))
    two = products.define("two", ~high & middle & low)
    minus_one = products.define("minus_one", high & (middle ^ low))
    legs = [(one, u, column), (two, u, column + 1), (minus_one, complement, column)]
    products.add_selection(legs)


def _add_lowest_dint_slot(
    products: PartialProducts,
    u: list[Value],
    complement: list[Value],
    code: Value,
    denormal: Value,
) -> None:
    """Add the lowest digit in half steps: ±2u, −4u or, for a denormal, ±u.

    Its ends are reached by one magnitude each and need no XOR: column 0 by a denormal, column 9
    by −4u.
    """
    one = products.define("one", code[0] & ~denormal)
    two = products.define("two", code[1] & ~code[0])
    negative = products.define("negative", code[1] | (denormal & code[0]))
    plus_half = products.define("plus_half", denormal & ~code[0])
    minus_half = products.define("minus_half", denormal & code[0])
    columns = select([(denormal, u, 0), (one, u, 1), (two, u, 2)])
    for i in range(1, 9):
        products.add(i, columns[i] ^ negative)
    products.add(0, (plus_half & u[0]) | (minus_half & complement[0]))
    products.add(9, two & complement[-1])
