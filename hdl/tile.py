# amaranth: UnusedElaboratable=no
"""A systolic tile: rows × columns of weight-stationary processing elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal, ValueCastable, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from dintmac.hdl import pe
from dintmac.hdl.behaviour import TileBehaviour
from dintmac.hdl.design import Design
from dintmac.hdl.hierarchy import Component, place
from dintmac.hdl.inner_product import weights_layout
from dintmac.hdl.operands import activations_layout
from dintmac.hdl.pe import ProcessingElement
from dintmac.hdl.pipeline import register

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["DESIGN", "WeightStationaryTile", "latency"]


class WeightStationaryTile(Component):
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

    With a folded architecture, ``o`` also contains the correction of the weights
    (:meth:`Configuration.correction`), which whoever prepares them subtracts from the first partial
    sum, the bias (docs/arithmetic.md, section 2).

    Sums of up to ``depth`` products, over all passes whose results are fed back as partial sums,
    are exact: partial sums are ``format.accumulator_bits(depth)`` wide (docs/dint.md, section 4).

    Parameters
    ----------
    configuration : Configuration
        Of ``tile``.

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
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._element = configuration.replace(design="pe")
        sizes = configuration.sizes
        partial_sums = data.ArrayLayout(
            data.ArrayLayout(signed(configuration.width), sizes.outputs), sizes.columns
        )
        operands = data.StructLayout(
            {
                "activations": data.ArrayLayout(activations_layout(sizes.lanes), sizes.rows),
                "partial_sums": partial_sums,
                "swap": 1,
            }
        )
        weights = data.ArrayLayout(
            data.ArrayLayout(weights_layout(configuration.format, sizes.lanes), sizes.outputs),
            sizes.columns,
        )
        super().__init__(
            {
                "i_weight": In(stream.Signature(data.StructLayout({"weights": weights}))),
                "i": In(stream.Signature(operands)),
                "o": Out(stream.Signature(data.StructLayout({"partial_sums": partial_sums}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._configuration.sizes.rows, self._configuration.sizes.columns
        element_latency = self._element.latency
        advance = Signal()
        accept = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            accept.eq(self.i.valid & self.i.ready),
        ]
        grid = [
            [
                self._add_element(m, row, column, platform, enable=advance)
                for column in range(columns)
            ]
            for row in range(rows)
        ]

        # Weights: a vector that swaps waits for its set.
        rows_loaded = Signal(range(rows + 1))
        load = Signal()
        swap = accept & self.i.payload.swap
        with m.If(load):
            m.d.sync += rows_loaded.eq(rows_loaded + 1)
        last = grid[-1][-1]
        swapping = Signal()
        loadable = Signal()
        if self._configuration.stages.double_buffered:
            # One set may lie in wait; it is free again when the last element has taken it.
            m.d.comb += loadable.eq(1)
            valid, swaps = last.i_valid, last.i_swap
            if pe.swap_delay(self._element):
                valid, swaps = last.o_valid, last.o_swap
            swapped = Signal()
            m.d.comb += swapped.eq(advance & valid & swaps)
            with m.If(swapped):
                m.d.sync += [rows_loaded.eq(0), swapping.eq(0)]
            with m.Elif(swap):
                m.d.sync += swapping.eq(1)
        else:
            # The set in use is overwritten when no result under way needs it any more.
            under_way = Signal(range(self._configuration.latency + 1))
            left, remaining = Signal(), Signal.like(under_way)
            m.d.comb += [
                left.eq(self.o.valid & self.o.ready),
                remaining.eq(under_way - left),
            ]
            m.d.sync += under_way.eq(remaining + accept)
            m.d.comb += loadable.eq(self.i.valid & self.i.payload.swap & ~under_way.any())
            with m.If(swap):
                m.d.sync += rows_loaded.eq(0)
        complete = rows_loaded == rows
        m.d.comb += [
            self.i_weight.ready.eq(~complete & loadable),
            load.eq(self.i_weight.valid & self.i_weight.ready),
            self.i.ready.eq(advance & (~self.i.payload.swap | (complete & ~swapping))),
        ]

        for row in range(rows):
            for column in range(columns):
                self._connect(m, grid, row, column, load)

        # Skew: activations of row r wait r cycles, partial sums of column c for the products.
        for row in range(rows):
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
        for column in range(columns):
            name = f"partial_sums_column_{column}"
            m.d.comb += [
                grid[0][column].i_partial_sums.eq(
                    _delay(
                        m,
                        self.i.payload.partial_sums[column],
                        column + element_latency - 1,
                        advance,
                        f"i_{name}",
                    )
                ),
                self.o.payload.partial_sums[column].eq(
                    _delay(
                        m,
                        grid[-1][column].o_partial_sums,
                        columns - 1 - column,
                        advance,
                        f"o_{name}",
                    )
                ),
            ]
        cycles = element_latency - 1
        m.d.comb += self.o.valid.eq(_delay(m, last.o_valid, cycles, advance, "o_valid", reset=True))
        return m

    def _add_element(
        self, m: Module, row: int, column: int, platform: object, *, enable: Signal
    ) -> ProcessingElement:
        element = ProcessingElement(self._element)
        place(m, f"pe_{row}_{column}", element, platform)
        m.d.comb += element.enable.eq(enable)
        return element

    def _connect(
        self,
        m: Module,
        grid: list[list[ProcessingElement]],
        row: int,
        column: int,
        load: Signal,
    ) -> None:
        """Connect an element to its neighbours in the west and in the north."""
        element = grid[row][column]
        m.d.comb += element.load.eq(load)
        if row == 0:
            m.d.comb += element.i_weights.eq(self.i_weight.payload.weights[column])
        else:
            north = grid[row - 1][column]
            m.d.comb += [
                element.i_weights.eq(north.o_weights),
                element.i_partial_sums.eq(north.o_partial_sums),
            ]
        if column > 0:
            west = grid[row][column - 1]
            m.d.comb += [
                element.i_valid.eq(west.o_valid),
                element.i_swap.eq(west.o_swap),
                element.i_activations.eq(west.o_activations),
            ]


def _delay(
    m: Module, value: ValueCastable, cycles: int, enable: Signal, name: str, *, reset: bool = False
) -> ValueCastable:
    """``value``, ``cycles`` enabled cycles later."""
    for cycle in range(cycles):
        value = register(m, value, enable, f"{name}_{cycle}", reset=reset)
    return value


def latency(configuration: Configuration) -> int:
    """Cycles from a transfer of ``i`` to its valid result."""
    return configuration.sizes.rows + configuration.sizes.columns + pe.latency(configuration) - 2


DESIGN = Design(
    "systolic tile of processing elements",
    WeightStationaryTile,
    TileBehaviour,
    latency,
    {"depth": 4096, "lanes": 4, "outputs": 2, "rows": 2, "columns": 2},
    pe.STAGES,
)
