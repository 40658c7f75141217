"""The designs by name."""

from __future__ import annotations

from dintmac.golden.registry import Registry
from dintmac.hdl import dot_product, fused, mac, pe, tile
from dintmac.hdl.design import Design

__all__ = ["DESIGNS"]

DESIGNS: Registry[Design] = Registry(
    "design",
    "designs",
    {
        "mac": mac.DESIGN,
        "dot": dot_product.DESIGN,
        "pe": pe.DESIGN,
        "tile": tile.DESIGN,
        "fused": fused.DESIGN,
    }.items(),
)
