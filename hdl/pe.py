# amaranth: UnusedElaboratable=no
"""The weight-stationary processing element of a systolic tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from dintmac.hdl.architectures import ARCHITECTURES
from dintmac.hdl.behaviour import ElementBehaviour
from dintmac.hdl.design import Design
from dintmac.hdl.hierarchy import Component, place
from dintmac.hdl.inner_product import InnerProduct, weights_layout
from dintmac.hdl.operands import Operands, activations_layout
from dintmac.hdl.pipeline import register

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["DESIGN", "STAGES", "ProcessingElement", "latency", "swap_delay"]


class ProcessingElement(Component):
    """Multiplies vectors of activations by resident weights: sums of ``lanes`` products.

    Activations pass from ``i`` to ``o`` (to the next column) in one cycle. Their partial sums enter
    ``latency - 1`` cycles after them, and a cycle later ``o_partial_sums`` is ``i_partial_sums``
    plus the products. The pipeline moves while ``enable`` is high and holds while it is low.
    Bubbles (``i_valid`` low) leave the registers as they are.

    Weights are kept twice if ``double_buffered``. ``load`` shifts a set from ``i_weights`` into the
    shadow registers, at any time and whatever ``enable`` says; ``o_weights`` hands the set that was
    there to the next row. A valid vector with ``i_swap`` is the first to be multiplied by the
    shadow weights, as they are ``swap_delay`` enabled cycles after the one that takes the vector.

    Weights that are not double-buffered have one set of registers. ``load`` shifts a set into them,
    and whatever is multiplied from the next cycle on is multiplied by it: vectors under way have to
    be out first. ``i_swap`` is handed on and does nothing.

    With a folded architecture, ``o_partial_sums`` also contains the correction of the weights
    (:meth:`Configuration.correction`), which whoever prepares them subtracts from the first partial
    sum, the bias (docs/arithmetic.md, section 2). Weights are loaded as
    :meth:`Configuration.encode` gives them.

    Sums of up to ``depth`` products are exact: partial sums are ``format.accumulator_bits(depth)``
    wide (docs/dint.md, section 4).

    Parameters
    ----------
    configuration : Configuration
        Of ``pe``.

    Members
    -------
    enable : In(1)
    load : In(1)
    i_weights, o_weights : In, Out (outputs × lanes codes)
    i_valid, i_swap, o_valid, o_swap : In, Out (1)
    i_activations, o_activations : In, Out (lanes × signed 8)
    i_partial_sums, o_partial_sums : In, Out (outputs × signed)
        In hardware units: half steps for dINT and FP4, steps for integers.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        lanes, outputs = configuration.sizes.lanes, configuration.sizes.outputs
        weights = data.ArrayLayout(weights_layout(configuration.format, lanes), outputs)
        partial_sums = data.ArrayLayout(signed(configuration.width), outputs)
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

    def elaborate(self, platform):
        m = Module()
        configuration, stages = self._configuration, self._configuration.stages
        architecture = ARCHITECTURES[configuration.architecture]

        # Inputs.
        taken = Signal()
        m.d.comb += taken.eq(self.enable & self.i_valid)
        activations = register(m, self.i_activations, taken, "activations")
        swap = register(m, self.i_swap, taken, "swap")
        with m.If(self.enable):
            m.d.sync += self.o_valid.eq(self.i_valid)
        m.d.comb += [self.o_activations.eq(activations), self.o_swap.eq(swap)]
        operands = Operands(
            format=configuration.format,
            architecture=architecture,
            lanes=configuration.sizes.lanes,
            fast_adder=stages.fast_adder,
        )
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(activations)
        shared, valid, swaps = operands.shared, self.o_valid, taken & self.i_swap

        if stages.operand_register:
            taken = self.enable & valid
            shared = {name: register(m, value, taken, name) for name, value in shared.items()}
            valid = register(m, valid, self.enable, "operands_valid", reset=True)
            swaps = taken & swap

        # Weights are shifted from row to row; the resident set is multiplied.
        loaded = register(m, self.i_weights, self.load, "loaded")
        resident = register(m, loaded, swaps, "resident") if stages.double_buffered else loaded
        m.d.comb += self.o_weights.eq(loaded)

        # Products, and the register in their tree.
        outputs = range(configuration.sizes.outputs)
        inner_products = [self._add_inner_product(m, platform, i) for i in outputs]
        if stages.tree_register:
            taken = self.enable & valid
            m.d.comb += [inner_product.enable.eq(taken) for inner_product in inner_products]
            # The products wait there; what joins them behind it waits here.
            if "term" in shared:
                shared["term"] = register(m, shared["term"], taken, "tree_term")
            valid = register(m, valid, self.enable, "tree_valid", reset=True)

        # Partial sums.
        as_added = architecture.as_added
        for output, inner_product in enumerate(inner_products):
            inner_product.connect(m, shared)
            # Kept as the heap has it: a flip-flop's complement is at hand where the sum is not.
            partial_sum = as_added(
                register(m, inner_product.o, self.enable & valid, f"partial_sum_{output}")
            )
            m.d.comb += [
                inner_product.weights.eq(resident[output]),
                inner_product.addend.eq(as_added(self.i_partial_sums[output])),
                self.o_partial_sums[output].eq(partial_sum),
            ]
        return m

    def _add_inner_product(self, m: Module, platform: object, output: int) -> InnerProduct:
        configuration = self._configuration
        inner_product = InnerProduct(
            format=configuration.format,
            architecture=ARCHITECTURES[configuration.architecture],
            lanes=configuration.sizes.lanes,
            width=configuration.width,
            tree_register=configuration.stages.tree_register,
            fast_adder=configuration.stages.fast_adder,
        )
        place(m, f"inner_product_{output}", inner_product, platform)
        return inner_product


def latency(configuration: Configuration) -> int:
    """Enabled cycles from activations to the partial sums that contain their products."""
    return 2 + configuration.stages.latency


def swap_delay(configuration: Configuration) -> int:
    """Enabled cycles from a vector with ``i_swap`` to the one that takes the shadow weights."""
    return configuration.stages.operand_register


STAGES = ("operand_register", "tree_register", "fast_adder", "double_buffered")

DESIGN = Design(
    "weight-stationary processing element",
    ProcessingElement,
    ElementBehaviour,
    latency,
    {"depth": 4096, "lanes": 16, "outputs": 4},
    STAGES,
)
