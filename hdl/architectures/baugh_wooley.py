"""Baugh and Wooley's array: one AND gate for each pair of bits.

w·a = Σ ± w[i] a[j] 2^(i+j), where a sign bit counts negatively and two of them positively again
(Baugh and Wooley 1973). A negative bit is added as its complement; all constants become one.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Value

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = ["BAUGH_WOOLEY"]


def generator(format: Format, activation: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of an integer code and an activation."""
    products = PartialProducts()
    (weight,) = weights
    for i in range(format.bits):
        row = [weight[i] & activation[j] for j in range(ACTIVATION_BITS)]
        products.add_signed(i, row, negate=i == format.bits - 1)
    return products


BAUGH_WOOLEY = Multiplier(
    "baugh_wooley",
    "one AND gate for each pair of bits",
    supports=lambda format: format.is_integer,
    generator=generator,
)
