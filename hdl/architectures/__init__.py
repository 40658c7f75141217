"""Multiplier architectures: ways to make the partial products of weights and activations.

An architecture cuts the lanes into groups of one or two. Of each group it makes

- *operands*: what depends on the activations alone and is shared by all sums they enter, such as
  complements or the sum of two activations;
- *partial products* of operands and weights, for the bit heap;
- an *activation term*, where products need a summand that depends on the activations alone. It is
  added up once for all sums that share the activations.

A *folded* architecture leaves a third part to whoever prepares the weights: its sums are off by
a *correction* that depends on the weights alone. Only where weights
are known beforehand is it of use (docs/arithmetic.md, section 2).

Architectures are chosen by name; ``behavioural`` makes no partial products, it leaves products and
sums to the synthesis tool.
"""

from __future__ import annotations

from collections.abc import Mapping

from dintmac.golden.formats import FORMATS, Format
from dintmac.golden.registry import Registry
from dintmac.hdl.architectures.architecture import Architecture, Multiplier
from dintmac.hdl.architectures.baugh_wooley import BAUGH_WOOLEY
from dintmac.hdl.architectures.behavioural import BEHAVIOURAL
from dintmac.hdl.architectures.fip import FIP
from dintmac.hdl.architectures.folded import BOOTH_FOLDED, DIGITS_FOLDED
from dintmac.hdl.architectures.nr4sd import NR4SD, NR4SD_SPLIT
from dintmac.hdl.architectures.pair import PAIR, PAIR_FOLDED
from dintmac.hdl.architectures.partial_products import PartialProducts
from dintmac.hdl.architectures.r4n import R4N
from dintmac.hdl.architectures.radix4 import BOOTH, DIGITS
from dintmac.hdl.architectures.shift import SHIFT, SHIFT_FOLDED

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Multiplier",
    "PartialProducts",
    "architecture_for",
    "architectures_of",
    "smaller_architecture",
]

#: All that multiply lanes. Of those that suit a format and make products the first is its default.
ARCHITECTURES: Registry[Multiplier] = Registry(
    "architecture",
    "architectures",
    (
        (architecture.name, architecture)
        for architecture in (
            BOOTH,
            DIGITS,
            BAUGH_WOOLEY,
            PAIR,
            PAIR_FOLDED,
            BOOTH_FOLDED,
            DIGITS_FOLDED,
            NR4SD,
            NR4SD_SPLIT,
            R4N,
            FIP,
            SHIFT,
            SHIFT_FOLDED,
            BEHAVIOURAL,
        )
    ),
)


def architectures_of(
    format: Format, among: Mapping[str, Architecture] = ARCHITECTURES
) -> tuple[Architecture, ...]:
    """Those for a weight format, the default first: it leaves no products to the synthesis tool."""
    available = [architecture for architecture in among.values() if architecture.supports(format)]
    return tuple(sorted(available, key=lambda architecture: not architecture.makes_products))


def smaller_architecture(format: Format) -> Multiplier | None:
    """A folded one, smaller than the default of a format in every design and library measured.

    It makes the products of each lane by itself: others are smaller in large designs alone.
    """
    folded = [
        a
        for a in ARCHITECTURES.values()
        if a.supports(format) and a.is_folded and a.group == 1 and a.activation_term is None
    ]
    return max(folded, key=lambda architecture: architecture.encoding is not None, default=None)


def architecture_for(
    format: Format, name: str = "", among: Mapping[str, Architecture] = ARCHITECTURES
) -> Architecture:
    """The architecture called ``name``, or the default of the format if the name is empty.

    Raises
    ------
    ValueError
        If there is none of that name for the format, or none at all.
    """
    available = {a.name: a for a in architectures_of(format, among)}
    if not available:
        suited = [f.name for f in FORMATS.values() if any(a.supports(f) for a in among.values())]
        raise ValueError(f"format must be {' or '.join(suited)}, not {format.name}")
    if name and name not in available:
        names = f"{'one of ' * (len(available) > 1)}{', '.join(available)}"
        raise ValueError(f"architecture of {format.name} must be {names}, not {name!r}")
    return available[name] if name else next(iter(available.values()))
