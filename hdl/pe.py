# amaranth: UnusedElaboratable=no
"""The weight-stationary processing element of a systolic tile."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.checks import (
    check_depth,
    check_flag,
    check_format,
    check_positive,
    check_tree,
)
from dintmac.hdl.hierarchy import Part, place
from dintmac.hdl.inner_product import InnerProduct, weights_layout
from dintmac.hdl.operands import Operands, activations_layout
from dintmac.hdl.pipeline import register
from dintmac.hdl.prepared_weights import PreparedWeights

__all__ = ["ProcessingElement"]


class ProcessingElement(PreparedWeights, wiring.Component):
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

    With a resident architecture, ``o_partial_sums`` also contains :meth:`correction` of the
    weights, which whoever prepares them subtracts from the first partial sum, the bias
    (docs/arithmetic.md, section 2). Weights are loaded as :meth:`stored` gives them.

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
    operand_register : int
        Whether what the architecture makes of the activations alone has a stage of its own (1).
    tree_register : int
        Rows of the register amid the adder tree, which partial sums come after; 0 for none.
    fast_adder : int
        Whether the last adder is a parallel-prefix adder (1) or a ripple (0).
    double_buffered : int
        Whether the next weights can be loaded while these are in use (1) or not (0).

    Members
    -------
    enable : In(1)
    load : In(1)
    i_weights, o_weights : In, Out (outputs × lanes codes)
    i_valid, i_swap, o_valid, o_swap : In, Out (1)
    i_activations, o_activations : In, Out (lanes × signed 8)
    i_partial_sums, o_partial_sums : In, Out (outputs × signed)
        In hardware units: half steps for dINT and FP4, steps for integers.

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
        architecture: str | None = None,
        operand_register: int = 0,
        tree_register: int = 0,
        fast_adder: int = 0,
        double_buffered: int = 1,
    ) -> None:
        check_format(format)
        check_positive("lanes", lanes)
        check_positive("outputs", outputs)
        check_depth(depth, lanes)
        check_flag("operand_register", operand_register)
        check_flag("double_buffered", double_buffered)
        self._architecture = architecture_for(format, architecture, resident=True)
        check_tree(self._architecture, tree_register=tree_register, fast_adder=fast_adder)
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._outputs = outputs
        self._width = format.accumulator_bits(depth)
        self._operand_register = operand_register
        self._tree_register = tree_register
        self._fast_adder = fast_adder
        self._double_buffered = bool(double_buffered)
        self.identity = (
            type(self),
            format,
            depth,
            lanes,
            outputs,
            self._architecture,
            operand_register,
            tree_register,
            fast_adder,
            double_buffered,
        )
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
        return 2 + self._operand_register + bool(self._tree_register)

    @property
    def double_buffered(self) -> bool:
        """Whether the next weights can be loaded while these are in use."""
        return self._double_buffered

    @property
    def swap_delay(self) -> int:
        """Enabled cycles from a vector with ``i_swap`` to the one that takes the shadow weights."""
        return self._operand_register

    def elaborate(self, platform):
        m = Module()

        # Inputs.
        taken = Signal()
        m.d.comb += taken.eq(self.enable & self.i_valid)
        activations = register(m, self.i_activations, taken, "activations")
        swap = register(m, self.i_swap, taken, "swap")
        with m.If(self.enable):
            m.d.sync += self.o_valid.eq(self.i_valid)
        m.d.comb += [self.o_activations.eq(activations), self.o_swap.eq(swap)]
        operands = Operands(
            format=self._format,
            architecture=self._architecture,
            lanes=self._lanes,
            fast_adder=self._fast_adder,
        )
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(activations)
        shared, valid, swaps = operands.shared, self.o_valid, taken & self.i_swap

        if self._operand_register:
            taken = self.enable & valid
            shared = {name: register(m, value, taken, name) for name, value in shared.items()}
            valid = register(m, valid, self.enable, "operands_valid", reset=True)
            swaps = taken & swap

        # Weights are shifted from row to row; the resident set is multiplied.
        loaded = register(m, self.i_weights, self.load, "loaded")
        resident = register(m, loaded, swaps, "resident") if self._double_buffered else loaded
        m.d.comb += self.o_weights.eq(loaded)

        # Products, and the register in their tree.
        inner_products = [self._add_inner_product(m, platform, i) for i in range(self._outputs)]
        if self._tree_register:
            taken = self.enable & valid
            m.d.comb += [inner_product.enable.eq(taken) for inner_product in inner_products]
            # The products wait there; what joins them behind it waits here.
            if "term" in shared:
                shared["term"] = register(m, shared["term"], taken, "tree_term")
            valid = register(m, valid, self.enable, "tree_valid", reset=True)

        # Partial sums.
        as_added = self._architecture.as_added
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
        inner_product = InnerProduct(
            format=self._format,
            architecture=self._architecture,
            lanes=self._lanes,
            width=self._width,
            tree_register=self._tree_register,
            fast_adder=self._fast_adder,
        )
        place(m, f"inner_product_{output}", inner_product, platform)
        return inner_product
