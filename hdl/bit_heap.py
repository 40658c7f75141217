"""A heap of weighted bits that is added up by one tree of full and half adders."""

from __future__ import annotations

import heapq
import itertools

from amaranth.hdl import Cat, Const, Module, Signal, Value, ValueCastable

from dintmac.hdl.prefix_adder import prefix_sum

__all__ = ["BitHeap"]

#: In units of one XOR: the sum of a full adder takes two, its carry about as long.
_ADDER_DELAY = 2


class BitHeap:
    """A sum of bits, each worth a power of two, modulo ``2 ** width``.

    All constants (sign extensions, corrections) are folded into one. Adders are built column
    after column from the least significant, in each of them the bits that arrive first are added
    first; three bits cost one full adder wherever they stand. There are three ways to the sum:

    - :meth:`reduce` to one bit a column. The carries ripple, which takes the fewest adders.
    - ``reduce(m, fast=True)``: to two rows, which a parallel-prefix adder adds.
    - :meth:`reduce_to_rows`: two rows, whose carries are resolved later, such as at the end of a
      sum over many cycles.

    :meth:`compress` and :meth:`register` cut the tree into pipeline stages.

    Parameters
    ----------
    width : int
        Number of columns; what overflows the last is dropped.

    Raises
    ------
    ValueError
        If ``width`` is not positive.

    Examples
    --------
    Four products of one bit by eight bits, added up to two rows in the first cycle, and to one
    number in the second::

        heap = BitHeap(10)
        for lane in range(4):
            for column in range(8):
                heap.add_bit(select[lane] & number[lane][column], column)
        heap.compress(m, rows=2)
        heap.register(m)
        m.d.comb += total.eq(heap.reduce(m, fast=True))
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

    def times(self, factor: int) -> BitHeap:
        """A heap of ``factor`` times the sum: every bit once for each one of the factor.

        Raises
        ------
        ValueError
            If ``factor`` is negative.
        """
        if factor < 0:
            raise ValueError(f"factor must not be negative, not {factor!r}")
        heap = BitHeap(self.width)
        heap.add_constant(self._constant * factor)
        for shift in range(factor.bit_length()):
            if factor >> shift & 1:
                for column, bits in enumerate(self._columns):
                    for arrival, _, bit in bits:
                        heap.add_bit(bit, column + shift, arrival=arrival)
        return heap

    def compress(self, m: Module, rows: int = 2) -> None:
        """Build adders in ``m`` until no column has more than ``rows`` bits, its constant included.

        Two rows are the carry-save form: no carry has run through, and the depth grows with the
        logarithm of the number of bits. The bits that arrive first are added first.

        Raises
        ------
        ValueError
            If ``rows`` is not positive.
        """
        if rows < 1:
            raise ValueError(f"rows must be positive, not {rows!r}")
        for column in range(self.width):
            self._compress_column(m, column, rows)

    def register(self, m: Module, *, enable: Value | None = None) -> None:
        """Put a register behind every bit: what is added from here on is a cycle later.

        Constants take none. The registers have no reset; they hold while ``enable`` is low.
        """
        bits = [bit for column in self._columns for _, _, bit in column]
        if not bits:
            return
        register = Signal(len(bits), name="heap", reset_less=True)
        with m.If(Const(1) if enable is None else enable):
            m.d.sync += register.eq(Cat(bits))
        registers = iter(register)
        self._columns = [
            [(0, next(self._serial), next(registers)) for _ in column] for column in self._columns
        ]

    def reduce(self, m: Module, *, fast: bool = False) -> Value:
        """Build the adders in ``m`` and return the sum, ``width`` bits. The heap is then empty.

        Parameters
        ----------
        m : Module
        fast : bool
            Whether to add the last two rows with a parallel-prefix adder, or to let the carries
            ripple, which takes the fewest adders.
        """
        if fast:
            return prefix_sum(m, *self.reduce_to_rows(m))
        self.compress(m, rows=1)
        (total,) = self._take_rows(1)
        return total

    def reduce_to_rows(self, m: Module) -> tuple[Value, Value]:
        """Build the adders in ``m`` and return two rows of ``width`` bits with the same sum.

        The heap is then empty. Added to the heap of the next cycle, the rows make an accumulator
        in which no carry runs through.
        """
        self.compress(m, rows=2)
        first, second = self._take_rows(2)
        return first, second

    def _compress_column(self, m: Module, column: int, rows: int) -> None:
        """Add up bits of a column, and its constant one; carries go to the next."""
        bits = self._columns[column]
        while (excess := len(bits) + self._one(column) - rows) > 0:
            # One row too many takes a half adder, or none with the constant: the latest bits pass.
            count = 3 if excess > 1 else 2 - self._one(column)
            terms = [heapq.heappop(bits) for _ in range(min(len(bits), count))]
            # The constant replaces the last input of an adder, where a pair or one bit is left.
            with_one = self._one(column) and len(terms) < 3
            if with_one:
                self._constant -= 1 << column
            arrival = max(time for time, _, _ in terms) + _ADDER_DELAY
            total, carry = _add(m, [bit for _, _, bit in terms], column, one=with_one)
            heapq.heappush(bits, (arrival, next(self._serial), total))
            if column + 1 < self.width:
                self.add_bit(carry, column + 1, arrival=arrival)

    def _one(self, column: int) -> bool:
        return bool(self._constant >> column & 1)

    def _take_rows(self, count: int) -> list[Value]:
        """The rows of a heap that has no more, and leave it empty."""
        columns = []
        for column, bits in enumerate(self._columns):
            values = [bit for _, _, bit in bits] + [Const(1, 1)] * self._one(column)
            columns.append(values + [Const(0, 1)] * (count - len(values)))
            bits.clear()
        self._constant = 0
        return [Cat(row) for row in zip(*columns, strict=True)]


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
