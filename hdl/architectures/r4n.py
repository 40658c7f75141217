"""Digits of a biased weight, chosen so that each has three values that are not zero.

An even-width code with its sign inverted is w + 2^(b−1) = Σ c_i 4^i with digits c_i = 0 … 3. Count
c_i − 1 = −1 … 2, and c_i − 2 = −2 … 1 at the top: they add up to w − f with the constant
f = (4^(b/2−1) − 1) / 3, which is 21 for INT8 and 1 for INT4. Every digit then needs three legs, one
of them the complement, and no XOR behind the selection as Booth's five-valued digits do. What is
missing is f Σ a, which depends on the activations alone.

Activations are unsigned, and positive multiples are complements that are subtracted, as in
:mod:`folded`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.folded import EXCESS, LARGEST, operands
from dintmac.hdl.architectures.partial_products import PartialProducts

__all__ = ["R4N"]


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


def generator(format: Format, shared: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of an integer code and the operands of its lane."""
    products = PartialProducts()
    (weight,) = weights
    u, complement = list(shared[:ACTIVATION_BITS]), list(shared[ACTIVATION_BITS:])
    top = format.bits - 2
    for column in range(0, top, 2):
        high, low = weight[column + 1], weight[column]
        minus_one = products.define(f"minus_one_{column}", ~high & ~low)
        one = products.define(f"one_{column}", high & ~low)
        two = products.define(f"two_{column}", high & low)
        products.subtract_selection(
            [(minus_one, u, column), (one, complement, column), (two, complement, column + 1)]
        )
    high, low = weight[top + 1], weight[top]
    minus_two = products.define("minus_two", high & ~low)
    minus_one = products.define("minus_one", high & low)
    one = products.define("one", ~high & low)
    products.subtract_selection(
        [(minus_two, u, top + 1), (minus_one, u, top), (one, complement, top)]
    )
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """128 (w − f) less 255 for each complement that enters; shape (…, 1) gives (…)."""
    codes = codes[..., 0].astype(np.int64)
    units = format.to_units(codes.astype(np.uint8)).astype(np.int64)
    top = format.bits - 2
    complements = _TOP_SLOT[codes >> top] << top
    for column in range(0, top, 2):
        complements += _SLOT[codes >> column & 3] << column
    return EXCESS * (units - activation_factor(format)) - LARGEST * complements


#: Multiples of the complement in a slot by its two code bits, of digits −1, 0, 1 and 2.
_SLOT = np.array([0, 0, 1, 2])
#: In the top one, of 0, 1, −2 and −1.
_TOP_SLOT = np.array([0, 1, 0, 0])


R4N = Multiplier(
    "r4n",
    "digits of a biased weight that take four values: selection without an XOR",
    supports=lambda format: format.is_integer and format.bits in (4, 6, 8),
    generator=generator,
    operands=operands,
    activation_term=activation_term,
    activation_factor=activation_factor,
    group_correction=correction,
    adds_complements=False,
)
