"""Maps exported Verilog to the cells of a library."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from dintmac.golden.files import temporary_folder
from dintmac.hdl.hierarchy import Part
from dintmac.hdl.verilog import Export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.blif import has_logic, logic_of, with_logic
from dintmac.synth.cells import Cells
from dintmac.synth.complements import use_complements
from dintmac.synth.liberty import Library
from dintmac.synth.netlist import FlatNetlist, Module, flatten
from dintmac.synth.polarity import alternate_adders
from dintmac.synth.timing import Boundary

__all__ = ["Attempt", "Mapped", "Preparation", "map_design", "recipe_sources", "synthesize"]

_RECIPES = Path(__file__).parent / "recipes"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_RECIPES),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
#: Scripts for the smallest area whose mapper takes the first of equal cells, and the others.
_ORDERED_SCRIPTS = ("amap", "resub", "direct_amap")
_SCRIPTS = ("nf", "direct_nf")
#: So many orders of equal cells are tried.
_ORDERS = 4


@dataclass(frozen=True)
class Preparation:
    """What becomes of a design before its logic is mapped.

    Attributes
    ----------
    flat : bool
        It becomes one module.
    adders : bool
        Full adders become the library's cells, where it has any, and so do the carries of ``+``.
    """

    flat: bool
    adders: bool


_KEPT = Preparation(flat=False, adders=True)


@dataclass(frozen=True)
class Attempt:
    """A way to map logic.

    Attributes
    ----------
    script : str
        Which of the recipes' scripts for ABC.
    budget_ns : float
        How long a path through the logic may be, for the scripts that heed it.
    order : int or None
        The smallest cell of each function alone, in this order; None: every cell.
    """

    script: str
    budget_ns: float = 0.0
    order: int | None = None

    @property
    def picoseconds(self) -> int:
        """The budget as ABC counts it, which takes zero for no budget."""
        return max(1, round(1000 * self.budget_ns))


@dataclass(frozen=True)
class Mapped:
    """A netlist of library cells, with the hierarchy of its source.

    Attributes
    ----------
    top : str
    modules : dict of str to Module
        Without the library's cells.
    """

    top: str
    modules: dict[str, Module]

    def area(self, cells: Cells) -> float:
        """Sum of the areas of all cells."""
        return sum(cells.areas[kind] * number for kind, number in self.cells().items())

    @property
    def has_products(self) -> bool:
        """Whether partial products have modules of their own."""
        return any(module.part is Part.PRODUCTS for module in self.modules.values())

    def flat(self, cells: Cells) -> FlatNetlist:
        """The netlist without its hierarchy."""
        return flatten(self.modules, self.top, cells.leaves)

    def instances(self) -> Counter[str]:
        """How often each module occurs in the design, the top once."""
        counts: Counter[str] = Counter()
        waiting = [(self.top, 1)]
        while waiting:
            name, count = waiting.pop()
            counts[name] += count
            children = Counter(cell.kind for cell in self.modules[name].cells)
            waiting += [(kind, count * n) for kind, n in children.items() if kind in self.modules]
        return counts

    def cells(self) -> Counter[str]:
        """Library cells of the whole design, by type."""
        counts: Counter[str] = Counter()
        for name, instances in self.instances().items():
            for kind, number in self.cells_of(name).items():
                counts[kind] += instances * number
        return counts

    def cells_of(self, module: str) -> Counter[str]:
        """Library cells in one module itself, by type."""
        kinds = (cell.kind for cell in self.modules[module].cells)
        return Counter(kind for kind in kinds if kind not in self.modules)


@cache
def recipe_sources() -> dict[str, str]:
    """Text of every file of the recipe, by name."""
    recipes = (path for path in sorted(_RECIPES.iterdir()) if path.is_file())
    return {path.name: path.read_text("utf-8") for path in recipes}


def synthesize(export: Export, library: Library, cells: Cells) -> Mapped:
    """Map a design for the smallest area, module by module.

    The hierarchy is kept, so that alike processing elements and lanes are mapped once and the area
    can be told apart by module. Of each module the smallest of all attempts is kept.

    Parameters
    ----------
    export : Export
    library : Library
    cells : Cells
        Of that library.

    Raises
    ------
    YosysError
        If a step of the recipe fails.
    LibraryError
        If the library's file is no longer there.
    """
    attempts = [Attempt(script, order=0) for script in _SCRIPTS]
    attempts += [Attempt(s, order=order) for order in range(_ORDERS) for s in _ORDERED_SCRIPTS]
    mapped = _smallest(map_design(export, library, cells, attempts), cells.areas)
    modules = alternate_adders(mapped.modules, cells)
    return Mapped(mapped.top, use_complements(modules, mapped.top, cells))


def map_design(
    export: Export,
    library: Library,
    cells: Cells,
    attempts: Sequence[Attempt],
    preparation: Preparation = _KEPT,
    boundary: Boundary | None = None,
) -> list[Mapped]:
    """Map a design, once for each attempt.

    Parameters
    ----------
    export, library, cells
        As for :func:`synthesize`.
    attempts : sequence of Attempt
    preparation : Preparation
        What is done before the logic is mapped.
    boundary : Boundary, optional
        What stands at the ports of the logic; needed where attempts have budgets.
    """
    with temporary_folder() as folder:
        (folder / "cells.lib").write_text(library.text(), "utf-8")
        modules = _prepare(export, cells, preparation, folder)
        for order in {a.order for a in attempts if a.order is not None}:
            (folder / _library_of(order)).write_text(library.text(cells.ordered(order)), "utf-8")
        if boundary is not None:
            # As ABC reads it, which counts in fF.
            sdc = f"set_driving_cell {boundary.driver}\nset_load {boundary.load} [all_outputs]\n"
            (folder / "boundary.sdc").write_text(sdc, "utf-8")
        logic = {name: logic_of(module) for name, module in modules.items() if has_logic(module)}
        mapped = _map_logic(list(logic.values()), cells, attempts, boundary is not None, folder)
    return [
        Mapped(
            export.module, modules | _filled(modules, dict(zip(logic, blifs, strict=True)), cells)
        )
        for blifs in mapped
    ]


def _filled(
    modules: Mapping[str, Module], logic: Mapping[str, str], cells: Cells
) -> dict[str, Module]:
    """Modules with mapped logic."""
    kinds = {**cells.leaves, **modules}
    outputs = {kind: module.outputs.keys() for kind, module in kinds.items()}
    return {name: with_logic(modules[name], blif, outputs) for name, blif in logic.items()}


def _prepare(
    export: Export, cells: Cells, preparation: Preparation, folder: Path
) -> dict[str, Module]:
    """The modules of a design, with registers and full adders of the library and simple gates."""
    adder = cells.full_adder if preparation.adders else None
    (folder / "design.v").write_text(export.verilog, "utf-8")
    (folder / "ripple.v").write_text(recipe_sources()["ripple.v"], "utf-8")
    if adder is not None:
        (folder / "adders.v").write_text(_render("adders.v.j2", **asdict(adder)), "utf-8")
    script = _render(
        "preparation.ys.j2",
        top=export.module,
        flat=preparation.flat,
        ripple=preparation.adders,
        full_adder=adder,
        clock_gate=cells.clock_gate,
        dont_use="".join(f" -dont_use {name}" for name in cells.dont_use),
    )
    find_yosys().run(script, folder)
    modules = json.loads((folder / "prepared.json").read_text("utf-8"))["modules"]
    return {name: Module.from_json(name, module) for name, module in modules.items()}


def _map_logic(
    logic: Sequence[str],
    cells: Cells,
    attempts: Sequence[Attempt],
    constrained: bool,
    folder: Path,
) -> list[list[str]]:
    """What each attempt makes of each logic, in BLIF.

    ABC runs once for all of them: it takes longer to start than to map a module.
    """
    for i, blif in enumerate(logic):
        (folder / f"{i}.blif").write_text(blif, "utf-8")
    script = _render(
        "mapping.abc.j2",
        attempts=attempts,
        library_of=_library_of,
        modules=range(len(logic)),
        dont_use=cells.dont_use,
        constrained=constrained,
    )
    (folder / "mapping.abc").write_text(script, "utf-8")
    find_yosys().run(recipe_sources()["mapping.ys"], folder)
    return [
        [(folder / f"{i}_{attempt}.blif").read_text("utf-8") for i in range(len(logic))]
        for attempt in range(len(attempts))
    ]


def _library_of(order: int | None) -> str:
    """The file that an attempt maps to."""
    return "cells.lib" if order is None else f"cells{order}.lib"


def _render(template: str, **values: Any) -> str:
    return _TEMPLATES.get_template(template).render(**values)


def _smallest(attempts: list[Mapped], areas: dict[str, float]) -> Mapped:
    """The smallest version of each module: their ports are the same in all."""

    def area(module: Module) -> float:
        return sum(areas.get(cell.kind, 0.0) for cell in module.cells)

    first = attempts[0]
    modules = {name: min((a.modules[name] for a in attempts), key=area) for name in first.modules}
    return Mapped(first.top, modules)
