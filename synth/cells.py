"""What the cells of a library do, found from their functions rather than from their names."""

from __future__ import annotations

import fnmatch
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dintmac.golden.files import temporary_folder
from dintmac.hdl.yosys import YosysError, find_yosys
from dintmac.synth.cache import Cache, code_of, key_of
from dintmac.synth.liberty import CellFacts, Library, LibraryError, area_of
from dintmac.synth.netlist import ClockGate, Module, NetlistError, expressions, truth_tables

__all__ = ["Adder", "Cells", "cells_of"]

#: Cells that map as logic but are something else: isolation, retention and probing in SkyWater's
#: libraries, whose Liberty files do not say ``dont_use``.
DONT_USE = ("*lpflow*", "*probe*", "*edf*")

_READ = """\
read_liberty -ignore_miss_func -ignore_miss_dir -ignore_miss_data_latch -ignore_buses cells.lib
write_json cells.json
"""

#: Which cell becomes of a flip-flop. Scan flip-flops are none to Yosys, whatever they could do.
_REGISTER = "module register (input C, D, output Q); \\$_DFF_P_ q (.C(C), .D(D), .Q(Q)); endmodule"
_MAP_REGISTER = """\
read_verilog -icells register.v
dfflibmap -liberty cells.lib
write_json register.json
"""


@dataclass(frozen=True)
class Adder:
    """A full adder.

    Attributes
    ----------
    cell : str
    inputs : tuple of str
    total, carry : str
        Output pins.
    inverted_total, inverted_carry : bool
        Whether the pin is the complement.
    """

    cell: str
    inputs: tuple[str, ...]
    total: str
    carry: str
    inverted_total: bool
    inverted_carry: bool


@dataclass(frozen=True)
class Cells:
    """The cells of a library, as synthesis and simulation need them.

    Attributes
    ----------
    areas : dict of str to float
        Area of every cell that has one, in the library's unit.
    models : dict of str to Module
        Cells that have functions, made of Yosys' simple gates.
    flip_flops : frozenset of str
    dont_use : tuple of str
        Names that mappers must leave alone: what the library's author bars, what has no function
        or no area above zero, and flip-flops in whose place another with an inverter is smaller.
    stronger : tuple of str
        Cells that do what a smaller one does: greater drive strengths and delay cells.
    inverter, buffer : str
        The smallest; for ``buffer`` the inverter where there is none.
    full_adder : Adder or None
        The smallest. (Half adders are left to ABC: mapped to cells of their own, every AND of two
        bits that also meet in an XOR becomes one, and areas grow by half.)
    clock_gate : ClockGate or None
        The smallest, if possible without test pins.
    clock_gates : dict of str to ClockGate
    """

    areas: dict[str, float]
    models: dict[str, Module]
    flip_flops: frozenset[str]
    dont_use: tuple[str, ...]
    stronger: tuple[str, ...]
    inverter: str
    buffer: str
    full_adder: Adder | None
    clock_gate: ClockGate | None
    clock_gates: dict[str, ClockGate]

    def ordered(self, order: int) -> list[str]:
        """The smallest usable cell of each function, by area.

        Mappers take the first of equal cells, and builds of Yosys sort them each in its own way:
        by area all agree, and ``order`` is the number of one of many orders of equal areas.
        """
        kept = self.areas.keys() - {*self.dont_use, *self.stronger}
        return sorted(kept, key=lambda name: (self.areas[name], key_of(order, name)))

    @property
    def leaves(self) -> dict[str, Module]:
        """Every cell that a netlist is made of, with its outputs; clock gates have no model."""
        gates = {kind: Module(kind, {}, {g.out: ()}, ()) for kind, g in self.clock_gates.items()}
        return self.models | gates


def cells_of(library: Library, cache: Cache | None = None) -> Cells:
    """Analyse a library; the part that Yosys does is kept in the cache.

    Raises
    ------
    LibraryError
        If Yosys does not read it or reads other areas, or it lacks an inverter, a two-input NAND
        or NOR, or a flip-flop with a rising edge, among the cells with an area.
    """
    cache = cache or Cache()
    code = code_of("dintmac.synth.cells", without="amaranth")
    key = key_of("cells", library.sha256, find_yosys().version, code)
    stored = cache.load(key)
    if stored is None:
        modules = _read_with_yosys(library)
        usable = _usable(library, _models(modules))
        stored = {"modules": modules, "register": _map_register(library, usable)}
        cache.store(key, stored)
    return _classify(library, _models(stored["modules"]), stored["register"])


def _models(modules: Mapping[str, Any]) -> dict[str, Module]:
    return {name: Module.from_json(name, module) for name, module in modules.items()}


def _read_with_yosys(library: Library) -> dict[str, Any]:
    """Yosys' JSON of every cell that has a function, without attributes."""
    with temporary_folder() as folder:
        (folder / "cells.lib").write_text(library.text(), "utf-8")
        try:
            find_yosys().run(_READ, folder)
        except YosysError as error:
            raise LibraryError(
                f"library must be a Liberty file that Yosys reads, "
                f"but {library.where} is not: {error}"
            ) from None
        modules = json.loads((folder / "cells.json").read_text("utf-8"))["modules"]
    _compare_areas(library, modules)
    keep = ("ports", "cells")
    return {
        name: {part: _bare(module[part]) for part in keep}
        for name, module in modules.items()
        if module["cells"] or any(p["direction"] == "output" for p in module["ports"].values())
    }


def _compare_areas(library: Library, modules: Mapping[str, Any]) -> None:
    for name, module in modules.items():
        theirs, ours = area_of(module["attributes"].get("area")), library.facts[name].area
        if theirs != ours:
            raise LibraryError(
                f"library must state areas that all tools read alike, but cell {name!r} of "
                f"{library.where} has {ours}, and {theirs} to Yosys"
            )


def _bare(parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    keep = ("type", "connections", "direction", "bits")
    return {name: {k: v for k, v in part.items() if k in keep} for name, part in parts.items()}


def _map_register(library: Library, usable: Iterable[Module]) -> list[str]:
    """The cells that Yosys makes a flip-flop of; none if it cannot."""
    with temporary_folder() as folder:
        (folder / "cells.lib").write_text(library.text(m.name for m in usable), "utf-8")
        (folder / "register.v").write_text(_REGISTER, "utf-8")
        try:
            find_yosys().run(_MAP_REGISTER, folder)
        except YosysError:
            return []
        register = json.loads((folder / "register.json").read_text("utf-8"))["modules"]["register"]
    return sorted({cell["type"] for cell in register["cells"].values()})


def _usable(library: Library, models: Mapping[str, Module]) -> list[Module]:
    """Cells that mappers may use: those with a function and an area that nobody bars."""
    areas = _areas(library)
    usable = [m for n, m in models.items() if n in areas and not _is_barred(n, library.facts[n])]
    dear = _dear_registers(usable, areas)
    return [module for module in usable if module.name not in dear]


def _areas(library: Library) -> dict[str, float]:
    return {name: fact.area for name, fact in library.facts.items() if fact.area is not None}


def _dear_registers(modules: list[Module], areas: Mapping[str, float]) -> set[str]:
    """Flip-flops that are larger than one that gives the complement, with an inverter.

    Yosys never takes the latter where there is one of the former.
    """
    held = {module.name: _is_complemented(module) for module in modules if _is_flip_flop(module)}
    plain = {name for name, complemented in held.items() if complemented is False}
    complemented = [areas[name] for name, complemented in held.items() if complemented]
    inverter = _smallest(_gates(modules), areas, _INVERTER)
    if not inverter or not complemented:
        return set()
    limit = min(complemented) + areas[inverter]
    return plain if all(areas[name] > limit for name in plain) else set()


def _is_complemented(module: Module) -> bool | None:
    """Whether a D flip-flop gives the complement alone; None if it has inputs beside D."""
    if len(module.inputs) != 2:
        return None
    functions = set(expressions(module).values())
    for clock, data in itertools.permutations(module.inputs):
        register = f"$_DFF_P_(C={clock}, D={data})"
        if {register, f"~{register}"} & functions:
            return register not in functions
    return None


def _classify(library: Library, models: Mapping[str, Module], register: Sequence[str]) -> Cells:
    usable = _usable(library, models)
    gates = _gates(usable)
    registers = [models[kind] for kind in register if kind in models]
    _check_basics(library, gates, registers)
    facts = library.facts
    areas = _areas(library)
    # Clock gates are often marked dont_use, because not mappers but clock gating is to use them.
    clock_gates = {name: gate for name in areas if (gate := _clock_gate(name, facts[name]))}
    return Cells(
        areas=areas,
        models=dict(models),
        flip_flops=frozenset(name for name, m in models.items() if _is_flip_flop(m)),
        dont_use=tuple(sorted(facts.keys() - {module.name for module in usable})),
        stronger=_stronger(usable, areas),
        inverter=_smallest(gates, areas, _INVERTER),
        buffer=_smallest(gates, areas, _BUFFER) or _smallest(gates, areas, _INVERTER),
        full_adder=_smallest_full_adder(gates, areas),
        clock_gate=min(
            clock_gates.values(), key=lambda g: (len(g.test), areas[g.cell], g.cell), default=None
        ),
        clock_gates=clock_gates,
    )


#: Truth tables of one input.
_INVERTER, _BUFFER = 0b01, 0b10


@dataclass(frozen=True)
class _Gate:
    """A small combinational cell and the truth table of each output."""

    module: Module
    tables: dict[str, int]


def _gates(modules: Iterable[Module]) -> list[_Gate]:
    return [_Gate(module, tables) for module in modules if (tables := _tables(module))]


def _is_barred(name: str, facts: CellFacts) -> bool:
    return facts.dont_use or any(fnmatch.fnmatch(name.lower(), pattern) for pattern in DONT_USE)


def _is_flip_flop(module: Module) -> bool:
    return any(kind.startswith("$_DFF") for kind in module.kinds)


def _stronger(modules: list[Module], areas: Mapping[str, float]) -> tuple[str, ...]:
    smallest: dict[object, str] = {}
    # Yosys writes equal functions on equal pins in the same way.
    by_area = sorted(modules, key=lambda module: (areas[module.name], module.name))
    for module in by_area:
        cells = tuple((cell.kind, tuple(sorted(cell.pins.items()))) for cell in module.cells)
        ports = tuple(module.inputs.items()), tuple(module.outputs.items())
        smallest.setdefault((ports, cells), module.name)
    kept = set(smallest.values())
    return tuple(sorted(module.name for module in modules if module.name not in kept))


def _takes_rising_edge(module: Module) -> bool:
    """Whether the clock pin goes to a flip-flop as it is; Yosys inverts it for falling edges."""
    pins = {bit for bits in module.inputs.values() for bit in bits}
    return any(
        cell.kind.startswith(("$_DFF_P", "$_DFFSR_P")) and cell.pins["C"][0] in pins
        for cell in module.cells
    )


def _tables(module: Module) -> dict[str, int]:
    """Truth tables of a cell of up to three inputs; empty for all others."""
    if not 1 <= len(module.inputs) <= 3:
        return {}
    try:
        return truth_tables(module)
    except NetlistError:
        return {}


def _check_basics(library: Library, gates: list[_Gate], registers: list[Module]) -> None:
    found = {(len(g.module.inputs), table) for g in gates for table in g.tables.values()}
    has = {
        "inverter": (1, _INVERTER) in found,
        "NAND2 or NOR2": bool({(2, 0b0111), (2, 0b0001)} & found),
        "rising-edge flip-flop": any(map(_takes_rising_edge, registers)),
    }
    missing = [name for name, present in has.items() if not present]
    if missing:
        raise LibraryError(
            f"library must have cells to map to, but {library.where} "
            f"has no {' and no '.join(missing)}{library.left_alone and '; '}{library.left_alone}"
        )


_ROLES = ("clock", "enable", "out", "test")


def _clock_gate(name: str, facts: CellFacts) -> ClockGate | None:
    if not facts.clock_gate:
        return None
    pins = {role: [p for p, r in facts.roles.items() if r == role] for role in _ROLES}
    if any(len(pins[role]) != 1 for role in ("clock", "enable", "out")):
        return None
    (clock,), (enable,), (out,) = pins["clock"], pins["enable"], pins["out"]
    return ClockGate(name, clock, enable, out, tuple(pins["test"]))


def _smallest(gates: list[_Gate], areas: Mapping[str, float], table: int) -> str:
    """The smallest cell of one input and one output with this truth table; empty if none."""
    names = [
        gate.module.name
        for gate in gates
        if len(gate.module.inputs) == 1 and list(gate.tables.values()) == [table]
    ]
    return min(names, key=lambda name: (areas[name], name), default="")


def _smallest_full_adder(gates: list[_Gate], areas: Mapping[str, float]) -> Adder | None:
    adders = [adder for gate in gates if (adder := _full_adder(gate))]
    inverter = _smallest(gates, areas, _INVERTER)

    def cost(adder: Adder) -> tuple[float, int, str]:
        # Two complemented outputs take few inverters (polarity.py), one takes one.
        one = adder.inverted_total != adder.inverted_carry
        both = adder.inverted_total + adder.inverted_carry
        return areas[adder.cell] + one * areas[inverter], both, adder.cell

    return min(adders, key=cost, default=None)


#: Truth tables of three inputs: how many of them are one in each row.
_ONES = [row.bit_count() for row in range(8)]
_PARITY = sum((ones & 1) << row for row, ones in enumerate(_ONES))
_MAJORITY = sum((ones >= 2) << row for row, ones in enumerate(_ONES))
_EVERY_ROW = 0xFF


def _full_adder(gate: _Gate) -> Adder | None:
    """The cell as an adder, if its two outputs are parity and majority or their complements."""
    if len(gate.module.inputs) != 3 or len(gate.tables) != 2:
        return None
    for total, carry in itertools.permutations(gate.tables):
        sums, carries = gate.tables[total], gate.tables[carry]
        if sums in (_PARITY, _PARITY ^ _EVERY_ROW) and carries in (
            _MAJORITY,
            _MAJORITY ^ _EVERY_ROW,
        ):
            return Adder(
                cell=gate.module.name,
                inputs=tuple(gate.module.inputs),
                total=total,
                carry=carry,
                inverted_total=sums != _PARITY,
                inverted_carry=carries != _MAJORITY,
            )
    return None
