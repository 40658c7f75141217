# amaranth: UnusedElaboratable=no
"""The weight-stationary processing element of a systolic tile."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.checks import check_depth, check_format, check_positive
from dintmac.hdl.hierarchy import place
from dintmac.hdl.inner_product import InnerProduct, weights_layout
from dintmac.hdl.operands import Operands, activations_layout

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """``outputs`` dot products of ``lanes`` resident weights with one vector of activations.

    Activations pass from ``i`` to ``o`` (to the next column) in one cycle, and one cycle later
    ``o_partial_sums`` is ``i_partial_sums`` plus the products: partial sums enter a cycle after
    their activations and leave a cycle after they entered. The pipeline moves while ``enable`` is
    high and holds while it is low. Bubbles (``i_valid`` low) leave the registers as they are.

    Weights are kept twice. ``load`` shifts a set from ``i_weights`` into the shadow registers, at
    any time and whatever ``enable`` says; ``o_weights`` hands the set that was there to the next
    row. A valid vector with ``i_swap`` is the first to be multiplied by the shadow weights.

    With a resident architecture, ``o_partial_sums`` also contains :meth:`correction` of the
    weights, which whoever prepares them subtracts from the first partial sum, the bias
    (docs/arithmetic.md, section 2).

    Sums of up to ``depth`` products are exact: partial sums are ``format.accumulator_bits(depth)``
    wide (docs/dint.md, section 4).

    Parameters
    ----------
    format : Format
        Weight format.
    depth : int
        Greatest number of products in a sum, over all processing elements and passes.
    lanes : int
        Products in a sum that this element adds.
    outputs : int
        Sums that share the activations.
    architecture : str or None
        Name of the multiplier architecture; the default of the format if None.

    Members
    -------
    enable : In(1)
    load : In(1)
    i_weights, o_weights : In, Out (outputs × lanes codes)
    i_valid, i_swap, o_valid, o_swap : In, Out (1)
    i_activations, o_activations : In, Out (lanes × signed 8)
    i_partial_sums, o_partial_sums : In, Out (outputs × signed)
        In hardware units: half steps for dINT, steps for integers.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not as above.
    """

    def __init__(
        self,
        *,
        format: Format,
        depth: int,
        lanes: int,
        outputs: int,
        architecture: str | None = None,
    ) -> None:
        check_format(format)
        check_positive("lanes", lanes)
        check_positive("outputs", outputs)
        check_depth(depth, lanes)
        self._architecture = architecture_for(format, architecture, resident=True)
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._outputs = outputs
        self._width = format.accumulator_bits(depth)
        self.identity = (type(self), format, depth, lanes, outputs, self._architecture)
        weights = data.ArrayLayout(weights_layout(format, lanes), outputs)
        partial_sums = data.ArrayLayout(signed(self._width), outputs)
        super().__init__(
            {
                "enable": In(1),
                "load": In(1),
                "i_weights": In(weights),
                "o_weights": Out(weights),
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
        """Weight format."""
        return self._format

    @property
    def depth(self) -> int:
        """Greatest number of products in a sum."""
        return self._depth

    @property
    def lanes(self) -> int:
        """Products in a sum that this element adds."""
        return self._lanes

    @property
    def outputs(self) -> int:
        """Sums that share the activations."""
        return self._outputs

    @property
    def latency(self) -> int:
        """Enabled cycles from activations to the partial sums that contain their products."""
        return 2

    def correction(self, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """What resident weights add to a sum besides their products.

        Parameters
        ----------
        codes : uint8, shape (…, lanes)

        Returns
        -------
        int64, shape (…), in hardware units; nought for an architecture that is not resident.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format, or not of ``lanes`` lanes.
        """
        if codes.shape[-1] != self._lanes:
            raise ValueError(f"codes must be of {self._lanes} lanes, not {codes.shape[-1]}")
        return self._architecture.correction(self._format, codes)

    def elaborate(self, platform):
        m = Module()

        # Weights: the shadow set is shifted from row to row, the resident set is multiplied.
        shadow = Signal(self.i_weights.shape(), reset_less=True)
        resident = Signal(self.i_weights.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.i_weights)
        with m.If(self.enable & self.i_valid & self.i_swap):
            m.d.sync += resident.eq(shadow)
        m.d.comb += self.o_weights.eq(shadow)

        # Stage 1: activations.
        activations = Signal(self.i_activations.shape(), reset_less=True)
        swap = Signal(reset_less=True)
        with m.If(self.enable):
            m.d.sync += self.o_valid.eq(self.i_valid)
            with m.If(self.i_valid):
                m.d.sync += [activations.eq(self.i_activations), swap.eq(self.i_swap)]
        m.d.comb += [self.o_activations.eq(activations), self.o_swap.eq(swap)]

        # Stage 2: products and partial sums.
        operands = Operands(format=self._format, architecture=self._architecture, lanes=self._lanes)
        m.submodules.operands = place(operands, platform)
        m.d.comb += operands.activations.eq(activations)
        as_added = self._architecture.as_added
        for output in range(self._outputs):
            inner_product = InnerProduct(
                format=self._format,
                architecture=self._architecture,
                lanes=self._lanes,
                width=self._width,
            )
            m.submodules[f"inner_product_{output}"] = place(inner_product, platform)
            inner_product.connect(m, operands)
            partial_sum = Signal(signed(self._width), name=f"partial_sum_{output}", reset_less=True)
            m.d.comb += [
                inner_product.weights.eq(resident[output]),
                inner_product.addend.eq(as_added(self.i_partial_sums[output])),
                self.o_partial_sums[output].eq(partial_sum),
            ]
            with m.If(self.enable & self.o_valid):
                m.d.sync += partial_sum.eq(as_added(inner_product.o))
        return m
