# amaranth: UnusedElaboratable=no
"""A dot product that accumulates over cycles."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for
from dintmac.hdl.bit_heap import BitHeap
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

__all__ = ["DotProduct"]


class DotProduct(PreparedWeights, wiring.Component):
    """Adds ``lanes`` products a cycle and accumulates them from ``first`` to ``last``.

    Two stages: input registers, then products, adder and accumulator; parameters add up to three.
    One transfer a cycle; the sum is valid ``latency`` cycles after the transfer that carries
    ``last``. While a sum waits to be taken everything holds. A sum of up to ``depth`` products is
    exact: the accumulator is ``format.accumulator_bits(depth)`` wide and cannot overflow
    (docs/dint.md, section 4); a longer one wraps.

    With a resident architecture, a sum also contains the :meth:`correction` of all its weights,
    and wraps: who knows the weights beforehand subtracts it, modulo the width, with the bias that
    is added to the sum (docs/arithmetic.md, section 2). Weights come as :meth:`stored` gives them.

    Parameters
    ----------
    format : Format
        Weight format.
    depth : int
        Greatest number of products in a sum.
    lanes : int
        Products a cycle.
    architecture : str or None
        Name of the multiplier architecture; the default of the format if None.
    operand_register : int
        Whether what the architecture makes of the activations alone has a stage of its own (1).
    tree_register : int
        Rows of the register amid the adder tree, which the accumulator comes after; 0 for none.
    fast_adder : int
        Whether the last adder is a parallel-prefix adder (1) or a ripple (0).
    carry_save : int
        Whether the accumulator is kept as two rows, whose carries are resolved in one more stage
        after ``last`` (1), or as one number (0).

    Members
    -------
    i : In(stream)
        ``activations`` (lanes × signed 8), ``weights`` (lanes × code), ``first`` and ``last``
        transfer of a sum.
    o : Out(stream)
        ``sum``, signed, in hardware units: steps for integers, half steps for others.

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
        architecture: str | None = None,
        operand_register: int = 0,
        tree_register: int = 0,
        fast_adder: int = 0,
        carry_save: int = 0,
    ) -> None:
        check_format(format)
        check_positive("lanes", lanes)
        check_depth(depth, lanes)
        check_flag("operand_register", operand_register)
        self._architecture = architecture_for(format, architecture, resident=True)
        check_tree(
            self._architecture,
            tree_register=tree_register,
            fast_adder=fast_adder,
            carry_save=carry_save,
        )
        self._format = format
        self._depth = depth
        self._lanes = lanes
        self._width = format.accumulator_bits(depth)
        self._operand_register = operand_register
        self._tree_register = tree_register
        self._fast_adder = fast_adder
        self._carry_save = carry_save
        self.identity = (
            type(self),
            format,
            depth,
            lanes,
            self._architecture,
            operand_register,
            tree_register,
            fast_adder,
            carry_save,
        )
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
        return 2 + self._operand_register + bool(self._tree_register) + self._carry_save

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]

        # Inputs.
        taken = Signal()
        m.d.comb += taken.eq(advance & self.i.valid)
        inputs = register(m, self.i.payload, taken, "inputs")
        valid = register(m, self.i.valid, advance, "inputs_valid", reset=True)
        operands = Operands(
            format=self._format,
            architecture=self._architecture,
            lanes=self._lanes,
            fast_adder=self._fast_adder,
        )
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(inputs.activations)
        shared, weights, ends = operands.shared, inputs.weights, Cat(inputs.first, inputs.last)

        if self._operand_register:
            taken = advance & valid
            shared = {name: register(m, value, taken, name) for name, value in shared.items()}
            weights = register(m, weights, taken, "weights")
            ends = register(m, ends, taken, "operands_ends")
            valid = register(m, valid, advance, "operands_valid", reset=True)

        # Products, and the register in their tree.
        inner_product = InnerProduct(
            format=self._format,
            architecture=self._architecture,
            lanes=self._lanes,
            width=self._width,
            tree_register=self._tree_register,
            fast_adder=self._fast_adder,
            carry_save=self._carry_save,
        )
        place(m, "inner_product", inner_product, platform)
        m.d.comb += inner_product.weights.eq(weights)
        if self._tree_register:
            taken = advance & valid
            m.d.comb += inner_product.enable.eq(taken)
            # The products wait there; what joins them behind it waits here.
            if "term" in shared:
                shared["term"] = register(m, shared["term"], taken, "tree_term")
            ends = register(m, ends, taken, "tree_ends")
            valid = register(m, valid, advance, "tree_valid", reset=True)
        inner_product.connect(m, shared)

        # Accumulator; the inner product has sums as its heap adds them.
        first, last = ends
        taken = advance & valid
        done = valid & last
        as_added = self._architecture.as_added
        if self._carry_save:
            total = register(m, inner_product.o, taken, "total")
            carry = register(m, inner_product.o_carry, taken, "carry")
            m.d.comb += [
                inner_product.addend.eq(Mux(first, as_added(Const(0, self._width)), total)),
                inner_product.addend_carry.eq(Mux(first, 0, carry)),
            ]
            # The carries run through once, in a stage of their own.
            done = register(m, done, advance, "done", reset=True)
            heap = BitHeap(self._width)
            heap.add_signed(total)
            heap.add_signed(carry)
            resolved = as_added(heap.reduce(m, fast=bool(self._fast_adder)))
            accumulator = register(m, resolved.as_signed(), advance & done, "sum")
        else:
            # Kept as the heap has it: a flip-flop's complement is at hand where the sum is not.
            accumulator = as_added(register(m, inner_product.o, taken, "accumulator"))
            m.d.comb += inner_product.addend.eq(as_added(Mux(first, 0, accumulator)))
        m.d.comb += self.o.payload.sum.eq(accumulator)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(done)
        return m
