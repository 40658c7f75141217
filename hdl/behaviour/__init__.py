"""What each design does, cycle by cycle, in NumPy: many copies side by side."""

from dintmac.hdl.behaviour.behaviour import Behaviour, Output, Pipeline, described, flags
from dintmac.hdl.behaviour.dot_product import DotProductBehaviour
from dintmac.hdl.behaviour.element import ElementBehaviour
from dintmac.hdl.behaviour.tile import TileBehaviour

__all__ = [
    "Behaviour",
    "DotProductBehaviour",
    "ElementBehaviour",
    "Output",
    "Pipeline",
    "TileBehaviour",
    "described",
    "flags",
]
