# amaranth: UnusedElaboratable=no
"""What sums share that multiply the same activations."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, ValueCastable, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures import Architecture, PartialProducts
from dintmac.hdl.bit_heap import BitHeap

__all__ = ["Operands", "activations_layout", "operands_layout", "term_shape"]


def activations_layout(lanes: int) -> data.ArrayLayout:
    """``lanes`` INT8 activations, lane 0 in the least significant bits."""
    return data.ArrayLayout(signed(ACTIVATION_BITS), lanes)


def operands_layout(architecture: Architecture, lanes: int) -> data.ArrayLayout:
    """The operands of all groups of an architecture, group 0 in the least significant bits."""
    width = len(architecture.operands(_some_activations(architecture)))
    return data.ArrayLayout(width, -(-lanes // architecture.group))


def term_shape(format: Format, architecture: Architecture, lanes: int) -> Shape:
    """The shape that holds every activation term of ``lanes`` lanes, where there is one."""
    assert architecture.activation_term is not None
    low, high = architecture.activation_term(_some_activations(architecture)).range
    scale = -(-lanes // architecture.group) * architecture.activation_factor(format)
    return signed(max((-low * scale - 1).bit_length(), (high * scale).bit_length()) + 1)


class Operands(wiring.Component):
    """Operands and activation term of an architecture, combinational.

    Parameters
    ----------
    format : Format
        Weight format.
    architecture : Architecture
    lanes : int
        A last group that is not full is filled with noughts.
    fast_adder : int
        Whether the term is added up with parallel-prefix adders (1) or ripples (0).

    Members
    -------
    activations : In(ArrayLayout(signed(8), lanes))
    operands : Out(ArrayLayout(…, groups))
        What an :class:`InnerProduct` takes in the place of the activations.
    term : Out(signed)
        What it has to add, or the complement if that is what its heap adds; only where the
        architecture has an activation term.
    """

    def __init__(
        self, *, format: Format, architecture: Architecture, lanes: int, fast_adder: int = 0
    ):
        self._format = format
        self._architecture = architecture
        self._fast_adder = bool(fast_adder)
        self.identity = (type(self), format, architecture, lanes, fast_adder)
        members = {
            "activations": In(activations_layout(lanes)),
            "operands": Out(operands_layout(architecture, lanes)),
        }
        if architecture.activation_term is not None:
            members["term"] = Out(term_shape(format, architecture, lanes))
        super().__init__(members)

    @property
    def shared(self) -> dict[str, ValueCastable]:
        """Outputs by name: what an :class:`InnerProduct` connects to."""
        return {name: getattr(self, name) for name in ("operands", "term") if hasattr(self, name)}

    def elaborate(self, platform):
        m = Module()
        size = self._architecture.group
        lanes = [Value.cast(activation).as_unsigned() for activation in self.activations]
        lanes += [Const(0, ACTIVATION_BITS)] * (-len(lanes) % size)
        groups = [lanes[i : i + size] for i in range(0, len(lanes), size)]
        for output, group in zip(self.operands, groups, strict=True):
            m.d.comb += output.eq(self._architecture.operands(group))
        if self._architecture.activation_term is not None:
            terms = [self._architecture.activation_term(group) for group in groups]
            m.d.comb += self.term.eq(self._architecture.as_added(self._sum(m, terms)))
        return m

    def _sum(self, m: Module, terms: list[PartialProducts]) -> Value:
        """The sum of all terms, times the architecture's factor."""
        factor = self._architecture.activation_factor(self._format)
        low = sum(term.range[0] for term in terms)
        high = sum(term.range[1] for term in terms)
        width = len(self.term)
        # What is scaled as two rows has no sign to extend: it is right modulo the last width.
        bits = width if self._fast_adder else max((-low - 1).bit_length(), high.bit_length()) + 1
        heap = BitHeap(bits)
        for term in terms:
            m.d.comb += [signal.eq(value) for signal, value in term.definitions]
            heap.add_constant(term.constant)
            for column, bit in term.bits:
                heap.add_bit(bit, column)
        rows: tuple[Value, ...]
        if self._fast_adder:
            rows = heap.reduce_to_rows(m)
        else:
            total = Signal(signed(bits))
            m.d.comb += total.eq(heap.reduce(m))
            rows = (total,)
        scaled = BitHeap(width)
        for column in range(factor.bit_length()):
            if factor >> column & 1:
                for row in rows:
                    scaled.add_signed(Cat(Const(0, column), row))
        return scaled.reduce(m, fast=self._fast_adder)


def _some_activations(architecture: Architecture) -> list[Value]:
    return [Signal(ACTIVATION_BITS) for _ in range(architecture.group)]
