"""A multiply-accumulate unit."""

from __future__ import annotations

from dintmac.hdl.behaviour import DotProductBehaviour
from dintmac.hdl.design import Design
from dintmac.hdl.dot_product import STAGES, DotProduct, latency

__all__ = ["DESIGN", "Mac"]


class Mac(DotProduct):
    """Multiplies one weight by one activation a cycle and accumulates: a dot product of one lane.

    All but the number of lanes is that of :class:`DotProduct`.
    """


DESIGN = Design(
    "multiply-accumulate unit", Mac, DotProductBehaviour, latency, {"depth": 4096}, STAGES
)
