# amaranth: UnusedElaboratable=no
"""The designs by name, with their parameters and defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import wiring

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import architecture_for, architectures_of
from dintmac.hdl.dot_product import DotProduct
from dintmac.hdl.fused import FusedProcessingElement
from dintmac.hdl.mac import Mac
from dintmac.hdl.pe import ProcessingElement
from dintmac.hdl.tile import WeightStationaryTile

__all__ = ["DEFAULTS", "DESIGNS", "OPTIONS", "RESIDENT", "Configuration", "built_architectures"]

DESIGNS: dict[str, type[wiring.Component]] = {
    "mac": Mac,
    "dot": DotProduct,
    "pe": ProcessingElement,
    "tile": WeightStationaryTile,
    "fused": FusedProcessingElement,
}

#: Designs that can use resident architectures: those that have a correction.
RESIDENT = ("mac", "dot", "pe", "tile")

#: Sizes of every design and their defaults.
DEFAULTS: dict[str, dict[str, int]] = {
    "mac": {"depth": 4096},
    "dot": {"depth": 4096, "lanes": 16},
    "pe": {"depth": 4096, "lanes": 16, "outputs": 4},
    "tile": {"depth": 4096, "lanes": 4, "outputs": 2, "rows": 2, "columns": 2},
    "fused": {"depth": 4096, "lanes": 32, "outputs": 4},
}

_TREE = {"operand_register": 0, "tree_register": 0, "fast_adder": 0}

#: Stages and adders of every design and their defaults.
OPTIONS: dict[str, dict[str, int]] = {
    "mac": {**_TREE, "carry_save": 0},
    "dot": {**_TREE, "carry_save": 0},
    "pe": {**_TREE, "double_buffered": 1},
    "tile": {**_TREE, "double_buffered": 1},
    "fused": {},
}


def built_architectures(design: str, format: Format) -> tuple[str, ...]:
    """Names of the architectures in which a design is built for a weight format, the default first.

    ``behavioural`` is not among them: its products are the synthesis tool's.
    """
    if design == "fused":
        return ("fused",)
    available = architectures_of(format, resident=design in RESIDENT)
    return tuple(a.name for a in available if a.generator is not None)


@dataclass(frozen=True)
class Configuration:
    """A design with all that fixes its hardware.

    Parameters
    ----------
    design : str
        ``mac``, ``dot``, ``pe``, ``tile`` or ``fused``.
    format : Format
        Weight format; the 4-bit one of ``fused``, which takes INT8 as well.
    architecture : str
        Name of the multiplier architecture; the default of the format if empty. ``fused`` has one
        of that name and no other.
    parameters : dict of str to int
        Sizes and options. Sizes that are left out take their defaults; options that have their
        defaults are left out.

    Raises
    ------
    ValueError
        If a name is unknown or a parameter is not one of the design's.
    """

    design: str
    format: Format
    architecture: str = ""
    parameters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design must be one of {', '.join(DESIGNS)}, not {self.design!r}")
        sizes, options = DEFAULTS[self.design], OPTIONS[self.design]
        for name in self.parameters:
            if name not in sizes | options:
                names = ", ".join(sizes | options)
                raise ValueError(f"{self.design} has no {name}; it has {names}")
        object.__setattr__(self, "architecture", self._architecture_name())
        chosen = {n: self.parameters[n] for n in options if n in self.parameters}
        chosen = {n: value for n, value in chosen.items() if value != options[n]}
        given = {n: value for n, value in self.parameters.items() if n in sizes}
        object.__setattr__(self, "parameters", sizes | given | chosen)

    def _architecture_name(self) -> str:
        if self.design != "fused":
            resident = self.design in RESIDENT
            return architecture_for(self.format, self.architecture or None, resident=resident).name
        if self.architecture not in ("", "fused"):
            raise ValueError(f"architecture of fused must be fused, not {self.architecture!r}")
        return "fused"

    @property
    def name(self) -> str:
        """A name for files: design, format, architecture, sizes and options."""
        parts = [self.design, self.format.name.lower(), self.architecture]
        for name, value in self.parameters.items():
            parts.append(f"{name[0] if name in DEFAULTS[self.design] else name}{value}")
        return "_".join(parts)

    def build(self) -> Any:
        """A new component.

        Raises
        ------
        TypeError, ValueError
            If a size does not suit the design.
        """
        arguments: dict[str, Any] = {"format": self.format, **self.parameters}
        if self.design != "fused":
            arguments["architecture"] = self.architecture
        return DESIGNS[self.design](**arguments)
