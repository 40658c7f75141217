"""Digits of a biased weight, chosen so that each has three values that are not nought.

An even-width code with its sign inverted is w + 2^(b−1) = Σ c_i 4^i with digits c_i = 0 … 3. Count
c_i − 1 = −1 … 2, and c_i − 2 = −2 … 1 at the top: they add up to w − f with the constant
f = (4^(b/2−1) − 1) / 3, which is 21 for INT8 and 1 for INT4. Every digit then needs three legs, one
of them the complement, and no XOR behind the selection as Booth's five-valued digits do. What is
missing is f Σ a, which depends on the activations alone.

Activations are unsigned and complements uncorrected, as in :mod:`folded`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.folded import EXCESS, LARGEST
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = ["activation_factor", "activation_term", "correction", "generator"]


def activation_factor(format: Format) -> int:
    """f, which the digits of every weight are short of."""
    factor: int = (4 ** (format.bits // 2 - 1) - 1) // 3
    return factor


def activation_term(activations: Sequence[Value]) -> PartialProducts:
    """The activation."""
    products = PartialProducts()
    (a,) = activations
    products.add_signed(0, list(a))
    return products


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of an integer code and the operands of its lane."""
    products = PartialProducts()
    (weight,) = weights
    u, complement = list(operands[:ACTIVATION_BITS]), list(operands[ACTIVATION_BITS:])
    top = format.bits - 2
    for column in range(0, top, 2):
        high, low = weight[column + 1], weight[column]
        minus_one = products.define(f"minus_one_{column}", ~high & ~low)
        one = products.define(f"one_{column}", high & ~low)
        two = products.define(f"two_{column}", high & low)
        products.add_selection(
            [(minus_one, complement, column), (one, u, column), (two, u, column + 1)]
        )
    high, low = weight[top + 1], weight[top]
    minus_two = products.define("minus_two", high & ~low)
    minus_one = products.define("minus_one", high & low)
    one = products.define("one", ~high & low)
    products.add_selection(
        [(minus_two, complement, top + 1), (minus_one, complement, top), (one, u, top)]
    )
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """128 (w − f) and the excess of the complements; shape (…, 1) gives (…)."""
    codes = codes[..., 0]
    excess = EXCESS * (format.to_units(codes).astype(np.int64) - activation_factor(format))
    top = format.bits - 2
    for column in range(0, top, 2):
        excess += np.where((codes >> column & 3) == 0, LARGEST << column, 0)
    return excess + (np.array([0, 0, 2, 1])[codes >> top] * LARGEST << top)
