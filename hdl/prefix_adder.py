"""A parallel-prefix adder."""

from __future__ import annotations

import os

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["prefix_sum"]


def prefix_sum(m: Module, a: Value, b: Value) -> Value:
    """``a + b`` modulo two to their width, at a depth that grows with its logarithm."""
    width = len(a)
    kind = os.environ.get("PREFIX", "sklansky")
    half = Signal(width, name="half_sum")
    m.d.comb += half.eq(a ^ b)
    g = [a[i] & b[i] for i in range(width)]
    p = list(half)
    count = 0

    def merge(i, j):
        nonlocal count
        count += 1
        gg = Signal(name=f"generate_{i}_{count}")
        pp = Signal(name=f"propagate_{i}_{count}")
        m.d.comb += [gg.eq(g[i] | (p[i] & g[j])), pp.eq(p[i] & p[j])]
        return gg, pp

    d = 1
    if kind == "brent_kung":
        while d < width:
            for i in range(2 * d - 1, width, 2 * d):
                g[i], p[i] = merge(i, i - d)
            d *= 2
        while d >= 1:
            for i in range(3 * d - 1, width, 2 * d):
                g[i], p[i] = merge(i, i - d)
            d //= 2
    while d < width and kind != "brent_kung":
        if kind == "sklansky":
            pairs = [(i, i // d * d - 1) for i in range(width) if i // d % 2]
        else:
            pairs = [(i, i - d) for i in range(d, width)]
        new = [(i, merge(i, j)) for i, j in pairs]
        for i, (gg, pp) in new:
            g[i], p[i] = gg, pp
        d *= 2
    return half ^ Cat(Const(0, 1), *g[:-1])
