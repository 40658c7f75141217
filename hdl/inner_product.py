# amaranth: UnusedElaboratable=no
"""The combinational heart of every design: an addend plus Σ weight × activation."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import ACTIVATION_BITS, Format
from dintmac.hdl.architectures import Architecture, PartialProducts
from dintmac.hdl.architectures.partial_products import Generator
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.hierarchy import place

__all__ = ["InnerProduct", "activations_layout", "weights_layout"]


def activations_layout(lanes: int) -> data.ArrayLayout:
    """``lanes`` INT8 activations, lane 0 in the least significant bits."""
    return data.ArrayLayout(signed(ACTIVATION_BITS), lanes)


def weights_layout(format: Format, lanes: int) -> data.ArrayLayout:
    """``lanes`` weight codes, lane 0 in the least significant bits."""
    return data.ArrayLayout(format.bits, lanes)


class LanePartialProducts(wiring.Component):
    """Partial products of one lane as a module of its own, so that alike lanes are one module.

    Members
    -------
    activation : In(8)
    weight : In(format.bits)
    bits : Out(n)
        Bit i is worth ``2 ** columns[i]``.
    """

    def __init__(self, format: Format, generator: Generator):
        self._format = format
        self._generator = generator
        self.identity = (type(self), format, generator)
        self.columns, self.constant = PartialProducts.columns_of(generator, format)
        super().__init__(
            {
                "activation": In(ACTIVATION_BITS),
                "weight": In(format.bits),
                "bits": Out(len(self.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        products = self._generator(self._format, self.activation, self.weight)
        m.d.comb += [signal.eq(value) for signal, value in products.definitions]
        for output, (_, bit) in zip(self.bits, products.bits, strict=True):
            m.d.comb += output.eq(bit)
        return m


class InnerProduct(wiring.Component):
    """``o = addend + Σ weight[i] × activation[i]``, combinational, modulo ``2 ** width``.

    Weights count in hardware units: half steps for dINT, steps for integers.

    Parameters
    ----------
    format : Format
        Weight format.
    architecture : Architecture
        How products are made. ``behavioural`` writes ``*`` and ``+``; all others put the partial
        products of all lanes and the addend into one bit heap.
    lanes : int
        Number of products.
    width : int
        Bits of addend and result.

    Members
    -------
    activations : In(ArrayLayout(signed(8), lanes))
    weights : In(ArrayLayout(format.bits, lanes))
    addend : In(signed(width))
    o : Out(signed(width))
    """

    def __init__(self, *, format: Format, architecture: Architecture, lanes: int, width: int):
        self._format = format
        self._architecture = architecture
        self._lanes = lanes
        self.identity = (type(self), format, architecture, lanes, width)
        super().__init__(
            {
                "activations": In(activations_layout(lanes)),
                "weights": In(weights_layout(format, lanes)),
                "addend": In(signed(width)),
                "o": Out(signed(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self._architecture.generator is None:
            products = [
                behavioural_product(self._format, self.activations[i], self.weights[i])
                for i in range(self._lanes)
            ]
            m.d.comb += self.o.eq(self.addend + _balanced_sum(products))
        else:
            m.d.comb += self.o.eq(self._heap_sum(m, self._architecture.generator, platform))
        return m

    def _heap_sum(self, m: Module, generator: Generator, platform: object) -> Value:
        heap = BitHeap(len(self.o))
        heap.add_signed(self.addend)
        for i in range(self._lanes):
            lane = LanePartialProducts(self._format, generator)
            m.submodules[f"lane_{i}"] = place(lane, platform)
            m.d.comb += [
                lane.activation.eq(self.activations[i]),
                lane.weight.eq(self.weights[i]),
            ]
            for bit, column in zip(lane.bits, lane.columns, strict=True):
                heap.add_bit(bit, column)
            heap.add_constant(lane.constant)
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
