# amaranth: UnusedElaboratable=no
"""What sums share that multiply the same activations."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, ValueCastable, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures import Multiplier, PartialProducts
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.hierarchy import Component, Part

__all__ = [
    "Operands",
    "activations_layout",
    "operands_layout",
    "term_constant",
    "term_rows",
    "term_shape",
]


def activations_layout(lanes: int) -> data.ArrayLayout:
    """``lanes`` INT8 activations, lane 0 in the least significant bits."""
    return data.ArrayLayout(signed(ACTIVATION_BITS), lanes)


def operands_layout(architecture: Multiplier, lanes: int) -> data.ArrayLayout:
    """The operands of all groups of an architecture, group 0 in the least significant bits."""
    width = len(architecture.operands(_some_activations(architecture)))
    return data.ArrayLayout(width, -(-lanes // architecture.group))


def term_shape(format: Format, architecture: Multiplier, lanes: int) -> Shape:
    """The shape that holds every activation term of ``lanes`` lanes, where there is one."""
    assert architecture.activation_term is not None
    low, high = architecture.activation_term(_some_activations(architecture)).range
    scale = -(-lanes // architecture.group) * architecture.activation_factor(format)
    return signed(max((-low * scale - 1).bit_length(), (high * scale).bit_length()) + 1)


def term_rows(format: Format, architecture: Multiplier, lanes: int) -> data.ArrayLayout:
    """The shape of the activation terms of ``lanes`` lanes as two rows, less their constant."""
    assert architecture.activation_term is not None
    low, high = architecture.activation_term(_some_activations(architecture)).range
    scale = -(-lanes // architecture.group) * architecture.activation_factor(format)
    return data.ArrayLayout(((high - low) * scale).bit_length(), 2)


def term_constant(format: Format, architecture: Multiplier, lanes: int) -> int:
    """The constant of the activation terms of ``lanes`` lanes."""
    assert architecture.activation_term is not None
    constant = architecture.activation_term(_some_activations(architecture)).constant
    return constant * -(-lanes // architecture.group) * architecture.activation_factor(format)


class Operands(Component):
    """Operands and activation term of an architecture, combinational.

    Parameters
    ----------
    format : Format
        Weight format.
    architecture : Multiplier
    lanes : int
        A last group that is not full is filled with zeros.
    fast_adder : int
        Whether the term is left in carry-save form (1) or its carries ripple (0).

    Members
    -------
    activations : In(ArrayLayout(signed(8), lanes))
    operands : Out(ArrayLayout(…, groups))
        What an :class:`InnerProduct` takes in the place of the activations.
    term : Out(signed)
        What it has to add, or the complement if that is what its heap adds; only where the
        architecture has an activation term. With ``fast_adder`` it is two rows, or their
        complements, whose sum it has to add with :func:`term_constant`.
    """

    def __init__(
        self, *, format: Format, architecture: Multiplier, lanes: int, fast_adder: int = 0
    ):
        self._format = format
        self._architecture = architecture
        self._fast_adder = bool(fast_adder)
        if architecture.makes_products:
            self.part = Part.PRODUCTS
        members = {
            "activations": In(activations_layout(lanes)),
            "operands": Out(operands_layout(architecture, lanes)),
        }
        if architecture.activation_term is not None:
            shape = term_rows if fast_adder else term_shape
            members["term"] = Out(shape(format, architecture, lanes))
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
            m.d.comb += [s.eq(value) for term in terms for s, value in term.definitions]
            total = Cat(self._rows(m, terms)) if self._fast_adder else self._sum(m, terms)
            m.d.comb += Value.cast(self.term).eq(self._architecture.as_added(total))
        return m

    def _sum(self, m: Module, terms: list[PartialProducts]) -> Value:
        """The sum of all terms, times the architecture's factor."""
        factor = self._architecture.activation_factor(self._format)
        low = sum(term.range[0] for term in terms)
        high = sum(term.range[1] for term in terms)
        heap = BitHeap(max((-low - 1).bit_length(), high.bit_length()) + 1)
        for term in terms:
            heap.add_constant(term.constant)
            for column, bit in term.bits:
                heap.add_bit(bit, column)
        total = Signal(signed(heap.width))
        m.d.comb += total.eq(heap.reduce(m))
        scaled = BitHeap(len(self.term))
        for column in range(factor.bit_length()):
            if factor >> column & 1:
                scaled.add_signed(Cat(Const(0, column), total))
        return scaled.reduce(m)

    def _rows(self, m: Module, terms: list[PartialProducts]) -> tuple[Value, Value]:
        """The bits of all terms, times the architecture's factor, as two rows."""
        heap = BitHeap(self.term.shape().elem_shape)
        for column, bit in (weighted for term in terms for weighted in term.bits):
            heap.add_bit(bit, column)
        heap.compress(m, rows=2)
        return heap.times(self._architecture.activation_factor(self._format)).reduce_to_rows(m)


def _some_activations(architecture: Multiplier) -> list[Value]:
    return [Signal(ACTIVATION_BITS) for _ in range(architecture.group)]
