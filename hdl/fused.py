# amaranth: UnusedElaboratable=no
"""A processing element for two precisions: two 4-bit products or one INT8 product a lane pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl import pe
from dintmac.hdl.architectures import fused
from dintmac.hdl.architectures.folded import DIGITS_FOLDED
from dintmac.hdl.behaviour import ElementBehaviour
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.design import Design
from dintmac.hdl.hierarchy import Component, Part, place
from dintmac.hdl.operands import Operands, activations_layout

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = [
    "DESIGN",
    "FusedGroupPartialProducts",
    "FusedInnerProduct",
    "FusedProcessingElement",
    "FusedShifter",
]


def _nibbles_layout(lanes: int) -> data.ArrayLayout:
    return data.ArrayLayout(fused.NIBBLE_BITS, lanes)


class FusedGroupPartialProducts(Component):
    """Partial products of a pair of lanes as a module of its own.

    Members
    -------
    int8 : In(1)
    operands : In(ArrayLayout(16, 2))
    nibbles : In(ArrayLayout(4, 2))
    bits : Out(n)
        Bit i stands at column ``places[i][1]``, which INT8 mode shifts by ``places[i][0]``
        columns. Those that are never shifted are added, the others subtracted, each less one.
    """

    part = Part.PRODUCTS

    def __init__(self, format: Format):
        self._format = format
        self.places = fused.places_of(format)
        super().__init__(
            {
                "int8": In(1),
                "operands": In(data.ArrayLayout(fused.OPERAND_BITS, 2)),
                "nibbles": In(_nibbles_layout(2)),
                "bits": Out(len(self.places)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        trees = fused.generator(self._format, list(self.operands), list(self.nibbles), self.int8)
        for products in trees.values():
            m.d.comb += [signal.eq(value) for signal, value in products.definitions]
        bits = [bit for products in trees.values() for _, bit in products.bits]
        for output, bit in zip(self.bits, bits, strict=True):
            m.d.comb += output.eq(bit)
        return m


class FusedShifter(Component):
    """Complement of a number, or of what it is when shifted in INT8 mode.

    A module of its own, as inverters in the midst of a heap would hide full adders from synthesis.

    Members
    -------
    int8 : In(1)
    i : In(width)
    o : Out(width + shift)
    """

    part = Part.ACCUMULATION

    def __init__(self, width: int, shift: int):
        self._shift = shift
        super().__init__({"int8": In(1), "i": In(width), "o": Out(width + shift)})

    def elaborate(self, platform):
        m = Module()
        shifted = Signal(len(self.o))
        m.d.comb += [
            shifted.eq(Mux(self.int8, self.i << self._shift, self.i)),
            self.o.eq(~shifted),
        ]
        return m


class FusedInnerProduct(Component):
    """``o = addend + Σ weight[i] × activation[i]``, combinational, modulo ``2 ** width``.

    What is too much in ``o`` is the correction of the architecture. Digits that INT8 has in other
    columns than the 4-bit format are added up in a heap of their own, whose sum is shifted by one
    multiplexer and subtracted in the main heap.

    Parameters
    ----------
    format : Format
        DINT4 or INT4.
    lanes : int
        Of 4-bit weights, an even number.
    width : int
        Bits of addend and result.

    Members
    -------
    int8 : In(1)
    operands : In(ArrayLayout(16, lanes))
    nibbles : In(ArrayLayout(4, lanes))
    addend : In(signed(width))
    o : Out(signed(width))
    """

    part = Part.ACCUMULATION

    def __init__(self, *, format: Format, lanes: int, width: int):
        self._format = format
        self._pairs = lanes // 2
        self._places = fused.places_of(format)
        self._trees = fused.shifted_trees(format, self._pairs)
        super().__init__(
            {
                "int8": In(1),
                "operands": In(data.ArrayLayout(fused.OPERAND_BITS, lanes)),
                "nibbles": In(_nibbles_layout(lanes)),
                "addend": In(signed(width)),
                "o": Out(signed(width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(len(self.o))
        heap.add_signed(self.addend)
        shifted = {shift: BitHeap(width) for shift, (_, width) in self._trees.items()}
        for i in range(self._pairs):
            group = self._add_group(m, i, platform)
            for bit, (shift, column) in zip(group.bits, self._places, strict=True):
                if shift:
                    shifted[shift].add_bit(bit, column - self._trees[shift][0])
                else:
                    heap.add_bit(bit, column)
        for shift, (lowest, width) in self._trees.items():
            shifter = FusedShifter(width, shift)
            place(m, f"shifter_{shift}", shifter, platform)
            m.d.comb += [shifter.int8.eq(self.int8), shifter.i.eq(shifted[shift].reduce(m))]
            for column, bit in enumerate(shifter.o, start=lowest):
                # Carries have run through its tree: all other bits are added first.
                heap.add_bit(bit, column, arrival=2 * heap.width)
        m.d.comb += self.o.eq(heap.reduce(m))
        return m

    def _add_group(self, m: Module, i: int, platform: object) -> FusedGroupPartialProducts:
        group = FusedGroupPartialProducts(self._format)
        place(m, f"group_{i}", group, platform)
        m.d.comb += group.int8.eq(self.int8)
        for lane in range(2):
            m.d.comb += [
                group.operands[lane].eq(self.operands[2 * i + lane]),
                group.nibbles[lane].eq(self.nibbles[2 * i + lane]),
            ]
        return group


class FusedProcessingElement(Component):
    """Multiplies a vector of activations by resident weights of 4 bits, or of INT8 in their place.

    A weight set is of 4-bit weights, ``lanes`` for each output, or of INT8 weights, one for each
    pair of lanes: lanes 2k and 2k + 1 multiply their own activations by two 4-bit weights, or the
    same activation by one INT8 weight. So a cycle makes ``lanes`` or ``lanes / 2`` products for
    each output. The mode belongs to the weight set: it is loaded and swapped with it, and vectors
    of different modes can follow each other.

    Ports carry *words*, the same bits in both modes, which :meth:`Configuration.encode` makes of
    weights and :meth:`Configuration.lane_activations` of activations; an INT8 activation is
    repeated, at the edge of an array and not here. Timing, ``load`` and ``swap`` are those of
    :class:`dintmac.hdl.pe.ProcessingElement`.

    ``o_partial_sums`` also contains the correction of the weights
    (:meth:`Configuration.correction`), which whoever prepares them subtracts from the first partial
    sum, the bias. Partial sums count in the hardware units of the
    4-bit format in both modes: half steps for dINT4, in which an INT8 product is twice itself.

    Sums of up to ``depth`` products of either kind are exact.

    Parameters
    ----------
    configuration : Configuration
        Of ``fused``: its lanes are those of 4-bit products.

    Members
    -------
    enable : In(1)
    load : In(1)
    i_weights, o_weights : In, Out (outputs × lanes nibbles)
    i_int8, o_int8 : In, Out (1)
        Mode of the weight set, loaded with it.
    i_valid, i_swap, o_valid, o_swap : In, Out (1)
    i_activations, o_activations : In, Out (lanes × signed 8)
    i_partial_sums, o_partial_sums : In, Out (outputs × signed)
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        lanes, outputs = configuration.sizes.lanes, configuration.sizes.outputs
        weights = data.ArrayLayout(_nibbles_layout(lanes), outputs)
        partial_sums = data.ArrayLayout(signed(configuration.width), outputs)
        super().__init__(
            {
                "enable": In(1),
                "load": In(1),
                "i_weights": In(weights),
                "i_int8": In(1),
                "o_weights": Out(weights),
                "o_int8": Out(1),
                "i_valid": In(1),
                "i_swap": In(1),
                "i_activations": In(activations_layout(lanes)),
                "o_valid": Out(1),
                "o_swap": Out(1),
                "o_activations": Out(activations_layout(lanes)),
                "i_partial_sums": In(partial_sums),
                "o_partial_sums": Out(partial_sums),
            }
        )

    def elaborate(self, platform):
        m = Module()
        format, width = self._configuration.format, self._configuration.width
        lanes, outputs = self._configuration.sizes.lanes, self._configuration.sizes.outputs

        # Weights and their mode: the shadow set is shifted from row to row.
        shadow = Signal(self.i_weights.shape(), reset_less=True)
        shadow_int8 = Signal(reset_less=True)
        resident = Signal(self.i_weights.shape(), reset_less=True)
        int8 = Signal(reset_less=True)
        with m.If(self.load):
            m.d.sync += [shadow.eq(self.i_weights), shadow_int8.eq(self.i_int8)]
        swaps = Signal()
        m.d.comb += swaps.eq(self.enable & self.i_valid & self.i_swap)
        with m.If(swaps):
            m.d.sync += [resident.eq(shadow), int8.eq(shadow_int8)]
        m.d.comb += [self.o_weights.eq(shadow), self.o_int8.eq(shadow_int8)]

        # Stage 1: activations.
        activations = Signal(self.i_activations.shape(), reset_less=True)
        swap = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += self.o_valid.eq(self.i_valid)
            with m.If(self.i_valid):
                m.d.sync += [activations.eq(self.i_activations), swap.eq(self.i_swap)]
        m.d.comb += [self.o_activations.eq(activations), self.o_swap.eq(swap)]

        # Stage 2: products and partial sums.
        operands = Operands(format=format, architecture=DIGITS_FOLDED, lanes=lanes)
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(activations)
        for output in range(outputs):
            inner_product = FusedInnerProduct(format=format, lanes=lanes, width=width)
            place(m, f"inner_product_{output}", inner_product, platform)
            partial_sum = Signal(signed(width), name=f"partial_sum_{output}", reset_less=True)
            m.d.comb += [
                inner_product.int8.eq(int8),
                inner_product.operands.eq(operands.operands),
                inner_product.nibbles.eq(resident[output]),
                inner_product.addend.eq(self.i_partial_sums[output]),
                self.o_partial_sums[output].eq(partial_sum),
            ]
            with m.If(self.enable & self.o_valid):
                m.d.sync += partial_sum.eq(inner_product.o)
        return m


def _check(configuration: Configuration) -> None:
    if configuration.sizes.lanes % 2:
        raise ValueError(f"lanes must be even, not {configuration.sizes.lanes}")


DESIGN = Design(
    "processing element for 4-bit and for INT8 weights",
    FusedProcessingElement,
    ElementBehaviour,
    pe.latency,
    {"depth": 4096, "lanes": 32, "outputs": 4},
    architectures={fused.FUSED.name: fused.FUSED},
    check=_check,
    is_compared=False,
)
