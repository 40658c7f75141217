# amaranth: UnusedElaboratable=no
"""A dot product that accumulates over cycles."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.checks import check_depth, check_format, check_positive
from dintmac.hdl.hierarchy import place
from dintmac.hdl.inner_product import InnerProduct, weights_layout
from dintmac.hdl.operands import Operands, activations_layout

__all__ = ["DotProduct"]


class DotProduct(wiring.Component):
    """Adds ``lanes`` products a cycle and accumulates them from ``first`` to ``last``.

    Two stages: operand registers, then products, adder and accumulator. One transfer a cycle;
    the sum is valid ``latency`` cycles after the transfer that carries ``last``. While a sum waits
    to be taken everything holds. A sum of up to ``depth`` products is exact: the accumulator is
    ``format.accumulator_bits(depth)`` wide and cannot overflow (docs/dint.md, section 4); a longer
    one wraps.

    Parameters
    ----------
    format : Format
        Weight format.
    depth : int
        Greatest number of products in a sum.
    lanes : int
        Products a cycle.
    architecture : str or None
        Name of the multiplier architecture, none for resident weights; the default of the format
        if None.

    Members
    -------
    i : In(stream)
        ``activations`` (lanes × signed 8), ``weights`` (lanes × code), ``first`` and ``last``
        transfer of a sum.
    o : Out(stream)
        ``sum``, signed, in hardware units: half steps for dINT, steps for integers.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.
    """

    def __init__(
        self, *, format: Format, depth: int, lanes: int, architecture: str | None = None
    ) -> None:
        check_format(format)
        check_positive("lanes", lanes)
        check_depth(depth, lanes)
        self._architecture = architecture_for(format, architecture)
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._width = format.accumulator_bits(depth)
        self.identity = (type(self), format, depth, lanes, self._architecture)
        super().__init__(
            {
                "i": In(
                    stream.Signature(
                        data.StructLayout(
                            {
                                "activations": activations_layout(lanes),
                                "weights": weights_layout(format, lanes),
                                "first": 1,
                                "last": 1,
                            }
                        )
                    )
                ),
                "o": Out(stream.Signature(data.StructLayout({"sum": signed(self._width)}))),
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
        """Products a cycle."""
        return self._lanes

    @property
    def latency(self) -> int:
        """Cycles from the transfer of ``last`` to a valid sum."""
        return 2

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]

        # Stage 1: operands.
        operands = Signal(self.i.payload.shape(), reset_less=True)
        operands_valid = Signal()
        with m.If(advance):
            m.d.sync += operands_valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += operands.eq(self.i.payload)

        # Stage 2: products and accumulator.
        shared = Operands(format=self._format, architecture=self._architecture, lanes=self._lanes)
        m.submodules.operands = place(shared, platform)
        inner_product = InnerProduct(
            format=self._format,
            architecture=self._architecture,
            lanes=self._lanes,
            width=self._width,
        )
        m.submodules.inner_product = place(inner_product, platform)
        inner_product.connect(m, shared)
        accumulator = Signal(signed(self._width), reset_less=True)
        as_added = self._architecture.as_added
        m.d.comb += [
            shared.activations.eq(operands.activations),
            inner_product.weights.eq(operands.weights),
            inner_product.addend.eq(as_added(Mux(operands.first, 0, accumulator))),
            self.o.payload.sum.eq(accumulator),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(operands_valid & operands.last)
            with m.If(operands_valid):
                m.d.sync += accumulator.eq(as_added(inner_product.o))
        return m
