"""The bench of each design: a class ``Bench`` and coroutines, its tests.

A test is awaited with a fresh bench after a reset; it ends when the scoreboards are empty and have
compared something.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from dintmac.golden.registry import Registry
from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches import dot_product, fused, mac, pe, tile

__all__ = ["BENCHES", "tests_of"]

#: Bench modules by the name of their design.
BENCHES: Registry[ModuleType] = Registry(
    "bench",
    "benches",
    {"mac": mac, "dot": dot_product, "pe": pe, "tile": tile, "fused": fused}.items(),
)


def tests_of(configuration: Configuration) -> tuple[Callable[[Any], Awaitable[None]], ...]:
    """The tests of a design; those of double buffering only where weights are double-buffered."""
    bench = BENCHES.find(configuration.design)
    tests: tuple[Callable[[Any], Awaitable[None]], ...] = bench.TESTS
    if configuration.stages.double_buffered:
        tests += getattr(bench, "DOUBLE_BUFFERED_TESTS", ())
    return tests
