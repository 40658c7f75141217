"""Winograd's inner product: two lanes share one multiplier.

(a + w)(b + v) = a b + v a + w b + v w for the activations a, b and the weights v, w of two lanes
(Winograd 1968), so v a + w b is one product of two sums, less a b, which depends on the activations
alone, and v w, which depends on the weights alone.

With x = a + w and y = b + v, both 9 bits, y is cut into the digits of :mod:`r4n`, −1, 0, 1 and 2
for each two of its lower eight bits, which add up to y − 85 with the sign bit. The heap then holds
x (y − 85), and

    v a + w b = x (y − 85) + a (85 − b) − w (v − 85).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Const, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import PartialProducts, extended, select

__all__ = ["FIP"]

#: Σ 4^i over the four digits of the lower bits of y, each of which counts one too little.
_SHORT = 85


def operands(activations: Sequence[Value]) -> Value:
    """Both activations with 128 added, which is an inverted sign."""
    return Cat(*(Cat(a[:-1], ~a[-1]) for a in activations))


def activation_term(activations: Sequence[Value]) -> PartialProducts:
    """a (85 − b) = 128 a − a (b + 43), of which the bracket is Σ digits of b."""
    products = PartialProducts()
    a, b = activations
    wide = extended(a, ACTIVATION_BITS + 1)
    doubled = [Const(0, 1), *a]
    products.add_signed(7, list(a))
    for column in range(0, ACTIVATION_BITS, 2):
        high, low = b[column + 1], b[column]
        if column == ACTIVATION_BITS - 2:
            high = ~high
        row = select(
            [
                (~high & ~low, wide, 0),
                (high & ~low, [~bit for bit in wide], 0),
                (high & low, [~bit for bit in doubled], 0),
            ]
        )
        products.add_signed(column, list(row.values()))
        products.add(column, high)
    return products


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of two INT8 codes and the operands of their lanes."""
    products = PartialProducts()
    v, w = weights
    x = _sum(products, "x", operands[:ACTIVATION_BITS], w)
    y = _sum(products, "y", operands[ACTIVATION_BITS:], v)
    wide = [*x, x[-1]]
    complement = [~bit for bit in wide]
    for column in range(0, ACTIVATION_BITS, 2):
        high, low = y[column + 1], y[column]
        minus_one = products.define(f"minus_one_{column}", ~high & ~low)
        one = products.define(f"one_{column}", high & ~low)
        two = products.define(f"two_{column}", high & low)
        row = select([(minus_one, complement, 0), (one, wide, 0), (two, x, 1)])
        products.add_signed(column, list(row.values()))
        products.add(column, minus_one)
    products.add_signed(ACTIVATION_BITS, [y[-1] & bit for bit in x], negate=True)
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """w (v − 85) of each pair; shape (…, 2) gives (…)."""
    units = format.to_units(codes).astype(np.int64)
    excess: NDArray[np.int64] = units[..., 1] * (units[..., 0] - _SHORT)
    return excess


def pair_correction(format: Format) -> str:
    """The part of the correction that takes both weights: all but −85 w."""
    return "v * w"


def _sum(products: PartialProducts, name: str, raised: Value, weight: Value) -> list[Value]:
    """The sum of an activation and a weight, 9 bits: the sign is the carry of both + 128."""
    addend = Cat(weight[:-1], ~weight[-1])
    carry: Value = Const(0, 1)
    total = []
    for i in range(ACTIVATION_BITS):
        a, b = raised[i], addend[i]
        total.append(products.define(f"{name}_{i}", a ^ b ^ carry if i else a ^ b))
        carry = products.define(f"{name}_carry_{i}", (a & b) | ((a ^ b) & carry) if i else a & b)
    return [*total, ~carry]


FIP = Multiplier(
    "fip",
    "Winograd's inner product: one multiplier of sums for two lanes",
    supports=lambda format: format.is_integer and format.bits == 8,
    group=2,
    generator=generator,
    operands=operands,
    activation_term=activation_term,
    group_correction=correction,
    by_pair=pair_correction,
)
