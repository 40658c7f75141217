"""Records of measured netlists, and the ratios that follow from them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "PARALLEL",
    "AreaSplit",
    "Check",
    "CriticalPath",
    "Ratio",
    "Record",
    "Variant",
    "ratios_of",
]

#: Parameters that multiply: how many products a design makes in a cycle.
PARALLEL = ("lanes", "outputs", "rows", "columns")

#: Weight formats that are compared: baseline and candidate.
_PAIRS = (("INT8", "INT4"), ("INT8", "dINT4"), ("INT4", "dINT4"))


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
    power : dict or None
        None: not measured.
    checked : str
        ``equivalent``, ``simulated`` or ``unchecked``.
    check : Check
    tools : dict of str to str
        Versions.
    inputs_sha256 : str
        Hash of Verilog, recipe, library and tools.
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
    power: dict[str, float] | None
    checked: str
    check: Check
    tools: dict[str, str]
    inputs_sha256: str

    @property
    def products_per_cycle(self) -> int:
        """How many MACs the design counts as."""
        return math.prod(self.parameters.get(name, 1) for name in PARALLEL)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return asdict(self)

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
            }
            return cls(**{**values, **parts})
        except (KeyError, TypeError):
            names = ", ".join(field.name for field in fields(cls))
            raise ValueError(f"a record must have exactly the fields {names}") from None


@dataclass(frozen=True)
class Variant:
    """One side of a comparison."""

    format: str
    architecture: str


@dataclass(frozen=True)
class Ratio:
    """How many times larger the baseline is than the candidate, at equal function.

    Attributes
    ----------
    design : str
    parameters : dict of str to int
    library : str
    metric : str
        ``area``.
    baseline, candidate : Variant
        Each the smallest of its format.
    ratio : float
    """

    design: str
    parameters: dict[str, int]
    library: str
    metric: str
    baseline: Variant
    candidate: Variant
    ratio: float

    def to_json(self) -> dict[str, Any]:
        """The ratio as JSON values."""
        return asdict(self)


def ratios_of(records: Iterable[Record]) -> list[Ratio]:
    """INT8 over INT4, INT8 over dINT4 and INT4 over dINT4, by area.

    For each design, parameters and library; on either side stands the smallest record of its
    format, whatever its architecture, so that no comparison is against a straw man. The order is
    that in which designs and libraries first occur.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        sizes = json.dumps(record.parameters, sort_keys=True)
        groups.setdefault((record.library, record.design, sizes), []).append(record)
    return [ratio for group in groups.values() for ratio in _ratios(group)]


def _ratios(group: Sequence[Record]) -> Iterable[Ratio]:
    smallest: dict[str, Record] = {}
    for record in group:
        best = smallest.setdefault(record.format, record)
        if record.area < best.area:
            smallest[record.format] = record
    for baseline_format, candidate_format in _PAIRS:
        if baseline_format in smallest and candidate_format in smallest:
            baseline, candidate = smallest[baseline_format], smallest[candidate_format]
            yield Ratio(
                design=candidate.design,
                parameters=candidate.parameters,
                library=candidate.library,
                metric="area",
                baseline=Variant(baseline.format, baseline.architecture),
                candidate=Variant(candidate.format, candidate.architecture),
                ratio=baseline.area / candidate.area,
            )
