# amaranth: UnusedElaboratable=no
"""The combinational heart of every design: an addend plus Σ weight × activation."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Architecture
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.hierarchy import place
from dintmac.hdl.operands import Operands, operands_layout, term_shape

__all__ = ["GroupPartialProducts", "InnerProduct", "weights_layout"]


def weights_layout(format: Format, lanes: int) -> data.ArrayLayout:
    """``lanes`` weight codes, lane 0 in the least significant bits."""
    return data.ArrayLayout(format.bits, lanes)


class GroupPartialProducts(wiring.Component):
    """Partial products of a group of lanes as a module of its own: alike groups are one module.

    The bits come as the heap adds them (:attr:`Architecture.adds_complements`).

    Members
    -------
    operands : In(n)
        Of the group (:class:`dintmac.hdl.operands.Operands`).
    weights : In(ArrayLayout(format.bits, group))
    bits : Out(n)
        Bit i, or its complement, is worth ``2 ** columns[i]``.
    """

    def __init__(self, format: Format, architecture: Architecture):
        self._format = format
        self._architecture = architecture
        self.identity = (type(self), format, architecture)
        width = operands_layout(architecture, architecture.group).elem_shape
        some = architecture.generator(
            format, Signal(width), [Signal(format.bits) for _ in range(architecture.group)]
        )
        self.columns = tuple(column for column, _ in some.bits)
        self.constant = some.constant
        super().__init__(
            {
                "operands": In(width),
                "weights": In(weights_layout(format, architecture.group)),
                "bits": Out(len(self.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        weights = list(self.weights)
        products = self._architecture.generator(self._format, self.operands, weights)
        m.d.comb += [signal.eq(value) for signal, value in products.definitions]
        for output, (_, bit) in zip(self.bits, products.bits, strict=True):
            m.d.comb += output.eq(self._architecture.as_added(bit))
        return m


class InnerProduct(wiring.Component):
    """``o = addend + term + Σ weight[i] × activation[i]``, combinational, modulo ``2 ** width``.

    A resident architecture adds its correction of the weights to that. Weights count in hardware
    units: half steps for dINT, steps for integers. Addend, term and sum are at the ports as the
    heap adds them, :meth:`Architecture.as_added`: an inverter in the midst of it would hide full
    adders from synthesis.

    Parameters
    ----------
    format : Format
        Weight format.
    architecture : Architecture
        How products are made. ``behavioural`` writes ``*`` and ``+``; all others put the partial
        products of all lanes, the term and the addend into one bit heap.
    lanes : int
        Number of products. A last group that is not full is filled with noughts.
    width : int
        Bits of addend and result.

    Members
    -------
    operands, term : In
        From :class:`dintmac.hdl.operands.Operands`; ``term`` only where there is one.
    weights : In(ArrayLayout(format.bits, lanes))
    addend : In(signed(width))
    o : Out(signed(width))
    """

    def __init__(self, *, format: Format, architecture: Architecture, lanes: int, width: int):
        self._format = format
        self._architecture = architecture
        self.identity = (type(self), format, architecture, lanes, width)
        members = {
            "operands": In(operands_layout(architecture, lanes)),
            "weights": In(weights_layout(format, lanes)),
            "addend": In(signed(width)),
            "o": Out(signed(width)),
        }
        if architecture.activation_term is not None:
            members["term"] = In(term_shape(format, architecture, lanes))
        super().__init__(members)

    def connect(self, m: Module, shared: Operands) -> None:
        """Take what the activations have in common from ``shared``."""
        m.d.comb += self.operands.eq(shared.operands)
        if self._architecture.activation_term is not None:
            m.d.comb += self.term.eq(shared.term)

    def elaborate(self, platform):
        m = Module()
        if self._architecture.generator is None:
            products = [
                behavioural_product(self._format, Value.cast(operand).as_signed(), weight)
                for operand, weight in zip(self.operands, self.weights, strict=True)
            ]
            m.d.comb += self.o.eq(self.addend - _balanced_sum(products))
        else:
            m.d.comb += self.o.eq(self._heap_sum(m, platform))
        return m

    def _heap_sum(self, m: Module, platform: object) -> Value:
        """Add up bits or their complements.

        A full adder of complements yields those of sum and carry: with n = 1 − bit, the complement
        of addend + Σ bit 2^c is ~addend + Σ n 2^c − Σ 2^c.
        """
        complements = self._architecture.adds_complements
        heap = BitHeap(len(self.o))
        heap.add_signed(self.addend)
        if self._architecture.activation_term is not None:
            heap.add_signed(self.term)
            heap.add_constant(int(complements))
        size = self._architecture.group
        weights = [Value.cast(weight) for weight in self.weights]
        weights += [Const(0, self._format.bits)] * (-len(weights) % size)
        for i, operands in enumerate(self.operands):
            group = GroupPartialProducts(self._format, self._architecture)
            m.submodules[f"group_{i}"] = place(group, platform)
            m.d.comb += group.operands.eq(operands)
            for lane in range(size):
                m.d.comb += group.weights[lane].eq(weights[i * size + lane])
            for bit, column in zip(group.bits, group.columns, strict=True):
                heap.add_bit(bit, column)
                heap.add_constant(-1 << column if complements else 0)
            heap.add_constant(-group.constant if complements else group.constant)
        return heap.reduce(m)


def behavioural_product(format: Format, activation: Value, weight: Value) -> Value:
    """The product in hardware units with ``*``; a denormal is the activation or its negation."""
    product = Value.cast(weight).as_signed() * activation
    if not format.is_dint:
        return product
    code = Value.cast(weight)
    denormal = code[-1] & ~code[1:-1].any()
    return Mux(denormal, Mux(code[0], -activation, activation), product << 1)


def _balanced_sum(terms: list[Value]) -> Value:
    """Add in pairs, so that n terms grow by log2(n) bits."""
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[0::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(pairs) * 2 :]
    return terms[0]
