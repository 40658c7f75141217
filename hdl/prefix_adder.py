"""A parallel-prefix adder."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["prefix_sum"]


def prefix_sum(m: Module, a: Value, b: Value) -> Value:
    """``a + b`` modulo two to their width, by Sklansky's tree, at logarithmic depth.

    Level by level, every second half of a block of columns takes up the carry of its first half
    (Sklansky 1960), so each column knows the carry out of all columns up to its own after
    log2(width) levels. No tree is shallower, and of those that are as shallow it has the fewest
    nodes; its carries drive up to half the columns.

    Parameters
    ----------
    m : Module
        Gets the adder.
    a, b : Value, both of the same width

    Raises
    ------
    ValueError
        If the widths differ.
    """
    width = len(a)
    if len(b) != width:
        raise ValueError(f"both summands must have one width, not {width} and {len(b)}")
    half_sum, half_carry, total = Signal(width), Signal(width), Signal(width)
    m.d.comb += [half_sum.eq(a ^ b), half_carry.eq(a & b)]
    generate, propagate = list(half_carry), list(half_sum)
    block = 1
    while block < width:
        for column in range(width):
            if column // block % 2:
                # The first half is complete: none of its columns changes in this level.
                carry = column // block * block - 1
                generated = Signal(name=f"generate_{block}_{column}")
                propagated = Signal(name=f"propagate_{block}_{column}")
                m.d.comb += [
                    generated.eq(generate[column] | (propagate[column] & generate[carry])),
                    propagated.eq(propagate[column] & propagate[carry]),
                ]
                generate[column], propagate[column] = generated, propagated
        block *= 2
    m.d.comb += total.eq(half_sum ^ Cat(Const(0, 1), *generate[:-1]))
    return total
