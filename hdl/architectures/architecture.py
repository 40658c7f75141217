"""What an architecture is: to software, and to the hardware of lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Value
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures.partial_products import PartialProducts
from dintmac.hdl.weight_table import WeightTable

__all__ = ["Architecture", "Multiplier"]

Codes = NDArray[np.uint8]
Sums = NDArray[np.int64]


@dataclass(frozen=True)
class Architecture:
    """A named architecture, as whoever prepares weights sees it.

    Most take weights of the format of their hardware alone. One that takes others in its place
    says so with :meth:`weight_formats`, and ``weights`` is then the format of the codes.

    Attributes
    ----------
    name : str
        Name on the command line and in records.
    summary : str
        One line for people.
    supports : function
        Whether the architecture exists for a weight format.
    group : int
        Lanes of a group, whose products are made together.
    """

    name: str
    summary: str
    supports: Callable[[Format], bool]
    group: int = 1

    @property
    def makes_products(self) -> bool:
        """Whether it makes products itself and leaves none to the synthesis tool."""
        return True

    def weight_formats(self, format: Format) -> tuple[Format, ...]:
        """Formats of the weights that hardware for a format takes, its own first."""
        return (format,)

    def lanes_of_weight(self, format: Format, weights: Format) -> int:
        """Lanes that a weight takes."""
        return 1

    def accumulator_bits(self, format: Format, depth: int) -> int:
        """Signed width that holds every sum of ``depth`` products, of any weights it takes."""
        return format.accumulator_bits(depth)

    def encode(self, format: Format, codes: Codes, weights: Format | None = None) -> Codes:
        """What lanes take for codes.

        Parameters
        ----------
        format : Format
            Of the hardware.
        codes : uint8, shape (…, n)
        weights : Format, optional
            Of the codes; that of the hardware by default.

        Returns
        -------
        uint8, shape (…, n × lanes of a weight), of as many bits as a code of ``format``.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of their format.
        """
        (weights or format).check_codes(codes)
        return codes

    def decode(self, format: Format, stored: Codes, weights: Format | None = None) -> Codes:
        """The codes of what lanes have taken: the inverse of :meth:`encode`."""
        return self.encode(format, stored, weights)

    def correction(self, format: Format, codes: Codes, weights: Format | None = None) -> Sums:
        """What partial products of a sum are too large by.

        Parameters
        ----------
        format, weights
            As for :meth:`encode`.
        codes : uint8, shape (…, n)
            All weights of a sum in an element. A last group that is not full is filled with zeros.

        Returns
        -------
        int64, shape (…), hardware units of ``format``.

        Raises
        ------
        TypeError, ValueError
            As :meth:`encode`.
        """
        (weights or format).check_codes(codes)
        return np.zeros(codes.shape[:-1], dtype=np.int64)

    def constant_correction(self, format: Format, lanes: int, weights: Format) -> int:
        """What the sum of an element is too large by besides, whatever its weights are."""
        return 0

    def pair_correction(self, format: Format) -> str:
        """What two weights of a group add too much besides what each of them does.

        An expression of their values v and w; empty if nothing.
        """
        return ""

    def weight_tables(self, format: Format, lanes: int) -> Iterator[WeightTable]:
        """What elements of so many lanes take and make of weights, by format."""
        for weights in self.weight_formats(format):
            codes = np.arange(weights.codes, dtype=np.uint8)
            stored = self.encode(format, codes[:, np.newaxis], weights).astype(int)
            words = stored << format.bits * np.arange(stored.shape[-1])
            yield WeightTable(
                weights,
                tuple(weights.to_units(codes, format).tolist()),
                tuple(words.sum(axis=-1).tolist()),
                tuple(self._corrections_by_code(format, weights)),
                self.pair_correction(format),
                self.constant_correction(format, lanes, weights),
            )

    def _corrections_by_code(self, format: Format, weights: Format) -> Iterator[tuple[int, ...]]:
        """What each code, in each place of a group, adds where the others are zero.

        The first row has the correction of zeros in it.
        """
        count = self.group // self.lanes_of_weight(format, weights)
        for place in range(count):
            codes = np.zeros((weights.codes, count), dtype=np.uint8)
            codes[:, place] = np.arange(weights.codes)
            row = self.correction(format, codes, weights)
            yield tuple((row - row[0] if place else row).tolist())


def _activations(activations: Sequence[Value]) -> Value:
    return Cat(*activations)


@dataclass(frozen=True)
class Multiplier(Architecture):
    """A way to multiply the lanes of an inner product, in groups.

    Attributes
    ----------
    generator : function or None
        ``(format, operands, weights) -> PartialProducts`` of a group; None leaves products to the
        synthesis tool.
    operands : function
        ``activations -> bits`` that all sums share; the activations themselves by default.
    activation_term : function or None
        ``activations -> PartialProducts`` of a group.
    activation_factor : function
        What the sum of all activation terms is multiplied by, for a format.
    group_correction : function or None
        ``(format, codes) -> int64``: codes of shape (…, group) to what their group adds too much.
    by_pair : function
        ``format -> str``: :meth:`pair_correction`.
    encoding : function or None
        ``format -> uint8``, shape (codes,): what is stored of each code, if not the code itself.
    adds_complements : bool
        Whether the heap adds the complements of all bits: inverting gates come out as products
        where selections are added, and as they are where selections are subtracted.
    """

    generator: Callable[[Format, Value, Sequence[Value]], PartialProducts] | None = None
    operands: Callable[[Sequence[Value]], Value] = _activations
    activation_term: Callable[[Sequence[Value]], PartialProducts] | None = None
    activation_factor: Callable[[Format], int] = lambda format: 1
    group_correction: Callable[[Format, Codes], Sums] | None = None
    by_pair: Callable[[Format], str] = lambda format: ""
    encoding: Callable[[Format], Codes] | None = None
    adds_complements: bool = True

    @property
    def makes_products(self) -> bool:
        """Whether it has a generator."""
        return self.generator is not None

    @property
    def is_folded(self) -> bool:
        """Whether its sums contain a correction, so that weights have to be known beforehand."""
        return self.group_correction is not None

    def as_added(self, value: Value) -> Value:
        """A number as the heap adds it, or back again: its complement or itself."""
        return ~value if self.adds_complements else value

    def encode(self, format: Format, codes: Codes, weights: Format | None = None) -> Codes:
        """What lanes take for codes: as many bits, each code another."""
        format.check_codes(codes)
        return codes if self.encoding is None else self.encoding(format)[codes]

    def decode(self, format: Format, stored: Codes, weights: Format | None = None) -> Codes:
        """The inverse of :meth:`encode`."""
        format.check_codes(stored)
        if self.encoding is None:
            return stored
        return np.argsort(self.encoding(format)).astype(np.uint8)[stored]

    def correction(self, format: Format, codes: Codes, weights: Format | None = None) -> Sums:
        """What the sums of products are too large by."""
        format.check_codes(codes)
        if self.group_correction is None:
            return np.zeros(codes.shape[:-1], dtype=np.int64)
        missing = -codes.shape[-1] % self.group
        padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, missing)])
        groups = padded.reshape(*codes.shape[:-1], -1, self.group)
        total: Sums = self.group_correction(format, groups).sum(axis=-1)
        return total

    def pair_correction(self, format: Format) -> str:
        """The expression of ``by_pair``."""
        return self.by_pair(format)
