"""Two lanes that share the sum of their activations.

Bit i of the two weights v and w together select 0, a, b or a + b, worth 2^i and negative for the
sign: v·a + w·b = Σ ± 2^i (v[i] a + w[i] b). The sum a + b is made once for all outputs, and nine
bits enter the heap for two lanes and a bit of their weights, four and a half for a lane.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Value

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.partial_products import PartialProducts, extended, select

__all__ = ["generator", "operands"]

_SUM_BITS = ACTIVATION_BITS + 1


def operands(activations: Sequence[Value]) -> Value:
    """a (8 bits), b (8 bits) and a + b (9 bits)."""
    a, b = activations
    return Cat(a, b, (a.as_signed() + b.as_signed())[:_SUM_BITS])


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of two integer codes and the operands of their lanes."""
    products = PartialProducts()
    v, w = weights
    a = extended(operands[:ACTIVATION_BITS], _SUM_BITS)
    b = extended(operands[ACTIVATION_BITS : 2 * ACTIVATION_BITS], _SUM_BITS)
    both = list(operands[2 * ACTIVATION_BITS :])
    for i in range(format.bits):
        legs = [
            (products.define(f"first_{i}", v[i] & ~w[i]), a, 0),
            (products.define(f"second_{i}", ~v[i] & w[i]), b, 0),
            (products.define(f"both_{i}", v[i] & w[i]), both, 0),
        ]
        row = list(select(legs).values())
        products.add_signed(i, row, negate=i == format.bits - 1)
    return products
