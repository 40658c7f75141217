"""A heap of weighted bits that is added up by one tree of full and half adders."""

from __future__ import annotations

import heapq
import itertools

from amaranth.hdl import Cat, Const, Module, Signal, Value, ValueCastable

__all__ = ["BitHeap"]

#: Arrival times in units of one XOR: the sum of a full adder takes two, its carry about as long.
_SUM_DELAY = 2
_CARRY_DELAY = 2


class BitHeap:
    """A sum of bits, each worth a power of two, modulo ``2 ** width``.

    All constants (sign extensions, corrections) are folded into one. :meth:`reduce` builds the
    adders: column after column from the least significant, in each of them the bits that arrive
    first are added first, until one bit a column is left. The carries ripple, which takes the
    fewest adders: three bits cost one full adder wherever they stand.

    Parameters
    ----------
    width : int
        Number of columns; what overflows the last is dropped.

    Raises
    ------
    ValueError
        If ``width`` is not positive.
    """

    def __init__(self, width: int):
        if width < 1:
            raise ValueError(f"width must be positive, not {width!r}")
        self.width = width
        self._constant = 0
        self._columns: list[list[tuple[int, int, Value]]] = [[] for _ in range(width)]
        # A number for each bit breaks ties in arrival, so that results are reproducible.
        self._serial = itertools.count()

    def add_constant(self, constant: int) -> None:
        """Add an integer of either sign."""
        self._constant = (self._constant + constant) % (1 << self.width)

    def add_bit(self, bit: Value, column: int, *, arrival: int = 0) -> None:
        """Add ``bit << column``; ``arrival`` is in XOR delays.

        Raises
        ------
        ValueError
            If the bit is wider than one or the column is negative.
        """
        if len(bit) != 1:
            raise ValueError(f"a bit must be one bit wide, not {len(bit)}")
        if column < 0:
            raise ValueError(f"column must not be negative, not {column!r}")
        if column < self.width:
            heapq.heappush(self._columns[column], (arrival, next(self._serial), bit))

    def add_signed(self, value: Value | ValueCastable, *, arrival: int = 0) -> None:
        """Add a two's complement number; its sign bit becomes ``1 - bit`` and a constant."""
        bits = Value.cast(value)
        if len(bits) >= self.width:
            for column in range(self.width):
                self.add_bit(bits[column], column, arrival=arrival)
            return
        for column in range(len(bits) - 1):
            self.add_bit(bits[column], column, arrival=arrival)
        self.add_bit(~bits[-1], len(bits) - 1, arrival=arrival)
        self.add_constant(-1 << (len(bits) - 1))

    def reduce(self, m: Module) -> Value:
        """Build the adders in ``m`` and return the sum, ``width`` bits.

        The heap is empty afterwards.
        """
        constant = self._constant
        result = []
        for column in range(self.width):
            one = bool(constant >> column & 1)
            result.append(self._reduce_column(m, column, one=one))
        self._constant = 0
        return Cat(result)

    def _reduce_column(self, m: Module, column: int, *, one: bool) -> Value:
        """Add up the bits of a column, and a constant one if ``one``; carries go to the next."""
        bits = self._columns[column]
        while len(bits) > 1 or (bits and one):
            terms = [heapq.heappop(bits) for _ in range(min(len(bits), 3))]
            # The constant replaces the last input of an adder, where a pair or one bit is left.
            with_one = one and len(terms) < 3
            one = one and not with_one
            arrival = max(time for time, _, _ in terms)
            total, carry = _add(m, [bit for _, _, bit in terms], column, one=with_one)
            heapq.heappush(bits, (arrival + _SUM_DELAY, next(self._serial), total))
            if column + 1 < self.width:
                self.add_bit(carry, column + 1, arrival=arrival + _CARRY_DELAY)
        if bits:
            return bits.pop()[2]
        return Const(int(one), 1)


def _add(m: Module, bits: list[Value], column: int, *, one: bool) -> tuple[Value, Value]:
    """Sum and carry of one to three bits, and of a constant one if ``one``."""
    total = Signal(name=f"sum_{column}")
    carry = Signal(name=f"carry_{column}")
    match bits, one:
        case [a, b, c], False:
            # The last bit to arrive passes one XOR alone.
            m.d.comb += [total.eq(a ^ b ^ c), carry.eq((a & b) | ((a ^ b) & c))]
        case [a, b], False:
            m.d.comb += [total.eq(a ^ b), carry.eq(a & b)]
        case [a, b], True:
            m.d.comb += [total.eq(~(a ^ b)), carry.eq(a | b)]
        case [a], True:
            m.d.comb += [total.eq(~a), carry.eq(a)]
        case _:
            raise ValueError(f"an adder takes one to three bits, not {len(bits)}")
    return total, carry
