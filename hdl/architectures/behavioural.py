"""Products as the synthesis tool makes them of ``*``."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value

from dintmac.golden.formats import Format
from dintmac.hdl.architectures.architecture import Multiplier

__all__ = ["BEHAVIOURAL", "define", "product"]


def product(m: Module, format: Format, activation: Value, code: Value, suffix: str = "") -> Value:
    """The product in hardware units with ``*``; a denormal is the activation or its negation.

    Formats of other kinds have a table of their values.

    ``suffix`` ends the names of the signals that it is made of.
    """

    def named(name: str, value: Value) -> Value:
        return define(m, name + suffix, value)

    if format.is_float:
        significand = named("significand", Cat(code[0], code[1:3].any()) * activation)
        large = named("large", Mux(code[1], significand << 2, significand << 1))
        magnitude = named("magnitude", Mux(code[2], large, significand))
        negated = named("negated", -magnitude)
        return named("product", Mux(code[3], negated, magnitude))
    if format.is_integer:
        return named("product", code.as_signed() * activation)
    if format.is_dint:
        steps = named("steps", code.as_signed() * activation)
        negated = named("negated", -activation)
        half_step = named("half_step", Mux(code[0], negated, activation))
        denormal = named("denormal", code[-1] & ~code[1:-1].any())
        return named("product", Mux(denormal, half_step, steps << 1))
    units = format.to_units(np.arange(format.codes, dtype=np.uint8)).tolist()
    return named("product", named("value", Array(map(C, units))[code]) * activation)


def define(m: Module, name: str, value: Value) -> Value:
    """A signal called ``name`` that carries ``value``."""
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


BEHAVIOURAL = Multiplier(
    "behavioural",
    "products and sums as the synthesis tool makes them",
    supports=lambda format: True,
)
