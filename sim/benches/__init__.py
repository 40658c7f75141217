"""The bench of each design: a class ``Bench`` and the coroutines ``TESTS``.

A test is awaited with a fresh bench after a reset; it ends when the scoreboards are empty and have
compared something.
"""

from __future__ import annotations

from types import ModuleType

from dintmac.sim.benches import dot_product, fused, mac, pe, tile

__all__ = ["BENCHES"]

#: Bench modules by the name of their design.
BENCHES: dict[str, ModuleType] = {
    "mac": mac,
    "dot": dot_product,
    "pe": pe,
    "tile": tile,
    "fused": fused,
}
