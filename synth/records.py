"""Records of measured netlists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from dintmac.golden.formats import parse
from dintmac.hdl.configuration import Configuration

__all__ = [
    "EXTRAPOLATED",
    "FAR",
    "PARALLEL",
    "AreaSplit",
    "BeyondTables",
    "Check",
    "CriticalPath",
    "Positive",
    "Power",
    "Record",
    "RecordedConfiguration",
    "Stored",
    "products_of",
]

#: What is measured is more than nothing.
Positive = Annotated[float, Meta(gt=0)]

#: A table is read *far* beyond its end at more than so many times the last entry of an axis.
FAR = 2.0

#: An energy counts as extrapolated if more than this share of what it is made of is read so.
EXTRAPOLATED = 0.01

#: Parameters that multiply: how many products a design makes in a cycle.
PARALLEL = ("lanes", "outputs", "rows", "columns")


def products_of(parameters: Mapping[str, int]) -> int:
    """Products that a design of these sizes makes in a cycle: the MACs that it counts as."""
    return math.prod(parameters.get(name, 1) for name in PARALLEL)


class Stored(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What stands in ``report.json``: read strictly, and without fields that have a default."""


class RecordedConfiguration(Stored, frozen=True):
    """A configuration as a record holds it: names and numbers alone.

    A report can so be read where its design, format or architecture is not known.

    Attributes
    ----------
    design : str
        Name of the design, such as ``pe``.
    format : str
        Weight format, such as ``INT8``, ``dINT4`` or ``FP4``.
    architecture : str
        How products are made, such as ``nr4sd``.
    parameters : dict of str to int
        Sizes: ``depth``, and ``lanes``, ``outputs``, ``rows``, ``columns`` as the design has them,
        and options that are not at their defaults.

    Raises
    ------
    ValueError
        If one of :data:`PARALLEL` is not positive.
    """

    design: str
    format: str
    architecture: str
    parameters: dict[str, int]

    def __post_init__(self) -> None:
        for name in PARALLEL:
            if (size := self.parameters.get(name, 1)) < 1:
                raise ValueError(f"{name} must be positive, not {size}")

    @classmethod
    def of(cls, configuration: Configuration) -> RecordedConfiguration:
        """What a record holds of a configuration."""
        return cls(
            configuration.design,
            configuration.format.name,
            configuration.architecture,
            dict(configuration.parameters),
        )

    def configuration(self) -> Configuration:
        """The configuration itself.

        Raises
        ------
        ValueError
            If the design, the format, the architecture or a parameter is not known.
        """
        return Configuration(
            self.design, parse(self.format), self.architecture, dict(self.parameters)
        )


class Check(Stored, frozen=True):
    """How a netlist was checked.

    Attributes
    ----------
    method : str
        ``simulated``: compared with the golden model.
    vectors : int
        Results that were compared.
    cycles : int
        Cycles that were simulated, over all copies.
    """

    method: str
    vectors: int
    cycles: int


class AreaSplit(Stored, frozen=True):
    """Parts of an area, in its unit; they add up to it.

    Attributes
    ----------
    registers : float
        Flip-flops and clock gates.
    products : float or None
        Logic that makes partial products. Null where it is not a module of its own, as in
        behavioural architectures and where a netlist is one module: ``accumulation`` then covers
        both, and in a single module ``control`` as well.
    accumulation : float
        Adders: the sum of products and of the accumulator or the incoming partial sum.
    control : float
        All other logic: handshakes, enables and the choice of what is accumulated.
    """

    registers: float
    products: float | None
    accumulation: float
    control: float


class BeyondTables(Stored, frozen=True):
    """What of an energy is read far beyond the tables of the library's ``internal_power``.

    Far is at a slew or load of more than :data:`FAR` times the last entry of the axis.

    Attributes
    ----------
    arcs : float
        Share of the arcs of all instances: of the energies that the library states for their pins.
    energy : float
        What these arcs take, over the dynamic energy.
    reach : float
        The greatest slew or load of any arc, over the last entry of its table's axis.
    """

    arcs: float
    energy: float
    reach: float


class Power(Stored, frozen=True):
    """Energy of a netlist at work (docs/energy.md).

    Attributes
    ----------
    energy_per_mac_fj : float
        Energy of a cycle over the multiply-accumulate operations of a cycle, leakage included.
    split_fj : dict of str to float or None
        Its parts, which add up to it: ``clock``, ``registers``, ``products``, ``accumulation``,
        ``control``, ``inputs`` and ``leakage``. ``products`` is null where they are not a module
        of their own: ``accumulation`` then covers both.
    data : str
        Source of the workload.
    data_sha256 : str
        Hash of the workload.
    macs : int
        Multiply-accumulate operations of a cycle.
    cycles : int
        Cycles that were counted, over all copies.
    period_ns : float
        The clock's, over which leakage counts.
    voltage : float
        In V.
    glitch_factor : float
        Transitions of the outputs of logic over those that remain without glitches.
    step_ps : float
        Resolution of the timed simulation.
    beyond_tables : BeyondTables
        What of it is read far beyond the library's tables.
    """

    energy_per_mac_fj: float
    split_fj: dict[str, float | None]
    data: str
    data_sha256: str
    macs: int
    cycles: int
    period_ns: float
    voltage: float
    glitch_factor: float
    step_ps: float
    beyond_tables: BeyondTables

    @property
    def is_extrapolated(self) -> bool:
        """Whether more than :data:`EXTRAPOLATED` is read far beyond the library's tables."""
        return max(self.beyond_tables.arcs, self.beyond_tables.energy) > EXTRAPOLATED


class CriticalPath(Stored, frozen=True):
    """The path that sets a delay.

    Attributes
    ----------
    start : str
        Where it begins: a register, by its name in the design, or a port.
    end : str
        Where it ends.
    cells : int
        Cells of logic between them.
    """

    start: str
    end: str
    cells: int


class Record(Stored, frozen=True, kw_only=True):
    """One measured netlist.

    Attributes
    ----------
    configuration : RecordedConfiguration
        The hardware.
    library : str
        Name of the Liberty library.
    recipe : str
        Name of the synthesis recipe: ``area`` or ``delay``.
    target_delay_ns : float or None
        The clock period that synthesis aimed at; null: mapped for the smallest area.
    area : float
        Sum of the areas of all cells.
    area_unit : str
        ``GE`` (the area of a NAND2) or ``µm²``.
    area_split : AreaSplit
        Where the area goes.
    cells : dict of str to int
        Instances of each cell of the library.
    flip_flops : int
        Bits of state.
    delay_ns : float or None
        The shortest clock period; null: not measured.
    critical_path : CriticalPath or None
        What sets the delay; null: not measured.
    delay_missing : str
        Why there is no delay; empty where there is one.
    power : Power or None
        Energy at work; null: not measured.
    power_int8 : Power or None
        Of ``fused`` in INT8 mode, where ``power`` is that of 4-bit weights; absent for all others.
    power_missing : str
        Why there is no power; absent where there is one.
    check : Check
        How the netlist was checked.
    tools : dict of str to str
        Versions of the tools that made this netlist.
    inputs_sha256 : str
        Hash of Verilog, recipe, library and tools.
    """

    configuration: RecordedConfiguration
    library: str
    recipe: str
    target_delay_ns: float | None
    area: Positive
    area_unit: str
    area_split: AreaSplit
    cells: dict[str, int]
    flip_flops: int
    delay_ns: float | None
    critical_path: CriticalPath | None
    delay_missing: str
    power: Power | None
    power_int8: Power | None = None
    power_missing: str = ""
    check: Check
    tools: dict[str, str]
    inputs_sha256: str

    @property
    def products_per_cycle(self) -> int:
        """How many MACs the design counts as."""
        return products_of(self.configuration.parameters)
