# amaranth: UnusedElaboratable=no
"""A processing element for two precisions: two 4-bit products or one INT8 product a lane pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, INT8, Format
from dintmac.hdl.architectures import architecture_for, fused
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.checks import check_depth, check_format, check_positive
from dintmac.hdl.hierarchy import Part, place
from dintmac.hdl.operands import Operands, activations_layout
from dintmac.hdl.prepared_weights import WeightTable, corrections_by_code

__all__ = [
    "FusedGroupPartialProducts",
    "FusedInnerProduct",
    "FusedProcessingElement",
    "FusedShifter",
]

#: An activation with its first bit inverted, and the complement of that.
_OPERAND_BITS = 2 * ACTIVATION_BITS


def _nibbles_layout(lanes: int) -> data.ArrayLayout:
    return data.ArrayLayout(fused.NIBBLE_BITS, lanes)


class FusedGroupPartialProducts(wiring.Component):
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
        self.identity = (type(self), format)
        nibble = Signal(fused.NIBBLE_BITS)
        some = fused.generator(format, [Signal(_OPERAND_BITS)] * 2, [nibble] * 2, Signal())
        self.places = tuple((shift, column) for shift, p in some.items() for column, _ in p.bits)
        super().__init__(
            {
                "int8": In(1),
                "operands": In(data.ArrayLayout(_OPERAND_BITS, 2)),
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


class FusedShifter(wiring.Component):
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
        self.identity = (type(self), width, shift)
        super().__init__({"int8": In(1), "i": In(width), "o": Out(width + shift)})

    def elaborate(self, platform):
        m = Module()
        shifted = Signal(len(self.o))
        m.d.comb += [
            shifted.eq(Mux(self.int8, self.i << self._shift, self.i)),
            self.o.eq(~shifted),
        ]
        return m


class FusedInnerProduct(wiring.Component):
    """``o = addend + Σ weight[i] × activation[i]``, combinational, modulo ``2 ** width``.

    What is too much in ``o`` is :meth:`correction`. Digits that INT8 has in other columns than the
    4-bit format are added up in a heap of their own, whose sum is shifted by one multiplexer and
    subtracted in the main heap.

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
        self._places = FusedGroupPartialProducts(format).places
        self._trees = _shifted_trees(self._places, self._pairs)
        self.identity = (type(self), format, lanes, width)
        super().__init__(
            {
                "int8": In(1),
                "operands": In(data.ArrayLayout(_OPERAND_BITS, lanes)),
                "nibbles": In(_nibbles_layout(lanes)),
                "addend": In(signed(width)),
                "o": Out(signed(width)),
            }
        )

    def correction(self, weights: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """What is too much in ``o``.

        That is the correction of the partial products, the ones that their bits are short of, and
        those of the shifters' complements.
        """
        total = fused.correction(self._format, weights, codes)
        for shift, column in self._places:
            by = shift if weights == INT8 else 0
            total += self._pairs * (-1 if shift else 1) << column + by
        for shift, (lowest, width) in self._trees.items():
            total += (1 << width + shift) - 1 << lowest
        return total

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


def _shifted_trees(places: Sequence[tuple[int, int]], pairs: int) -> dict[int, tuple[int, int]]:
    """Lowest column and width of the sum of what is shifted, by the number of columns."""
    trees = {}
    for shift in sorted({shift for shift, _ in places if shift}):
        columns = [column for by, column in places if by == shift]
        most = pairs * sum(1 << column - min(columns) for column in columns)
        trees[shift] = min(columns), most.bit_length()
    return trees


class FusedProcessingElement(wiring.Component):
    """Multiplies a vector of activations by resident weights of 4 bits, or of INT8 in their place.

    A weight set is of 4-bit weights, ``lanes`` for each output, or of INT8 weights, one for each
    pair of lanes: lanes 2k and 2k + 1 multiply their own activations by two 4-bit weights, or the
    same activation by one INT8 weight. So a cycle makes ``lanes`` or ``lanes / 2`` products for
    each output. The mode belongs to the weight set: it is loaded and swapped with it, and vectors
    of different modes can follow each other.

    Ports carry *words*, the same bits in both modes, which :meth:`nibbles` makes of weights and
    :meth:`lane_activations` of activations; an INT8 activation is repeated, at the edge of an array
    and not here. Timing, ``load`` and ``swap`` are those of
    :class:`dintmac.hdl.pe.ProcessingElement`.

    ``o_partial_sums`` also contains :meth:`correction` of the weights, which whoever prepares them
    subtracts from the first partial sum, the bias. Partial sums count in the hardware units of the
    4-bit format in both modes: half steps for dINT4, in which an INT8 product is twice itself.

    Sums of up to ``depth`` products of either kind are exact.

    Parameters
    ----------
    format : Format
        4-bit weight format, DINT4 or INT4.
    depth : int
        Greatest number of products in a sum, over all processing elements and passes.
    lanes : int
        4-bit products in a sum that this element adds, an even number; twice that of INT8 products.
    outputs : int
        Sums that share the activations.

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

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.
    """

    part = Part.CONTROL
    architecture_summary = "digits of two 4-bit weights or of an INT8 weight in a pair of lanes"

    def __init__(self, *, format: Format, depth: int, lanes: int, outputs: int) -> None:
        check_format(format)
        if format not in fused.FORMATS:
            names = " or ".join(f.name for f in fused.FORMATS)
            raise ValueError(f"format must be {names}, not {format.name}")
        check_positive("lanes", lanes)
        if lanes % 2:
            raise ValueError(f"lanes must be even, not {lanes!r}")
        check_positive("outputs", outputs)
        check_depth(depth, lanes)
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._outputs = outputs
        self._width = fused.accumulator_bits(format, depth)
        self.identity = (type(self), format, depth, lanes, outputs)
        weights = data.ArrayLayout(_nibbles_layout(lanes), outputs)
        partial_sums = data.ArrayLayout(signed(self._width), outputs)
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

    @property
    def format(self) -> Format:
        """4-bit weight format."""
        return self._format

    @property
    def depth(self) -> int:
        """Greatest number of products in a sum."""
        return self._depth

    @property
    def lanes(self) -> int:
        """4-bit products in a sum that this element adds."""
        return self._lanes

    @property
    def outputs(self) -> int:
        """Sums that share the activations."""
        return self._outputs

    @property
    def latency(self) -> int:
        """Enabled cycles from activations to the partial sums that contain their products."""
        return 2

    def products(self, weights: Format) -> int:
        """Products in a sum that this element adds in a cycle, for weights of a format.

        Raises
        ------
        ValueError
            If it is neither the 4-bit format nor INT8.
        """
        if weights not in (self._format, INT8):
            raise ValueError(f"weights must be {self._format.name} or INT8, not {weights.name}")
        return self._lanes // 2 if weights == INT8 else self._lanes

    def nibbles(self, weights: Format, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What ``i_weights`` takes of weights.

        Parameters
        ----------
        weights : Format
            Of the weights: the 4-bit format or INT8.
        codes : uint8, shape (…, products(weights))

        Returns
        -------
        uint8, shape (…, lanes), 0 … 15

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format, or not that many.
        """
        self._check_count("codes", codes.shape[-1], weights)
        return fused.nibbles(self._format, weights, codes)

    def lane_activations(self, weights: Format, activations: NDArray[np.int8]) -> NDArray[np.int8]:
        """What ``i_activations`` takes of activations: with INT8 weights, each of them twice.

        Parameters
        ----------
        weights : Format
            Of the weights that they meet.
        activations : int8, shape (…, products(weights))

        Returns
        -------
        int8, shape (…, lanes)

        Raises
        ------
        ValueError
            If they are not that many.
        """
        self._check_count("activations", activations.shape[-1], weights)
        return np.repeat(activations, self._lanes // activations.shape[-1], axis=-1)

    def correction(self, weights: Format, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """What resident weights add to a sum besides their products.

        Parameters
        ----------
        weights, codes
            As for :meth:`nibbles`.

        Returns
        -------
        int64, shape (…), in hardware units of the 4-bit format.

        Raises
        ------
        TypeError, ValueError
            As :meth:`nibbles`.
        """
        self._check_count("codes", codes.shape[-1], weights)
        return self._inner_product().correction(weights, codes)

    @property
    def weight_tables(self) -> tuple[WeightTable, ...]:
        """What it takes and makes of the codes of its 4-bit format, and of INT8.

        Of an INT8 weight the nibble of the lower lane comes first, so that both make a byte.
        """
        return self._weight_table(self._format), self._weight_table(INT8)

    def _weight_table(self, weights: Format) -> WeightTable:
        codes = np.arange(weights.codes, dtype=np.uint8)
        lanes = 1 if weights == INT8 else 2
        nibbles = fused.nibbles(self._format, weights, codes[:, np.newaxis])
        zeros = np.zeros(self.products(weights), dtype=np.uint8)
        of_groups = fused.correction(self._format, weights, zeros)
        return WeightTable(
            weights,
            tuple((weights.half_steps.astype(int) * self._format.units_per_step // 2).tolist()),
            tuple((nibbles.astype(int) << 4 * np.arange(nibbles.shape[-1])).sum(axis=-1).tolist()),
            corrections_by_code(
                lambda codes: fused.correction(self._format, weights, codes), weights, lanes
            ),
            constant_correction=int(self.correction(weights, zeros) - of_groups),
        )

    def _check_count(self, name: str, count: int, weights: Format) -> None:
        if count != self.products(weights):
            raise ValueError(
                f"{name} must be of {self.products(weights)} {weights.name} products, not {count}"
            )

    def _inner_product(self) -> FusedInnerProduct:
        return FusedInnerProduct(format=self._format, lanes=self._lanes, width=self._width)

    def elaborate(self, platform):
        m = Module()

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
        folded = architecture_for(self._format, "digits_folded", resident=True)
        operands = Operands(format=self._format, architecture=folded, lanes=self._lanes)
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(activations)
        for output in range(self._outputs):
            inner_product = self._inner_product()
            place(m, f"inner_product_{output}", inner_product, platform)
            partial_sum = Signal(signed(self._width), name=f"partial_sum_{output}", reset_less=True)
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
