# amaranth: UnusedElaboratable=no
"""A systolic tile: rows × columns of weight-stationary processing elements."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, ValueCastable, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.checks import check_depth, check_format, check_positive
from dintmac.hdl.hierarchy import Part, place
from dintmac.hdl.inner_product import weights_layout
from dintmac.hdl.operands import activations_layout
from dintmac.hdl.pe import ProcessingElement
from dintmac.hdl.pipeline import register
from dintmac.hdl.prepared_weights import PreparedWeights

__all__ = ["WeightStationaryTile"]


class WeightStationaryTile(PreparedWeights, wiring.Component):
    """Multiplies a stream of activation vectors by a resident matrix of weights.

    Each transfer of ``i`` carries ``rows × lanes`` activations and ``columns × outputs`` partial
    sums, and ``latency`` cycles later one of ``o`` carries the same partial sums plus the products.
    One vector a cycle. The tile delays what must be delayed: all operands of a vector enter in one
    transfer, all its sums leave in one. While a result waits to be taken the pipeline holds.

    A weight set takes ``rows`` transfers of ``i_weight``, from the last row to the first. It lies
    in wait until a vector with ``swap`` arrives, which is the first to be multiplied by it; that
    vector is not taken before the set is complete. The next set can be loaded while vectors
    stream, as soon as the swap has passed the last processing element.

    Weights that are not ``double_buffered`` are shifted into the registers that are multiplied. So
    ``i_weight`` is ready only while a vector with ``swap`` is offered and no result is under way.

    With a resident architecture, ``o`` also contains :meth:`correction` of the weights, which
    whoever prepares them subtracts from the first partial sum, the bias (docs/arithmetic.md,
    section 2).

    Sums of up to ``depth`` products, over all passes whose results are fed back as partial sums,
    are exact: partial sums are ``format.accumulator_bits(depth)`` wide (docs/dint.md, section 4).

    Parameters
    ----------
    format : Format
        Weight format.
    depth : int
        Greatest number of products in a sum.
    lanes : int
        Products in a sum that a processing element adds.
    outputs : int
        Sums of a processing element, which share its activations.
    rows : int
        Processing elements that a partial sum passes.
    columns : int
        Processing elements that an activation passes.
    architecture : str or None
        Name of the multiplier architecture; the default of the format if None.
    operand_register, tree_register, fast_adder, double_buffered : int
        As in :class:`ProcessingElement`.

    Members
    -------
    i_weight : In(stream)
        A row of weights: columns × outputs × lanes codes.
    i : In(stream)
        ``activations`` (rows × lanes × signed 8), ``partial_sums`` (columns × outputs × signed)
        and ``swap``.
    o : Out(stream)
        ``partial_sums`` (columns × outputs × signed), in hardware units: half steps for dINT,
        steps for integers.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.
    """

    part = Part.CONTROL

    def __init__(
        self,
        *,
        format: Format,
        depth: int,
        lanes: int,
        outputs: int,
        rows: int,
        columns: int,
        architecture: str | None = None,
        operand_register: int = 0,
        tree_register: int = 0,
        fast_adder: int = 0,
        double_buffered: int = 1,
    ) -> None:
        check_format(format)
        check_positive("lanes", lanes)
        check_positive("outputs", outputs)
        check_positive("rows", rows)
        check_positive("columns", columns)
        check_depth(depth, rows * lanes)
        self._architecture = architecture_for(format, architecture, resident=True)
        self._element_parameters: dict[str, Any] = {
            "format": format,
            "depth": depth,
            "lanes": lanes,
            "outputs": outputs,
            "architecture": self._architecture.name,
            "operand_register": operand_register,
            "tree_register": tree_register,
            "fast_adder": fast_adder,
            "double_buffered": double_buffered,
        }
        element = ProcessingElement(**self._element_parameters)
        self._element_latency = element.latency
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._outputs = outputs
        self._rows = rows
        self._columns = columns
        self._double_buffered = bool(double_buffered)
        self.identity = (type(self), rows, columns, element.identity)
        partial_sums = data.ArrayLayout(
            data.ArrayLayout(signed(format.accumulator_bits(depth)), outputs), columns
        )
        self._operands = data.StructLayout(
            {
                "activations": data.ArrayLayout(activations_layout(lanes), rows),
                "partial_sums": partial_sums,
                "swap": 1,
            }
        )
        weights = data.ArrayLayout(
            data.ArrayLayout(weights_layout(format, lanes), outputs), columns
        )
        super().__init__(
            {
                "i_weight": In(stream.Signature(data.StructLayout({"weights": weights}))),
                "i": In(stream.Signature(self._operands)),
                "o": Out(stream.Signature(data.StructLayout({"partial_sums": partial_sums}))),
            }
        )

    @property
    def format(self) -> Format:
        """Weight format."""
        return self._format

    @property
    def depth(self) -> int:
        """Greatest number of products in a sum."""
        return self._depth

    @property
    def lanes(self) -> int:
        """Products in a sum that a processing element adds."""
        return self._lanes

    @property
    def outputs(self) -> int:
        """Sums of a processing element."""
        return self._outputs

    @property
    def rows(self) -> int:
        """Processing elements that a partial sum passes."""
        return self._rows

    @property
    def columns(self) -> int:
        """Processing elements that an activation passes."""
        return self._columns

    @property
    def latency(self) -> int:
        """Cycles from a transfer of ``i`` to its valid result."""
        return self._rows + self._columns + self._element_latency - 2

    @property
    def double_buffered(self) -> bool:
        """Whether the next weights can be loaded while these are in use."""
        return self._double_buffered

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        accept = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
        ]
        grid = [
            [
                self._add_element(m, row, column, platform, enable=advance)
                for column in range(self._columns)
            ]
            for row in range(self._rows)
        ]

        # Weights: a vector that swaps waits for its set.
        rows_loaded = Signal(range(self._rows + 1))
        load = Signal()
        swap = accept & self.i.payload.swap
        with m.If(load):
            m.d.sync += rows_loaded.eq(rows_loaded + 1)
        last = grid[-1][-1]
        swapping = Signal()
        loadable = Signal()
        if self._double_buffered:
            # One set may lie in wait; it is free again when the last element has taken it.
            m.d.comb += loadable.eq(1)
            valid, swaps = (
                (last.o_valid, last.o_swap) if last.swap_delay else (last.i_valid, last.i_swap)
            )
            swapped = Signal()
            m.d.comb += swapped.eq(advance & valid & swaps)
            with m.If(swapped):
                m.d.sync += [rows_loaded.eq(0), swapping.eq(0)]
            with m.Elif(swap):
                m.d.sync += swapping.eq(1)
        else:
            # The set in use is overwritten when no result under way needs it any more.
            under_way = Signal(range(self.latency + 1))
            left, remaining = Signal(), Signal.like(under_way)
            m.d.comb += [
                left.eq(self.o.valid & self.o.ready),
                remaining.eq(under_way - left),
            ]
            m.d.sync += under_way.eq(remaining + accept)
            m.d.comb += loadable.eq(self.i.valid & self.i.payload.swap & ~under_way.any())
            with m.If(swap):
                m.d.sync += rows_loaded.eq(0)
        complete = rows_loaded == self._rows
        m.d.comb += [
            self.i_weight.ready.eq(~complete & loadable),
            load.eq(self.i_weight.valid & self.i_weight.ready),
            self.i.ready.eq(advance & (~self.i.payload.swap | (complete & ~swapping))),
        ]

        for row in range(self._rows):
            for column in range(self._columns):
                self._connect(m, grid, row, column, load)

        # Skew: activations of row r wait r cycles, partial sums of column c for the products.
        for row in range(self._rows):
            first = grid[row][0]
            payload = self.i.payload
            m.d.comb += [
                first.i_valid.eq(_delay(m, accept, row, advance, f"valid_row_{row}", reset=True)),
                first.i_swap.eq(_delay(m, payload.swap, row, advance, f"swap_row_{row}")),
                first.i_activations.eq(
                    _delay(m, payload.activations[row], row, advance, f"activations_row_{row}")
                ),
            ]

        # De-skew: the results of column c wait for those of the last column.
        for column in range(self._columns):
            name = f"partial_sums_column_{column}"
            m.d.comb += [
                grid[0][column].i_partial_sums.eq(
                    _delay(
                        m,
                        self.i.payload.partial_sums[column],
                        column + self._element_latency - 1,
                        advance,
                        f"i_{name}",
                    )
                ),
                self.o.payload.partial_sums[column].eq(
                    _delay(
                        m,
                        grid[-1][column].o_partial_sums,
                        self._columns - 1 - column,
                        advance,
                        f"o_{name}",
                    )
                ),
            ]
        cycles = self._element_latency - 1
        m.d.comb += self.o.valid.eq(_delay(m, last.o_valid, cycles, advance, "o_valid", reset=True))
        return m

    def _add_element(
        self, m: Module, row: int, column: int, platform: object, *, enable: Signal
    ) -> ProcessingElement:
        pe = ProcessingElement(**self._element_parameters)
        place(m, f"pe_{row}_{column}", pe, platform)
        m.d.comb += pe.enable.eq(enable)
        return pe

    def _connect(
        self,
        m: Module,
        grid: list[list[ProcessingElement]],
        row: int,
        column: int,
        load: Signal,
    ) -> None:
        """Connect an element to its neighbours in the west and in the north."""
        pe = grid[row][column]
        m.d.comb += pe.load.eq(load)
        if row == 0:
            m.d.comb += pe.i_weights.eq(self.i_weight.payload.weights[column])
        else:
            north = grid[row - 1][column]
            m.d.comb += [
                pe.i_weights.eq(north.o_weights),
                pe.i_partial_sums.eq(north.o_partial_sums),
            ]
        if column > 0:
            west = grid[row][column - 1]
            m.d.comb += [
                pe.i_valid.eq(west.o_valid),
                pe.i_swap.eq(west.o_swap),
                pe.i_activations.eq(west.o_activations),
            ]


def _delay(
    m: Module, value: ValueCastable, cycles: int, enable: Signal, name: str, *, reset: bool = False
) -> ValueCastable:
    """``value``, ``cycles`` enabled cycles later."""
    for cycle in range(cycles):
        value = register(m, value, enable, f"{name}_{cycle}", reset=reset)
    return value
