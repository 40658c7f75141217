"""Radix-4 digits of the weight: Booth's for integers, with a denormal leg for dINT.

The weight is cut into digits −2 … 2 (Booth 1951, MacSorley 1961): digit i of the code w is
``-2 w[2i+1] + w[2i] + w[2i-1]`` with ``w[-1] = 0``, so the lowest takes four values alone. A digit
selects 0, a or 2a and inverts it; the "+1" of a negation is a bit of its own. Integers multiply in
steps and dINT in half steps, where digit i stands at column 2i + 1 and the lowest slot has a third
leg: the bare activation for the denormals ±1/2 (docs/dint.md, section 1).
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Mux, Value

from dintmac.golden.formats import Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = ["BOOTH", "DIGITS"]


def generator(format: Format, activation: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of a code and an activation.

    Parameters
    ----------
    format : Format
        Any integer or dINT format.
    activation : Value, 8 bits, two's complement
    weights : one Value, ``format.bits`` bits, a code
    """
    products = PartialProducts()
    (weight,) = weights
    code = Cat(weight, weight[-1]) if format.bits % 2 else weight
    denormal = Const(0, 1)
    if format.is_dint:
        denormal = products.define("denormal", weight[-1] & ~weight[1:-1].any())
        _add_lowest_dint_slot(products, activation, code, denormal)
    else:
        _add_slot(products, 0, activation, code[1], code[0], Const(0, 1))
    for digit in range(1, len(code) // 2):
        high, middle, low = code[2 * digit + 1], code[2 * digit], code[2 * digit - 1]
        column = 2 * digit + format.units_per_step - 1
        if format.is_dint and format.bits == 4:
            _add_three_way_slot(products, column, activation, high, middle, low)
        elif format.is_dint and digit == len(code) // 2 - 1:
            # A denormal's code is the digit −2 (or −1 at odd widths) at the top; make it zero.
            high, middle, low = (bit & ~denormal for bit in (high, middle, low))
            _add_slot(products, column, activation, high, middle, low)
        else:
            _add_slot(products, column, activation, high, middle, low)
    return products


def _bit(activation: Value, index: int) -> Value:
    """Bit ``index`` of the sign-extended activation; zero below its least significant."""
    if index < 0:
        return Const(0, 1)
    return activation[min(index, len(activation) - 1)]


def _add_slot(
    products: PartialProducts,
    column: int,
    activation: Value,
    high: Value,
    middle: Value,
    low: Value,
) -> None:
    """Add the digit ``-2 high + middle + low`` times the activation."""
    one = products.define("one", middle ^ low)
    two = products.define("two", Mux(high, ~middle & ~low, middle & low))
    negative = products.define("negative", high)
    width = len(activation) + 1
    slot = [
        ((one & _bit(activation, i)) | (two & _bit(activation, i - 1))) ^ negative
        for i in range(width)
    ]
    products.add_signed(column, slot)
    products.add(column, negative)


def _add_three_way_slot(
    products: PartialProducts,
    column: int,
    activation: Value,
    high: Value,
    middle: Value,
    low: Value,
) -> None:
    """Add the upper digit of dINT4, which is −1, 0, 1 or 2: −2 occurs in the denormals alone.

    Without −2 the complement can be a third leg of the selection, cheaper than an XOR behind it.
    """
    one = products.define("one", ~high & (middle ^ low))
    two = products.define("two", ~high & middle & low)
    minus_one = products.define("minus_one", high & (middle ^ low))
    width = len(activation) + 1
    slot = [
        (one & _bit(activation, i))
        | (two & _bit(activation, i - 1))
        | (minus_one & ~_bit(activation, i))
        for i in range(width)
    ]
    products.add_signed(column, slot)
    products.add(column, minus_one)


def _add_lowest_dint_slot(
    products: PartialProducts, activation: Value, code: Value, denormal: Value
) -> None:
    """Add the lowest digit in half steps: ±2a, −4a or, for a denormal, ±a.

    Column 0 holds a denormal's lowest bit alone. Negation leaves that bit as it is:
    −(2q + r) = 2(~q + (1 − r)) + r, so its "+1" goes to column 1 and is absent where r is 1.
    """
    one = products.define("one", code[0] & ~denormal)
    two = products.define("two", code[1] & ~code[0])
    negative = products.define("negative", code[1] | (denormal & code[0]))
    width = len(activation) + 2
    magnitude = [
        (denormal & _bit(activation, i))
        | (one & _bit(activation, i - 1))
        | (two & _bit(activation, i - 2))
        for i in range(width)
    ]
    products.add(0, magnitude[0])
    products.add(1, negative & ~magnitude[0])
    products.add_signed(1, [bit ^ negative for bit in magnitude[1:]])


BOOTH = Multiplier(
    "booth",
    "radix-4 Booth digits of the weight",
    # One generator, two names: on wide integers radix-4 digits are the field's Booth.
    supports=lambda format: format.is_integer and format.bits > 4,
    generator=generator,
)

DIGITS = Multiplier(
    "digits",
    "radix-4 digits of a dINT or narrow code",
    supports=lambda format: format.is_dint or (format.is_integer and format.bits <= 4),
    generator=generator,
)
