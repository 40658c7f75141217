"""Weights stored as radix-4 digits that take four values each, so that bits are controls.

Non-redundant radix-4 signed digits (Tsoumanis, Axelos, Moschopoulos, Zervakis and Pekmestzi,
"Pre-encoded multipliers based on non-redundant radix-4 signed-digit encoding", 2016): a digit is
−2, −1, 0 or 1, or −1, 0, 1 or 2, in two bits, and the weight is stored that way, in as many bits as
before. Weights are prepared anyway, for their correction. Where both bits are the legs −1 and 1,
both are on for nought, and a NOR of them is the third leg: there are no decoders.

Of an integer all digits are −2 … 1 but the top one, −2 … 2, which stands behind a sign. Its code
"two" means 2 if what is below is negative, since weights end at 2^(b−1) − 1, and −2 if not.

Of dINT4 the low digit is −2 … 1 and the high one −1 … 2. They reach −6 … 9, and dINT4 ends at 7:
the codes of 8 and 9 are those of −1/2 and +1/2. These need ± 1 half step in the low slot, so there
−1 and 1 are behind a sign.

Selections subtract, as in :mod:`folded`, and :func:`correction` is what they are too large by.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.folded import operands as folded_operands
from dintmac.hdl.architectures.folded import signed_operand
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = ["correction", "encoding", "generator", "supports"]


def supports(format: Format) -> bool:
    """Whether the digits of a format are whole: integers of even width, and dINT4."""
    return format.bits % 2 == 0 and (format.is_integer or (format.is_dint and format.bits == 4))


# Weights


def encoding(format: Format) -> NDArray[np.uint8]:
    """What is stored of each code, uint8, shape (codes,): digits of two bits, the lowest first."""
    if format.is_dint:
        return _dint4_encoding(format)
    rest = format.half_steps.astype(np.int64) // 2
    stored = np.zeros(format.codes, dtype=np.uint8)
    for position in range(0, format.bits - 2, 2):
        digit, rest = _split(rest, -2)
        stored |= _LEGS[digit + 2] << position
    return stored | _LEGS[rest + 2] << (format.bits - 2)


def _dint4_encoding(format: Format) -> NDArray[np.uint8]:
    half_steps = format.half_steps.astype(np.int64)
    # Denormals are stored as what would be 8 and 9 steps.
    steps = np.where(half_steps & 1, 8 + (half_steps > 0), half_steps >> 1)
    low, high = _split(steps, -2)
    return _DINT4_LOW[low + 2] | _LEGS[high + 2] << 2


def _split(values: NDArray[np.int64], least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The digit of ``least … least + 3`` that agrees modulo 4, and the rest."""
    digit = (values - least) % 4 + least
    return digit, (values - digit) // 4


#: Two bits for the digits −2 … 2: the leg −1, and above it the leg 1.
_LEGS = np.array([0, 1, 3, 2, 0], dtype=np.uint8)
#: The same of dINT4's low digit, where nought is no leg and −2 both.
_DINT4_LOW = np.array([3, 1, 0, 2], dtype=np.uint8)


@cache
def _products_of_nought(format: Format) -> NDArray[np.int64]:
    """What the generator makes of an activation 0 and each stored weight."""
    activation, stored = Signal(ACTIVATION_BITS), Signal(format.bits)
    total = Signal(32)
    products = generator(format, folded_operands([activation]), [stored])
    m = Module()
    m.d.comb += [signal.eq(value) for signal, value in products.definitions]
    m.d.comb += total.eq(sum((bit << column for column, bit in products.bits), start=0))
    sums = []

    async def evaluate(context):
        for word in range(format.codes):
            context.set(stored, word)
            sums.append(context.get(total))

    simulator = Simulator(m)
    simulator.add_testbench(evaluate)
    simulator.run()
    return np.array(sums, dtype=np.int64) + products.constant


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the products of an activation 0 add up to; shape (…, 1) gives (…)."""
    return _products_of_nought(format)[encoding(format)[codes[..., 0]]]


# Products


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of a stored weight and the operands of its lane (folded.operands)."""
    products = PartialProducts()
    (stored,) = weights
    u, complement = list(operands[:ACTIVATION_BITS]), list(operands[ACTIVATION_BITS:])
    if format.is_dint:
        _add_dint4(products, u, complement, stored)
        return products
    below: Value | None = None
    for position in range(0, format.bits - 2, 2):
        minus_one, one = stored[position], stored[position + 1]
        minus_two = products.define("minus_two", ~(minus_one | one))
        products.subtract_selection(
            [
                (one, complement, position),
                (minus_one, u, position),
                (minus_two, u, position + 1),
            ]
        )
        # A digit nought is both legs.
        below = ~one if below is None else products.define("below", ~one | (minus_one & below))
    _add_top_digit(products, u, complement, stored, below)
    return products


def _add_top_digit(
    products: PartialProducts,
    u: list[Value],
    complement: list[Value],
    stored: Value,
    below: Value | None,
) -> None:
    """Add the top digit; ``below`` is whether what stands below it is negative."""
    minus_one, one = stored[-2], stored[-1]
    column = len(stored) - 2
    two = products.define("two", ~(minus_one | one))
    # Nought is both legs of the sign, which passes nothing.
    single = products.define("single", ~two)
    if below is None:
        positive, negative = one, products.define("negative", ~one | minus_one)
    else:
        positive = products.define("positive", one | (two & below))
        negative = products.define("negative", minus_one | (two & ~below))
    signed = signed_operand(products, column, u, complement, positive, negative)
    products.subtract_selection([(single, signed, column), (two, signed, column + 1)], late=True)


def _add_dint4(
    products: PartialProducts, u: list[Value], complement: list[Value], stored: Value
) -> None:
    """Add both digits of dINT4, in half steps, or ±u for a denormal."""
    minus, plus, high_minus_one, high_one = stored
    denormal = products.define("denormal", ~(high_minus_one | high_one | minus))
    two = products.define("two", ~(high_minus_one | high_one) & minus)
    products.subtract_selection(
        [(high_one, complement, 3), (two, complement, 4), (high_minus_one, u, 3)]
    )
    one = products.define("one", ~denormal)
    minus_two = products.define("minus_two", plus & minus)
    negative = products.define("negative", minus | (denormal & ~plus))
    # Of −2 both are on, which passes nothing.
    signed = signed_operand(products, 0, u, complement, plus, negative)
    products.subtract_selection([(denormal, signed, 0), (one, signed, 1), (minus_two, u, 2)], late=True)
