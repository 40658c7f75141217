"""Multiplier architectures: ways to make the partial products of weights and activations.

An architecture cuts the lanes into groups of one or two. Of each group it makes

- *operands*: what depends on the activations alone and is shared by all sums they enter, such as
  complements or the sum of two activations;
- *partial products* of operands and weights, for the bit heap;
- an *activation term*, where products need a summand that depends on the activations alone. It is
  added up once for all sums that share the activations.

A *resident* architecture leaves a third part to whoever prepares the weights: its sums are off by
a *correction* that depends on the weights alone. Only where weights
are known beforehand is it of use (docs/arithmetic.md, section 2).

Architectures are chosen by name; ``behavioural`` makes no partial products, it leaves products and
sums to the synthesis tool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from amaranth.hdl import Cat, Value
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import baugh_wooley, fip, folded, nr4sd, pair, r4n, shift
from dintmac.hdl.architectures.partial_products import PartialProducts
from dintmac.hdl.architectures.radix4 import radix4

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "PartialProducts",
    "architecture_for",
    "architectures_of",
    "smaller_architecture",
]


def _activations(activations: Sequence[Value]) -> Value:
    return Cat(*activations)


@dataclass(frozen=True)
class Architecture:
    """A named architecture.

    Attributes
    ----------
    name : str
        Name on the command line and in records.
    summary : str
        One line for people.
    generator : function or None
        ``(format, operands, weights) -> PartialProducts`` of a group; None leaves products to the
        synthesis tool.
    supports : function
        Whether the architecture exists for a weight format.
    group : int
        Lanes of a group.
    operands : function
        ``activations -> bits`` that all sums share; the activations themselves by default.
    activation_term : function or None
        ``activations -> PartialProducts`` of a group.
    activation_factor : function
        What the sum of all activation terms is multiplied by, for a format.
    group_correction : function or None
        ``(format, codes) -> int64``: codes of shape (…, group) to what their group adds too much.
    pair_correction : function
        ``format -> str``: what two weights of a group add too much besides what each of them does,
        as an expression of their values v and w; empty if nothing.
    encoding : function or None
        ``format -> uint8``, shape (codes,): what is stored of each code, if not the code itself.
    adds_complements : bool
        Whether the heap adds the complements of all bits: inverting gates come out as products
        where selections are added, and as they are where selections are subtracted.
    """

    name: str
    summary: str
    generator: Callable[[Format, Value, Sequence[Value]], PartialProducts] | None
    supports: Callable[[Format], bool]
    group: int = 1
    operands: Callable[[Sequence[Value]], Value] = _activations
    activation_term: Callable[[Sequence[Value]], PartialProducts] | None = None
    activation_factor: Callable[[Format], int] = lambda format: 1
    group_correction: Callable[[Format, NDArray[np.uint8]], NDArray[np.int64]] | None = None
    pair_correction: Callable[[Format], str] = lambda format: ""
    encoding: Callable[[Format], NDArray[np.uint8]] | None = None
    adds_complements: bool = True

    @property
    def is_resident(self) -> bool:
        """Whether its sums contain a correction, so that weights have to be known beforehand."""
        return self.group_correction is not None

    def as_added(self, value: Value) -> Value:
        """A number as the heap adds it, or back again: its complement or itself."""
        return ~value if self.adds_complements else value

    def stored(self, format: Format, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the hardware takes for codes, uint8, same shape: as many bits, each code another.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format.
        """
        format.check_codes(codes)
        return codes if self.encoding is None else self.encoding(format)[codes]

    def restored(self, format: Format, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The codes of what is stored: the inverse of :meth:`stored`, with the same errors."""
        format.check_codes(stored)
        if self.encoding is None:
            return stored
        return np.argsort(self.encoding(format)).astype(np.uint8)[stored]

    def correction(self, format: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """What the sums of products are too large by.

        Parameters
        ----------
        format : Format
        codes : uint8, shape (…, lanes)
            All weights of a sum. A last group that is not full is filled with zero codes.

        Returns
        -------
        int64, shape (…), hardware units.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format.
        """
        format.check_codes(codes)
        if self.group_correction is None:
            return np.zeros(codes.shape[:-1], dtype=np.int64)
        missing = -codes.shape[-1] % self.group
        padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, missing)])
        groups = padded.reshape(*codes.shape[:-1], -1, self.group)
        total: NDArray[np.int64] = self.group_correction(format, groups).sum(axis=-1)
        return total


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture(
            "booth",
            "radix-4 Booth digits of the weight",
            radix4,
            # One generator, two names: on wide integers radix-4 digits are the field's Booth.
            lambda format: format.is_integer and format.bits > 4,
        ),
        Architecture(
            "digits",
            "radix-4 digits of a dINT or narrow code",
            radix4,
            lambda format: format.is_dint or (format.is_integer and format.bits <= 4),
        ),
        Architecture(
            "baugh_wooley",
            "one AND gate for each pair of bits",
            baugh_wooley.generator,
            lambda format: format.is_integer,
        ),
        Architecture(
            "pair",
            "bit planes of two weights select 0, a, b or a + b",
            pair.generator,
            lambda format: format.is_integer,
            group=2,
            operands=pair.operands,
        ),
        Architecture(
            "pair_folded",
            "pair, with all that depends on the weights alone left to the bias",
            pair.folded_generator,
            lambda format: format.is_integer,
            group=2,
            operands=pair.folded_operands,
            group_correction=pair.correction,
            pair_correction=pair.pair_correction,
            adds_complements=False,
        ),
        Architecture(
            "booth_folded",
            "booth, with all that depends on the weight alone left to the bias",
            folded.generator,
            lambda format: format.is_integer and format.bits > 4,
            operands=folded.operands,
            group_correction=folded.correction,
            adds_complements=False,
        ),
        Architecture(
            "digits_folded",
            "digits, with all that depends on the weight alone left to the bias",
            folded.generator,
            lambda format: format.is_dint or (format.is_integer and format.bits <= 4),
            operands=folded.operands,
            group_correction=folded.correction,
            adds_complements=False,
        ),
        Architecture(
            "nr4sd",
            "non-redundant radix-4 signed digits, which the weights are stored as",
            nr4sd.generator,
            nr4sd.supports,
            operands=folded.operands,
            group_correction=nr4sd.correction,
            encoding=nr4sd.encoding,
            adds_complements=False,
        ),
        Architecture(
            "nr4sd_split",
            "nr4sd for libraries without AND-OR-invert gates of three legs",
            partial(nr4sd.generator, split=True),
            lambda format: nr4sd.supports(format) and format.bits > 2,
            operands=folded.operands,
            group_correction=partial(nr4sd.correction, split=True),
            encoding=nr4sd.encoding,
            adds_complements=False,
        ),
        Architecture(
            "r4n",
            "digits of a biased weight that take four values: selection without an XOR",
            r4n.generator,
            lambda format: format.is_integer and format.bits in (4, 6, 8),
            operands=folded.operands,
            activation_term=r4n.activation_term,
            activation_factor=r4n.activation_factor,
            group_correction=r4n.correction,
            adds_complements=False,
        ),
        Architecture(
            "fip",
            "Winograd's inner product: one multiplier of sums for two lanes",
            fip.generator,
            lambda format: format.is_integer and format.bits == 8,
            group=2,
            operands=fip.operands,
            activation_term=fip.activation_term,
            group_correction=fip.correction,
            pair_correction=fip.pair_correction,
        ),
        Architecture(
            "shift",
            "one shifted activation, for the mantissa and for the bit that leads it",
            shift.generator,
            lambda format: format.is_float,
            adds_complements=False,
        ),
        Architecture(
            "shift_folded",
            "shift, with all that depends on the weight alone left to the bias",
            shift.folded_generator,
            lambda format: format.is_float,
            operands=folded.operands,
            group_correction=shift.correction,
            adds_complements=False,
        ),
        Architecture(
            "behavioural",
            "products and sums as the synthesis tool makes them",
            None,
            lambda format: True,
        ),
    )
}


def architectures_of(format: Format, *, resident: bool = False) -> tuple[Architecture, ...]:
    """Architectures that exist for a weight format, the default first.

    Those that are for resident weights alone are among them if ``resident``.
    """
    return tuple(
        a for a in ARCHITECTURES.values() if a.supports(format) and (resident or not a.is_resident)
    )


def smaller_architecture(format: Format) -> Architecture:
    """A folded one, smaller than the default of a format in every design and library measured.

    It makes the products of each lane by itself: others are smaller in large designs alone.
    """
    folded = [
        a
        for a in architectures_of(format, resident=True)
        if a.is_resident and a.group == 1 and a.activation_term is None
    ]
    return max(folded, key=lambda architecture: architecture.encoding is not None)


def architecture_for(
    format: Format, name: str | None = None, *, resident: bool = False
) -> Architecture:
    """The architecture called ``name``, or the default of the format.

    Raises
    ------
    ValueError
        If there is none of that name for the format, and for weights that are not resident if
        ``resident`` is false.
    """
    available = architectures_of(format, resident=resident)
    if name is None:
        return available[0]
    for architecture in available:
        if architecture.name == name:
            return architecture
    names = ", ".join(a.name for a in available)
    raise ValueError(f"architecture of {format.name} must be one of {names}, not {name!r}")
