"""Registers between stages."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value, ValueCastable

__all__ = ["register"]


def register(
    m: Module, value: ValueCastable, enable: Value, name: str, *, reset: bool = False
) -> Signal | ValueCastable:
    """``value``, one enabled cycle later; it resets to zero, or not at all."""
    signal = Signal(value.shape(), name=name, reset_less=not reset)
    with m.If(enable):
        m.d.sync += signal.eq(value)
    return signal
