"""Weights stored as radix-4 digits that take four values each, so that bits are controls.

Non-redundant radix-4 signed digits (Tsoumanis, Axelos, Moshopoulos, Zervakis and Pekmestzi,
"Pre-Encoded Multipliers Based on Non-Redundant Radix-4 Signed-Digit Encoding", IEEE Transactions
on Computers, 2016, doi 10.1109/TC.2015.2428691): a digit is −2, −1, 0 or 1, or −1, 0, 1 or 2, in
two bits, and the weight is stored that way, in as many bits as before. Weights are prepared
anyway, for their correction. Where both bits are the legs −1 and 1, both are on for zero, and a
NOR of them is the third leg: there are no decoders.

Of an integer all digits are −2 … 1 but the top one, −2 … 2, which stands behind a sign. Its code
"two" means 2 if what is below is negative, since weights end at 2^(b−1) − 1, and −2 if not.

Of dINT4 the low digit is −2 … 1 and the high one −1 … 2. They reach −6 … 9, and dINT4 ends at 7:
the codes of 8 and 9 are those of −1/2 and +1/2. These need ± 1 half step in the low slot, so
there −1 and 1 are behind a sign.

Selections subtract, as in :mod:`folded`, and :func:`correction` is what they are too large by.
Those of three legs are added with ``split``, in two gates a bit: for libraries without
AND-OR-invert gates of three legs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from amaranth.hdl import Const, Module, Signal, Value
from amaranth.sim import Simulator
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures import folded
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import Leg, PartialProducts, SplitLeg

__all__ = [
    "DINT4_LOW",
    "LEGS",
    "NR4SD",
    "NR4SD_SPLIT",
    "Lane",
    "add_dint4_high_digit",
    "add_dint4_low_digit",
    "add_signed_digit",
    "add_three_way_digit",
    "lowest_digit",
]


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
        digit, rest = lowest_digit(rest, 4, -2)
        stored |= LEGS[digit + 2] << position
    return (stored | LEGS[rest + 2] << (format.bits - 2)).astype(np.uint8)


def _dint4_encoding(format: Format) -> NDArray[np.uint8]:
    half_steps = format.half_steps.astype(np.int64)
    # Denormals are stored as what would be 8 and 9 steps.
    steps = np.where(half_steps & 1, 8 + (half_steps > 0), half_steps >> 1)
    low, high = lowest_digit(steps, 4, -2)
    return (DINT4_LOW[low + 2] | LEGS[high + 2] << 2).astype(np.uint8)


def lowest_digit(
    values: NDArray[np.int64], base: int, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The digit of ``least … least + base − 1`` that agrees modulo ``base``, and the rest."""
    digit = (values - least) % base + least
    return digit, (values - digit) // base


#: Two bits for the digits −2 … 2: the leg −1, and above it the leg 1. Zero is both.
LEGS = np.array([0, 1, 3, 2, 0], dtype=np.uint8)
#: The same of dINT4's low digit, where zero is neither and a two both.
DINT4_LOW = np.array([3, 1, 0, 2, 3], dtype=np.uint8)


@cache
def _products_of_zero(format: Format, split: bool) -> NDArray[np.int64]:
    """What the generator makes of an activation 0 and each stored weight."""
    activation, stored = Signal(ACTIVATION_BITS), Signal(format.bits)
    total = Signal(32)
    products = generator(format, folded.operands([activation]), [stored], split=split)
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


def correction(
    format: Format, codes: NDArray[np.uint8], *, split: bool = False
) -> NDArray[np.int64]:
    """What the products of an activation 0 add up to; shape (…, 1) gives (…)."""
    return _products_of_zero(format, split)[encoding(format)[codes[..., 0]]]


# Products


@dataclass(frozen=True)
class Lane:
    """What positive and negative multiples let pass, and the bits of the stored weight.

    Selections are subtracted: ``positive`` is the complement of u = a + 128, ``negative`` u itself,
    or the other way round where all is subtracted once more. With ``split`` those of three legs
    are added instead, in two gates a bit (PartialProducts.add_split_selection).
    """

    positive: list[Value]
    negative: list[Value]
    stored: Value
    split: bool = False

    def add_digit(
        self, products: PartialProducts, column: int, one: Value, minus_one: Value, two: Leg
    ) -> None:
        """Add a digit of the legs 1, −1 and ``two``, which is one of ± 2 by what it lets pass."""
        if self.split:
            legs = [
                (one, self.negative, self.positive, column),
                (minus_one, self.positive, self.negative, column),
            ]
            products.add_split_selection(legs, self._added(two))
        else:
            products.subtract_selection(
                [(one, self.positive, column), (minus_one, self.negative, column), two]
            )

    def add_signed(
        self,
        products: PartialProducts,
        plus: Value,
        minus: Value,
        selections: Sequence[tuple[Value, int]],
        two: Leg,
    ) -> None:
        """Add a signed operand, selected at the given columns, and ``two``."""
        column = selections[0][1]
        if self.split:
            signed = self.signed(products, column, minus, plus)
            legs = [(control, signed, None, shift) for control, shift in selections]
            products.add_split_selection(legs, self._added(two), late=True)
        else:
            signed = self.signed(products, column, plus, minus)
            subtracted = [(control, signed, shift) for control, shift in selections]
            products.subtract_selection([*subtracted, two], late=True)

    def _added(self, leg: Leg) -> SplitLeg:
        """A leg of u or its complement, where selections are added."""
        control, passed, shift = leg
        other = self.negative if passed is self.positive else self.positive
        return control, other, passed, shift

    def signed(
        self, products: PartialProducts, column: int, positive: Value, negative: Value
    ) -> list[Value]:
        """What is to pass, of either sign; constant where both are on, or neither."""
        return folded.signed_operand(
            products, column, self.negative, self.positive, positive, negative
        )


def generator(
    format: Format, operands: Value, weights: Sequence[Value], *, split: bool = False
) -> PartialProducts:
    """Partial products of a stored weight and the operands of its lane (folded.operands)."""
    products = PartialProducts()
    (stored,) = weights
    u, complement = list(operands[:ACTIVATION_BITS]), list(operands[ACTIVATION_BITS:])
    lane = Lane(complement, u, stored, split)
    if format.is_dint:
        denormal = add_dint4_high_digit(products, lane, Const(0))
        add_dint4_low_digit(products, lane, denormal)
        return products
    below: Value = Const(0)
    for column in range(0, format.bits - 2, 2):
        minus_one, one = add_three_way_digit(products, lane, column)
        # A digit zero is both legs.
        below = products.define("below", ~one | (minus_one & below))
    add_signed_digit(products, lane, format.bits - 2, plus_two=below)
    return products


def add_three_way_digit(products: PartialProducts, lane: Lane, column: int) -> tuple[Value, Value]:
    """Add the digit −2 … 1 of two stored bits, and return its legs −1 and 1."""
    minus_one, one = lane.stored[column], lane.stored[column + 1]
    minus_two = products.define("minus_two", ~(minus_one | one))
    lane.add_digit(products, column, one, minus_one, (minus_two, lane.negative, column + 1))
    return minus_one, one


def add_signed_digit(products: PartialProducts, lane: Lane, column: int, plus_two: Value) -> None:
    """Add the digit −2 … 2 of two stored bits; ``plus_two`` makes 2 of −2."""
    minus_one, one = lane.stored[column], lane.stored[column + 1]
    two = products.define("two", ~(minus_one | one))
    single = products.define("single", ~two)
    plus_two = products.define("plus_two", plus_two)
    positive = products.define("positive", one | (two & plus_two))
    negative = products.define("negative", minus_one | (two & ~plus_two))
    signed = lane.signed(products, column, positive, negative)
    products.subtract_selection([(single, signed, column), (two, signed, column + 1)], late=True)


def add_dint4_high_digit(products: PartialProducts, lane: Lane, int8: Value) -> Value:
    """Add the high digit of dINT4, −1 … 2, and return whether the weight is a denormal.

    Denormals are digits 0 and 1 below a 2, which no steps of dINT4 have; where ``int8``, they are
    what they are.
    """
    minus, minus_one, one = lane.stored[0], lane.stored[2], lane.stored[3]
    half = products.define("half", ~(minus | int8))
    denormal = products.define("denormal", ~(one | minus_one) & half)
    two = products.define("two", ~(one | minus_one | half))
    lane.add_digit(products, 3, one, minus_one, (two, lane.positive, 4))
    return denormal


def add_dint4_low_digit(products: PartialProducts, lane: Lane, denormal: Value) -> None:
    """Add the low digit of dINT4, −2 … 1 steps, or ± 1/2; all in half steps."""
    minus, plus = lane.stored[0], lane.stored[1]
    one = products.define("not_denormal", ~denormal)
    minus_two = products.define("minus_two", plus & minus)
    negative = products.define("negative", minus | (denormal & ~plus))
    # Of −2 both are on, which passes nothing.
    selections = [(denormal, 0), (one, 1)]
    lane.add_signed(products, plus, negative, selections, (minus_two, lane.negative, 2))


NR4SD = Multiplier(
    "nr4sd",
    "non-redundant radix-4 signed digits, which the weights are stored as",
    supports=supports,
    generator=generator,
    operands=folded.operands,
    group_correction=correction,
    encoding=encoding,
    adds_complements=False,
)

NR4SD_SPLIT = Multiplier(
    "nr4sd_split",
    "nr4sd for libraries without AND-OR-invert gates of three legs",
    supports=lambda format: supports(format) and format.bits > 2,
    generator=partial(generator, split=True),
    operands=folded.operands,
    group_correction=partial(correction, split=True),
    encoding=encoding,
    adds_complements=False,
)
