"""The products of a floating-point weight: one shifted activation, taken once or twice.

An E2M1 code, in half steps, is ± (2 i + m) 2^k with its mantissa m, the bit i that leads it (0 for
the exponents' code 0 alone) and k = 0, 1, 2. So s 2^k, where s is the activation with the sign of
the weight, is selected once; m lets it pass into one slot and i, a column higher, into another.

A two's complement negation lacks one at its lowest bit: where s is shifted, the columns below hold
the sign, so that it lacks one at column 0 whatever the shift.

Folded, s is u = a + 128 or its complement, as in :mod:`folded`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.folded import EXCESS, LARGEST, operands
from dintmac.hdl.architectures.partial_products import Leg, PartialProducts, select

__all__ = ["SHIFT", "SHIFT_FOLDED"]

#: Bits of an activation shifted by 0 to 2.
_WIDTH = ACTIVATION_BITS + 2


def generator(format: Format, activation: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of an FP4 code and an activation."""
    products = PartialProducts()
    (weight,) = weights
    sign = weight[3]
    signed = [products.define(f"signed_{i}", activation[i] ^ sign) for i in range(ACTIVATION_BITS)]
    signed += [signed[-1]] * (_WIDTH - ACTIVATION_BITS)
    mantissa, leading, shifts = _decoded(products, weight)
    legs = [(control, [sign] * k + signed[: _WIDTH - k], 0) for k, control in enumerate(shifts)]
    shifted = _shifted(products, legs)
    products.add_signed(0, [mantissa & bit for bit in shifted])
    products.add_signed(1, [leading & bit for bit in shifted])
    products.add(0, mantissa & sign)
    products.add(1, leading & sign)
    return products


def folded_generator(format: Format, shared: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of an FP4 code and the operands of its lane; too large by the correction."""
    products = PartialProducts()
    (weight,) = weights
    sign = weight[3]
    u, complement = shared[:ACTIVATION_BITS], shared[ACTIVATION_BITS:]
    signed = [
        products.define(f"signed_{i}", ~((~sign & complement[i]) | (sign & u[i])))
        for i in range(ACTIVATION_BITS)
    ]
    mantissa, leading, shifts = _decoded(products, weight)
    shifted = _shifted(products, [(control, signed, k) for k, control in enumerate(shifts)])
    products.add_selection([(mantissa, shifted, 0)])
    products.add_selection([(leading, shifted, 1)])
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """128 w, and 255 |w| more where w is negative; shape (…, 1) gives (…)."""
    units = format.to_units(codes[..., 0]).astype(np.int64)
    excess: NDArray[np.int64] = EXCESS * units - LARGEST * np.minimum(units, 0)
    return excess


def _decoded(products: PartialProducts, weight: Value) -> tuple[Value, Value, list[Value]]:
    """m, i, and the controls of shifts by 0, 1 and 2."""
    low, high = weight[1], weight[2]
    shifts = [
        products.define("shift_0", ~high),
        products.define("shift_1", high & ~low),
        products.define("shift_2", high & low),
    ]
    return weight[0], products.define("leading", high | low), shifts


def _shifted(products: PartialProducts, legs: Sequence[Leg]) -> list[Value]:
    """The bits that the legs select, each with a name: they are used twice."""
    return [products.define(f"shifted_{column}", bit) for column, bit in select(legs).items()]


SHIFT = Multiplier(
    "shift",
    "one shifted activation, for the mantissa and for the bit that leads it",
    supports=lambda format: format.is_float,
    generator=generator,
    adds_complements=False,
)

SHIFT_FOLDED = Multiplier(
    "shift_folded",
    "shift, with all that depends on the weight alone left to the bias",
    supports=lambda format: format.is_float,
    generator=folded_generator,
    operands=operands,
    group_correction=correction,
    adds_complements=False,
)
