"""Records of measured netlists, and the ratios that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "EXTRAPOLATED",
    "FAR",
    "PARALLEL",
    "AreaSplit",
    "BeyondTables",
    "Check",
    "CriticalPath",
    "Power",
    "Record",
    "products_of",
]

#: A table is read *far* beyond its end at more than so many times the last entry of an axis.
FAR = 2.0

#: An energy counts as extrapolated if more than this share of what it is made of is read so.
EXTRAPOLATED = 0.01

#: Parameters that multiply: how many products a design makes in a cycle.
PARALLEL = ("lanes", "outputs", "rows", "columns")


def products_of(parameters: Mapping[str, int]) -> int:
    """Products that a design of these sizes makes in a cycle: the MACs that it counts as."""
    return math.prod(parameters.get(name, 1) for name in PARALLEL)


@dataclass(frozen=True)
class Check:
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


@dataclass(frozen=True)
class AreaSplit:
    """Parts of an area, in its unit; they add up to it.

    Attributes
    ----------
    registers : float
        Flip-flops and clock gates.
    products : float or None
        Logic that makes partial products. None where it is not a module of its own, as in
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


@dataclass(frozen=True)
class BeyondTables:
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

    @property
    def is_extrapolated(self) -> bool:
        """Whether a share is more than :data:`EXTRAPOLATED`."""
        return max(self.arcs, self.energy) > EXTRAPOLATED


@dataclass(frozen=True)
class Power:
    """Energy of a netlist at work (docs/energy.md).

    Attributes
    ----------
    energy_per_mac_fj : float
        Energy of a cycle over the multiply-accumulate operations of a cycle, leakage included.
    split_fj : dict of str to float or None
        Its parts, which add up to it: ``clock``, ``registers``, ``products``, ``accumulation``,
        ``control``, ``inputs`` and ``leakage``. ``products`` is None where they are not a module
        of their own: ``accumulation`` then covers both.
    data, data_sha256 : str
        Source and hash of the workload.
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
        """Whether much is read far beyond the library's tables."""
        return self.beyond_tables.is_extrapolated


@dataclass(frozen=True)
class CriticalPath:
    """The path that sets a delay.

    Attributes
    ----------
    start, end : str
        Registers, by their names in the design, or ports.
    cells : int
        Cells of logic between them.
    """

    start: str
    end: str
    cells: int


@dataclass(frozen=True)
class Record:
    """One measured netlist.

    Attributes
    ----------
    design, format, architecture : str
    parameters : dict of str to int
    library, recipe : str
    target_delay_ns : float or None
        The clock period that synthesis aimed at; None: mapped for the smallest area.
    area : float
        Sum of the areas of all cells.
    area_unit : str
        ``GE`` or ``µm²``.
    area_split : AreaSplit
    cells : dict of str to int
        Instances of each cell of the library.
    flip_flops : int
    delay_ns : float or None
        The shortest clock period; None: not measured.
    critical_path : CriticalPath or None
        What sets the delay; None: not measured.
    delay_missing : str
        Why there is no delay; empty where there is one.
    power : Power or None
        None: not measured.
    power_int8 : Power or None
        Of ``fused`` in INT8 mode, where ``power`` is that of 4-bit weights; None for all others.
    checked : str
        ``equivalent``, ``simulated`` or ``unchecked``.
    check : Check
    tools : dict of str to str
        Versions.
    inputs_sha256 : str
        Hash of Verilog, recipe, library and tools.
    power_missing : str
        Why there is no power; empty where there is one.
    """

    design: str
    format: str
    architecture: str
    parameters: dict[str, int]
    library: str
    recipe: str
    target_delay_ns: float | None
    area: float
    area_unit: str
    area_split: AreaSplit
    cells: dict[str, int]
    flip_flops: int
    delay_ns: float | None
    critical_path: CriticalPath | None
    delay_missing: str
    power: Power | None
    checked: str
    check: Check
    tools: dict[str, str]
    inputs_sha256: str
    power_int8: Power | None = None
    power_missing: str = ""

    @property
    def products_per_cycle(self) -> int:
        """How many MACs the design counts as."""
        return products_of(self.parameters)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; without ``power_int8`` and ``power_missing`` if empty."""
        values = asdict(self)
        for name in ("power_int8", "power_missing"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Record:
        """The record that :meth:`to_json` made.

        Raises
        ------
        ValueError
            If fields are missing or unknown.
        """
        try:
            path = values["critical_path"]
            parts = {
                "area_split": AreaSplit(**values["area_split"]),
                "check": Check(**values["check"]),
                "critical_path": None if path is None else CriticalPath(**path),
                "power": _power(values["power"]),
                "power_int8": _power(values.get("power_int8")),
            }
            return cls(**{**values, **parts})
        except (KeyError, TypeError):
            names = ", ".join(field.name for field in fields(cls))
            raise ValueError(f"a record must have exactly the fields {names}") from None


def _power(values: dict[str, Any] | None) -> Power | None:
    if values is None:
        return None
    return Power(**{**values, "beyond_tables": BeyondTables(**values["beyond_tables"])})
