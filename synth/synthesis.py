"""Maps exported Verilog to the cells of a library."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from dintmac.hdl.verilog import Export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.cells import Cells
from dintmac.synth.liberty import Library
from dintmac.synth.netlist import Module

__all__ = ["RECIPE", "Mapped", "recipe_sources", "synthesize"]

RECIPE = "area"

_RECIPES = Path(__file__).parent / "recipes"
#: Scripts for ABC, each an attempt.
_SCRIPTS = ("amap", "resub", "nf", "direct_amap", "direct_nf")


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


def recipe_sources() -> dict[str, str]:
    """Text of every file of the recipe, by name."""
    return {path.name: path.read_text() for path in sorted(_RECIPES.iterdir()) if path.is_file()}


def synthesize(export: Export, library: Library, cells: Cells) -> Mapped:
    """Map a design for the smallest area.

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
    with tempfile.TemporaryDirectory(prefix="dintmac-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(export.verilog)
        (folder / "cells.lib").write_text(library.text())
        for script in _SCRIPTS:
            (folder / script).write_text(recipe_sources()[f"{script}.abc"])
        (folder / "ripple.v").write_text(recipe_sources()["ripple.v"])
        if cells.full_adder is not None:
            adders = _render("adders.v.j2", **asdict(cells.full_adder))
            (folder / "adders.v").write_text(adders)
        attempts = _attempts(cells)
        script = _render(
            f"{RECIPE}.ys.j2",
            top=export.module,
            full_adder=cells.full_adder,
            clock_gate=cells.clock_gate,
            dont_use=_options(cells.dont_use),
            attempts=attempts,
        )
        find_yosys().run(script, folder)
        results = [_read(folder / f"attempt_{i + 1}.json") for i in range(len(attempts))]
    return Mapped(export.module, _smallest(results, cells.areas))


def _attempts(cells: Cells) -> list[dict[str, str]]:
    """Each script with all cells, and where cells differ in strength, with the smallest alone.

    The smallest would do for area, but the mappers' results hang on the choice in either way.
    """
    choices = [cells.dont_use]
    if cells.stronger:
        choices.append((*cells.dont_use, *cells.stronger))
    return [
        {"script": script, "dont_use": _options(choice)}
        for choice in choices
        for script in _SCRIPTS
    ]


def _options(dont_use: Sequence[str]) -> str:
    return "".join(f" -dont_use {name}" for name in dont_use)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_RECIPES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def _read(path: Path) -> dict[str, Module]:
    modules = json.loads(path.read_text())["modules"]
    return {name: Module.from_json(name, module) for name, module in modules.items()}


def _smallest(attempts: list[dict[str, Module]], areas: dict[str, float]) -> dict[str, Module]:
    """The smallest version of each module: their ports are the same in all."""

    def area(module: Module) -> float:
        return sum(areas.get(cell.kind, 0.0) for cell in module.cells)

    return {name: min((a[name] for a in attempts), key=area) for name in attempts[0]}
