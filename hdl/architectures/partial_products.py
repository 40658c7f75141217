"""What an architecture hands to the bit heap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from amaranth.hdl import Signal, Value

__all__ = ["Leg", "PartialProducts", "SplitLeg", "extended", "select"]

#: A control, what it lets pass, and by how many columns that is shifted.
Leg = tuple[Value, Sequence[Value], int]
#: A control, what it lets pass, the complement of that, if it is at hand, and the shift.
SplitLeg = tuple[Value, Sequence[Value], Sequence[Value] | None, int]


@dataclass
class PartialProducts:
    """Weighted bits: Σ ``bit << column`` + ``constant``, in hardware units.

    ``definitions`` hold the named signals that the bits are made of. ``late`` are the numbers of
    bits that come after the others.
    """

    bits: list[tuple[int, Value]] = field(default_factory=list)
    constant: int = 0
    definitions: list[tuple[Signal, Value]] = field(default_factory=list)
    late: set[int] = field(default_factory=set)

    def define(self, name: str, value: Value) -> Value:
        """A one-bit signal called ``name`` that carries ``value``."""
        signal = Signal(name=name)
        self.definitions.append((signal, value))
        return signal

    def add(self, column: int, bit: Value) -> None:
        """Add a bit worth ``2 ** column``."""
        self.bits.append((column, bit))

    def add_signed(self, column: int, bits: Sequence[Value], *, negate: bool = False) -> None:
        """Add or subtract a two's complement number, its lowest bit worth ``2 ** column``.

        What counts negative, the sign or all but the sign, enters as complement and constant.
        """
        for i, bit in enumerate(bits):
            if negate == (i == len(bits) - 1):
                self.add(column + i, bit)
            else:
                self.add(column + i, ~bit)
                self.constant -= 1 << (column + i)

    def add_selection(self, legs: Sequence[Leg]) -> None:
        """Add what the legs let pass, an unsigned number."""
        for column, bit in select(legs).items():
            self.add(column, bit)

    def subtract_selection(self, legs: Sequence[Leg], *, late: bool = False) -> None:
        """Subtract what the legs let pass, an unsigned number, as AND-OR-invert gates do.

        It is ``late`` where what they let pass comes from such gates itself.
        """
        for column, bit in select(legs).items():
            if late:
                self.late.add(len(self.bits))
            self.add(column, ~bit)
            self.constant -= 1 << column

    def add_split_selection(
        self, legs: Sequence[SplitLeg], last: SplitLeg, *, late: bool = False
    ) -> None:
        """Add what legs and a last one let pass, up to what depends on the controls alone.

        A bit of three legs is an AND-OR-invert gate of two and an OR-AND-invert gate that takes
        the last leg's complement: for libraries without AND-OR-invert gates of three legs. A bit
        that the last leg does not reach is inverted, if its legs have complements: where none is
        on, it passes a one.
        """
        passed = select([(control, bits, shift) for control, bits, _, shift in legs])
        inverted = select([(c, nots, shift) for c, _, nots, shift in legs if nots is not None])
        control, _, complement, shift = last
        assert complement is not None
        off = self.define("off", ~control)
        blocked = {shift + i: off | bit for i, bit in enumerate(complement)}
        for column in sorted(passed.keys() | blocked.keys()):
            if late:
                self.late.add(len(self.bits))
            if column not in blocked:
                self.add(column, ~inverted[column] if column in inverted else passed[column])
            elif column in passed:
                self.add(column, ~(~passed[column] & blocked[column]))
            else:
                self.add(column, ~blocked[column])

    @property
    def range(self) -> tuple[int, int]:
        """Bounds of the sum, reached where all bits can be chosen freely."""
        return self.constant, self.constant + sum(1 << column for column, _ in self.bits)


def select(legs: Sequence[Leg]) -> dict[int, Value]:
    """The bit at each column that any leg reaches.

    Of legs that are on at once, no two may pass a one to the same column.
    """
    columns: dict[int, Value] = {}
    for control, bits, shift in legs:
        for i, bit in enumerate(bits):
            passed = control & bit
            columns[shift + i] = columns[shift + i] | passed if shift + i in columns else passed
    return dict(sorted(columns.items()))


def extended(bits: Value, width: int) -> list[Value]:
    """The bits of a two's complement number, sign-extended to ``width``."""
    return [bits[min(i, len(bits) - 1)] for i in range(width)]
