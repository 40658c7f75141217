# amaranth: UnusedElaboratable=no
"""The heart of every design: an addend plus Σ weight × activation."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Const, Module, Signal, Value, ValueCastable, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Multiplier
from dintmac.hdl.architectures.behavioural import define, product
from dintmac.hdl.bit_heap import BitHeap
from dintmac.hdl.hierarchy import Component, Part, place
from dintmac.hdl.operands import operands_layout, term_constant, term_rows, term_shape

__all__ = ["GroupPartialProducts", "InnerProduct", "weights_layout"]


#: When late bits arrive, in XOR delays.
_LATE = 2


def weights_layout(format: Format, lanes: int) -> data.ArrayLayout:
    """``lanes`` weight codes, lane 0 in the least significant bits."""
    return data.ArrayLayout(format.bits, lanes)


class GroupPartialProducts(Component):
    """Partial products of a group of lanes as a module of its own: alike groups are one module.

    The bits come as the heap adds them (:attr:`Multiplier.adds_complements`).

    Members
    -------
    operands : In(n)
        Of the group (:class:`dintmac.hdl.operands.Operands`).
    weights : In(ArrayLayout(format.bits, group))
    bits : Out(n)
        Bit i, or its complement, is worth ``2 ** columns[i]``.
    """

    part = Part.PRODUCTS

    def __init__(self, format: Format, architecture: Multiplier):
        self._format = format
        self._architecture = architecture
        assert architecture.generator is not None
        width = operands_layout(architecture, architecture.group).elem_shape
        some = architecture.generator(
            format, Signal(width), [Signal(format.bits) for _ in range(architecture.group)]
        )
        self.columns = tuple(column for column, _ in some.bits)
        self.late = some.late
        self.constant = some.constant
        super().__init__(
            {
                "operands": In(width),
                "weights": In(weights_layout(format, architecture.group)),
                "bits": Out(len(self.columns)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        generator = self._architecture.generator
        assert generator is not None
        products = generator(self._format, self.operands, list(self.weights))
        m.d.comb += [signal.eq(value) for signal, value in products.definitions]
        for output, (_, bit) in zip(self.bits, products.bits, strict=True):
            m.d.comb += output.eq(self._architecture.as_added(bit))
        return m


class InnerProduct(Component):
    """``o = addend + term + Σ weight[i] × activation[i]`` modulo ``2 ** width``.

    Combinational, but for a register amid the adder tree if ``tree_register``: weights and operands
    enter one enabled cycle before the addend and the term, and the sum comes with these.

    A folded architecture adds its correction of the weights to that. Weights count in hardware
    units: steps for integers, half steps for others. Addend, term and sum are as the heap adds
    them, :meth:`Multiplier.as_added`: an inverter in the midst of it would hide full adders from
    synthesis. In carry-save form they are the sum of two ports: ``addend + addend_carry`` and
    ``o + o_carry``.

    Parameters
    ----------
    format : Format
        Weight format.
    architecture : Multiplier
        How products are made. ``behavioural`` writes ``*`` and ``+``; all others put the partial
        products of all lanes, the term and the addend into one bit heap.
    lanes : int
        Number of products. A last group that is not full is filled with zeros.
    width : int
        Bits of addend and result.
    tree_register : int
        Greatest number of rows that the register amid the tree holds, so that 2 puts it before the
        last adder and many before all adders; 0 for no register.
    fast_adder : int
        Whether the last adder is a parallel-prefix adder (1) or a ripple of full adders (0).
    carry_save : int
        Whether addend and sum are in carry-save form (1).

    Members
    -------
    enable : In(1)
        Of the register; only where there is one.
    operands, term : In
        From :class:`dintmac.hdl.operands.Operands`; ``term`` only where there is one.
    weights : In(ArrayLayout(format.bits, lanes))
    addend : In(signed(width))
    o : Out(signed(width))
    addend_carry, o_carry : In, Out (signed(width))
        Only in carry-save form.
    """

    part = Part.ACCUMULATION

    def __init__(
        self,
        *,
        format: Format,
        architecture: Multiplier,
        lanes: int,
        width: int,
        tree_register: int = 0,
        fast_adder: int = 0,
        carry_save: int = 0,
    ):
        self._format = format
        self._architecture = architecture
        self._tree_register = tree_register
        self._fast_adder = bool(fast_adder)
        self._carry_save = bool(carry_save)
        members = {
            "operands": In(operands_layout(architecture, lanes)),
            "weights": In(weights_layout(format, lanes)),
            "addend": In(signed(width)),
            "o": Out(signed(width)),
        }
        if architecture.activation_term is not None:
            shape = term_rows if fast_adder else term_shape
            members["term"] = In(shape(format, architecture, lanes))
        if tree_register:
            members["enable"] = In(1)
        if carry_save:
            members["addend_carry"] = In(signed(width))
            members["o_carry"] = Out(signed(width))
        super().__init__(members)

    def connect(self, m: Module, shared: Mapping[str, ValueCastable]) -> None:
        """Take what the activations have in common (:attr:`Operands.shared`)."""
        m.d.comb += [getattr(self, name).eq(value) for name, value in shared.items()]

    def elaborate(self, platform):
        m = Module()
        if self._architecture.generator is None:
            operands = [Value.cast(operand).as_signed() for operand in self.operands]
            pairs = zip(operands, map(Value.cast, self.weights), strict=True)
            products = [
                product(m, self._format, operand, weight, f"_{lane}")
                for lane, (operand, weight) in enumerate(pairs)
            ]
            m.d.comb += self.o.eq(self.addend - _balanced_sum(m, products))
        else:
            self._add_up(m, platform)
        return m

    def _add_up(self, m: Module, platform: object) -> None:
        """Add up bits or their complements.

        A full adder of complements yields those of sum and carry: with n = 1 − bit, the complement
        of addend + Σ bit 2^c is ~addend + Σ n 2^c − Σ 2^c.
        """
        heap = BitHeap(len(self.o))
        if not self._tree_register:
            self._add_addends(heap)
        self._add_products(heap, m, platform)
        if self._tree_register:
            heap.compress(m, self._tree_register)
            heap.register(m, enable=self.enable)
            self._add_addends(heap)
        if self._carry_save:
            total, carry = heap.reduce_to_rows(m)
            m.d.comb += [self.o.eq(total), self.o_carry.eq(carry)]
        else:
            m.d.comb += self.o.eq(heap.reduce(m, fast=self._fast_adder))

    def _add_addends(self, heap: BitHeap) -> None:
        heap.add_signed(self.addend)
        if self._carry_save:
            heap.add_signed(self.addend_carry)
        if self._architecture.activation_term is None:
            return
        complements = self._architecture.adds_complements
        if not self._fast_adder:
            heap.add_signed(self.term)
            heap.add_constant(int(complements))
            return
        for row in self.term:
            for column, bit in enumerate(row):
                heap.add_bit(bit, column)
            heap.add_constant(1 - (1 << len(row)) if complements else 0)
        constant = term_constant(self._format, self._architecture, len(self.weights))
        heap.add_constant(-constant if complements else constant)

    def _add_products(self, heap: BitHeap, m: Module, platform: object) -> None:
        complements = self._architecture.adds_complements
        size = self._architecture.group
        weights = [Value.cast(weight) for weight in self.weights]
        weights += [Const(0, self._format.bits)] * (-len(weights) % size)
        for i, operands in enumerate(self.operands):
            group = GroupPartialProducts(self._format, self._architecture)
            place(m, f"group_{i}", group, platform)
            m.d.comb += group.operands.eq(operands)
            for lane in range(size):
                m.d.comb += group.weights[lane].eq(weights[i * size + lane])
            for number, (bit, column) in enumerate(zip(group.bits, group.columns, strict=True)):
                # Added after those that are there, it spares the adders below it its glitches.
                heap.add_bit(bit, column, arrival=_LATE if number in group.late else 0)
                heap.add_constant(-1 << column if complements else 0)
            heap.add_constant(-group.constant if complements else group.constant)


def _balanced_sum(m: Module, terms: list[Value]) -> Value:
    """Add in pairs, so that n terms grow by log2(n) bits."""
    level = 0
    while len(terms) > 1:
        pairs = zip(terms[0::2], terms[1::2], strict=False)
        sums = [define(m, f"sum_{level}_{i}", a + b) for i, (a, b) in enumerate(pairs)]
        terms = sums + terms[len(sums) * 2 :]
        level += 1
    return terms[0]
