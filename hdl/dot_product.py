# amaranth: UnusedElaboratable=no
"""A dot product that accumulates over cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from dintmac.hdl.architectures import ARCHITECTURES
from dintmac.hdl.behaviour import DotProductBehaviour
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.design import Design
from dintmac.hdl.hierarchy import Component, place
from dintmac.hdl.inner_product import InnerProduct, weights_layout
from dintmac.hdl.operands import Operands, activations_layout
from dintmac.hdl.pipeline import register

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["DESIGN", "STAGES", "DotProduct", "latency"]


class DotProduct(Component):
    """Adds ``lanes`` products a cycle and accumulates them from ``first`` to ``last``.

    Two stages: input registers, then products, adder and accumulator; parameters add up to three.
    One transfer a cycle; the sum is valid ``latency`` cycles after the transfer that carries
    ``last``. While a sum waits to be taken everything holds. A sum of up to ``depth`` products is
    exact: the accumulator is ``format.accumulator_bits(depth)`` wide and cannot overflow
    (docs/dint.md, section 4); a longer one wraps.

    With a folded architecture, a sum also contains the correction of all its weights, and wraps:
    who knows the weights beforehand subtracts it, modulo the width, with the bias that is added to
    the sum (:meth:`Configuration.correction`; docs/arithmetic.md, section 2). Weights come as
    :meth:`Configuration.encode` gives them.

    Parameters
    ----------
    configuration : Configuration
        Of ``dot`` or ``mac``.

    Members
    -------
    i : In(stream)
        ``activations`` (lanes × signed 8), ``weights`` (lanes × code), ``first`` and ``last``
        transfer of a sum.
    o : Out(stream)
        ``sum``, signed, in hardware units: steps for integers, half steps for others.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        format, lanes = configuration.format, configuration.sizes.lanes
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
                "o": Out(stream.Signature(data.StructLayout({"sum": signed(configuration.width)}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        configuration, stages = self._configuration, self._configuration.stages
        format, lanes = configuration.format, configuration.sizes.lanes
        architecture, width = ARCHITECTURES[configuration.architecture], configuration.width
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]

        # Inputs.
        taken = Signal()
        m.d.comb += taken.eq(advance & self.i.valid)
        inputs = register(m, self.i.payload, taken, "inputs")
        valid = register(m, self.i.valid, advance, "inputs_valid", reset=True)
        operands = Operands(
            format=format,
            architecture=architecture,
            lanes=lanes,
            fast_adder=stages.fast_adder,
        )
        place(m, "shared", operands, platform)
        m.d.comb += operands.activations.eq(inputs.activations)
        shared, weights, ends = operands.shared, inputs.weights, Cat(inputs.first, inputs.last)

        if stages.operand_register:
            taken = advance & valid
            shared = {name: register(m, value, taken, name) for name, value in shared.items()}
            weights = register(m, weights, taken, "weights")
            ends = register(m, ends, taken, "operands_ends")
            valid = register(m, valid, advance, "operands_valid", reset=True)

        # Products, and the register in their tree.
        inner_product = InnerProduct(
            format=format,
            architecture=architecture,
            lanes=lanes,
            width=width,
            tree_register=stages.tree_register,
            fast_adder=stages.fast_adder,
            carry_save=stages.carry_save,
        )
        place(m, "inner_product", inner_product, platform)
        m.d.comb += inner_product.weights.eq(weights)
        if stages.tree_register:
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
        as_added = architecture.as_added
        if stages.carry_save:
            total = register(m, inner_product.o, taken, "total")
            carry = register(m, inner_product.o_carry, taken, "carry")
            m.d.comb += [
                inner_product.addend.eq(Mux(first, as_added(Const(0, width)), total)),
                inner_product.addend_carry.eq(Mux(first, 0, carry)),
            ]
            # The carries run through once, in a stage of their own.
            done = register(m, done, advance, "done", reset=True)
            heap = BitHeap(width)
            heap.add_signed(total)
            heap.add_signed(carry)
            resolved = as_added(heap.reduce(m, fast=bool(stages.fast_adder)))
            accumulator = register(m, resolved.as_signed(), advance & done, "sum")
        else:
            # Kept as the heap has it: a flip-flop's complement is at hand where the sum is not.
            accumulator = as_added(register(m, inner_product.o, taken, "accumulator"))
            m.d.comb += inner_product.addend.eq(as_added(Mux(first, 0, accumulator)))
        m.d.comb += self.o.payload.sum.eq(accumulator)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(done)
        return m


def latency(configuration: Configuration) -> int:
    """Cycles from the transfer of ``last`` to a valid sum."""
    return 2 + configuration.stages.latency + configuration.stages.carry_save


STAGES = ("operand_register", "tree_register", "fast_adder", "carry_save")

DESIGN = Design(
    "dot product", DotProduct, DotProductBehaviour, latency, {"depth": 4096, "lanes": 16}, STAGES
)
