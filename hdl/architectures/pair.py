"""Two lanes that share the sum of their activations.

Bit i of the two weights v and w together select 0, a, b or a + b, worth 2^i and negative for the
sign: v·a + w·b = Σ ± 2^i (v[i] a + w[i] b). The sum a + b is made once for all outputs, and nine
bits enter the heap for two lanes and a bit of their weights, four and a half for a lane.

Folded, activations are unsigned and selections inverted, as in :mod:`folded`: complements are
selected where a bit of the weights counts positive, and what counts negative as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Value
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures import folded
from dintmac.hdl.architectures.architecture import Multiplier
from dintmac.hdl.architectures.partial_products import Leg, PartialProducts, extended, select

__all__ = ["PAIR", "PAIR_FOLDED"]

_SUM_BITS = ACTIVATION_BITS + 1


def operands(activations: Sequence[Value]) -> Value:
    """a (8 bits), b (8 bits) and a + b (9 bits)."""
    a, b = activations
    return Cat(a, b, (a.as_signed() + b.as_signed())[:_SUM_BITS])


def generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of two integer codes and the operands of their lanes."""
    products = PartialProducts()
    a = extended(operands[:ACTIVATION_BITS], _SUM_BITS)
    b = extended(operands[ACTIVATION_BITS : 2 * ACTIVATION_BITS], _SUM_BITS)
    both = list(operands[2 * ACTIVATION_BITS :])
    for i in range(format.bits):
        row = list(select(_legs(products, i, weights, a, b, both)).values())
        products.add_signed(i, row, negate=i == format.bits - 1)
    return products


def folded_operands(activations: Sequence[Value]) -> Value:
    """Both activations with 128 added (8 bits each), their sum (9 bits), and the complements."""
    raised = [folded.operands([a])[:ACTIVATION_BITS] for a in activations]
    plain = Cat(*raised, (raised[0] + raised[1])[:_SUM_BITS])
    return Cat(plain, ~plain)


def folded_generator(format: Format, operands: Value, weights: Sequence[Value]) -> PartialProducts:
    """Partial products of two integer codes; too large by the correction."""
    products = PartialProducts()
    half = len(operands) // 2
    for i in range(format.bits):
        chosen = operands[:half] if i == format.bits - 1 else operands[half:]
        a, b = chosen[:ACTIVATION_BITS], chosen[ACTIVATION_BITS : 2 * ACTIVATION_BITS]
        both = chosen[2 * ACTIVATION_BITS :]
        products.subtract_selection(_legs(products, i, weights, list(a), list(b), list(both)))
    return products


def correction(format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """128 (v + w) less what enters too little as complements; shape (…, 2) gives (…)."""
    excess: NDArray[np.int64] = folded.EXCESS * format.to_units(codes).astype(np.int64).sum(axis=-1)
    for i in range(format.bits - 1):
        chosen = (codes >> i & 1).sum(axis=-1)
        excess -= _COMPLEMENTS[chosen] << i
    return excess


def pair_correction(format: Format) -> str:
    """The part of the correction that takes both weights: 2^i where bit i of both is set."""
    return f"-(v & w & {(1 << format.bits - 1) - 1})"


#: What a complement and the operand add up to, where none, one or both of two activations count.
_COMPLEMENTS = np.array([0, folded.LARGEST, 2 * folded.LARGEST + 1])


def _legs(
    products: PartialProducts,
    i: int,
    weights: Sequence[Value],
    a: Sequence[Value],
    b: Sequence[Value],
    both: Sequence[Value],
) -> list[Leg]:
    """What bit ``i`` of the two weights selects."""
    v, w = weights
    return [
        (products.define(f"first_{i}", v[i] & ~w[i]), a, i),
        (products.define(f"second_{i}", ~v[i] & w[i]), b, i),
        (products.define(f"both_{i}", v[i] & w[i]), both, i),
    ]


PAIR = Multiplier(
    "pair",
    "bit planes of two weights select 0, a, b or a + b",
    supports=lambda format: format.is_integer,
    group=2,
    generator=generator,
    operands=operands,
)

PAIR_FOLDED = Multiplier(
    "pair_folded",
    "pair, with all that depends on the weights alone left to the bias",
    supports=lambda format: format.is_integer,
    group=2,
    generator=folded_generator,
    operands=folded_operands,
    group_correction=correction,
    by_pair=pair_correction,
    adds_complements=False,
)
