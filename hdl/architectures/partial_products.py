"""What an architecture hands to the bit heap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.hdl import Signal, Value

from dintmac.golden.formats import ACTIVATION_BITS, Format

__all__ = ["Generator", "PartialProducts"]


@dataclass
class PartialProducts:
    """Weighted bits: Σ ``bit << column`` + ``constant`` is the product, in hardware units.

    ``definitions`` hold the named signals that the bits are made of.
    """

    bits: list[tuple[int, Value]] = field(default_factory=list)
    constant: int = 0
    definitions: list[tuple[Signal, Value]] = field(default_factory=list)

    def define(self, name: str, value: Value) -> Value:
        """A one-bit signal called ``name`` that carries ``value``."""
        signal = Signal(name=name)
        self.definitions.append((signal, value))
        return signal

    def add(self, column: int, bit: Value) -> None:
        """Add a bit worth ``2 ** column``."""
        self.bits.append((column, bit))

    def add_signed(self, column: int, bits: list[Value]) -> None:
        """Add a two's complement number, its lowest bit worth ``2 ** column``.

        The sign counts negative: it enters as its complement and a constant.
        """
        *lower, sign = bits
        for i, bit in enumerate(lower):
            self.add(column + i, bit)
        self.add(column + len(lower), ~sign)
        self.constant -= 1 << (column + len(lower))

    @classmethod
    def columns_of(cls, generator: Generator, format: Format) -> tuple[tuple[int, ...], int]:
        """Columns of the bits that ``generator`` makes for a format, and their constant."""
        products = generator(format, Signal(ACTIVATION_BITS), Signal(format.bits))
        return tuple(column for column, _ in products.bits), products.constant


Generator = Callable[[Format, Value, Value], PartialProducts]
