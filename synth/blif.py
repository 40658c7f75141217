"""The logic of a module in BLIF, the Berkeley Logic Interchange Format, for ABC and from it."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace

from dintmac.synth.netlist import Bit, Cell, Module, NetlistError

__all__ = ["COVERS", "has_logic", "logic_of", "with_logic"]

#: Simple gates: their input pins, and a smallest cover of what they do. Covers matter: ABC makes
#: nodes of them, and logic that is mapped as it is written keeps these nodes.
COVERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "$_NOT_": ("A", ("0",)),
    "$_AND_": ("AB", ("11",)),
    "$_NAND_": ("AB", ("0-", "-0")),
    "$_OR_": ("AB", ("1-", "-1")),
    "$_NOR_": ("AB", ("00",)),
    "$_XOR_": ("AB", ("10", "01")),
    "$_XNOR_": ("AB", ("11", "00")),
    "$_ANDNOT_": ("AB", ("10",)),
    "$_ORNOT_": ("AB", ("1-", "-0")),
    "$_MUX_": ("ABS", ("1-0", "-11")),
}
#: Constants as names of nets. What is unknown is zero, as in Yosys' own BLIF.
_CONSTANTS: Mapping[Bit, str] = {"0": "zero", "1": "one", "x": "zero", "z": "zero"}
#: Cells that ABC makes up where a library has none for constants.
_CONSTANT_CELLS: Mapping[str, Bit] = {"_const0_": "0", "_const1_": "1"}


def has_logic(module: Module) -> bool:
    """Whether a module holds simple gates."""
    return any(_is_logic(cell) for cell in module.cells)


def logic_of(module: Module) -> str:
    """The simple gates of a module as BLIF.

    A net is ``n`` and its number. Inputs are the nets that no gate drives, outputs those that
    other cells or ports read.
    """
    gates = [cell for cell in module.cells if _is_logic(cell)]
    driven = dict.fromkeys(_output(gate) for gate in gates)
    read = dict.fromkeys(bit for gate in gates for bit in _inputs(gate))
    others = [bits for cell in module.cells if not _is_logic(cell) for bits in cell.pins.values()]
    outside = {bit for bits in (*module.outputs.values(), *others) for bit in bits}
    lines = [
        ".model logic",
        _line(".inputs", (bit for bit in read if bit not in driven and bit not in _CONSTANTS)),
        _line(".outputs", (bit for bit in driven if bit in outside)),
        ".names zero",
        ".names one\n1",
    ]
    for gate in gates:
        lines.append(_line(".names", [*_inputs(gate), _output(gate)]))
        lines += [f"{row} 1" for row in COVERS[gate.kind][1]]
    return "\n".join([*lines, ".end", ""])


def with_logic(module: Module, blif: str, outputs: Mapping[str, Container[str]]) -> Module:
    """A module with mapped logic in place of its simple gates.

    Parameters
    ----------
    module : Module
        What :func:`logic_of` wrote.
    blif : str
        What ABC made of that.
    outputs : mapping of str to container of str
        Output pins of every cell and module.

    Raises
    ------
    NetlistError
        If there is more than cells in the BLIF.
    """
    kept = [cell for cell in module.cells if not _is_logic(cell)]
    nets = _Nets(module)
    constants: dict[Bit, Bit] = {}
    for kind, pins in _gates(blif):
        bits: dict[str, tuple[Bit, ...]] = {pin: (nets[name],) for pin, name in pins.items()}
        if kind in _CONSTANT_CELLS:
            constants.update((bit, _CONSTANT_CELLS[kind]) for bit, *_ in bits.values())
        else:
            name = next(pins[pin] for pin in pins if pin in outputs[kind])
            kept.append(Cell(f"logic_{name}", kind, bits))

    def connected(ports: Mapping[str, tuple[Bit, ...]]) -> dict[str, tuple[Bit, ...]]:
        return {
            port: tuple(constants.get(bit, bit) for bit in bits) for port, bits in ports.items()
        }

    cells = tuple(replace(cell, pins=connected(cell.pins)) for cell in kept)
    return replace(module, outputs=connected(module.outputs), cells=cells)


class _Nets(dict[str, Bit]):
    """Nets by name; a name that is new gets a number that is new."""

    def __init__(self, module: Module) -> None:
        pins = [bits for cell in module.cells for bits in cell.pins.values()]
        ports = [*module.inputs.values(), *module.outputs.values()]
        numbers = {bit for bits in (*pins, *ports) for bit in bits if isinstance(bit, int)}
        super().__init__({f"n{number}": number for number in numbers})
        self._fresh = itertools.count(1 + max(numbers, default=0))

    def __missing__(self, name: str) -> Bit:
        return self.setdefault(name, next(self._fresh))


def _is_logic(cell: Cell) -> bool:
    return cell.kind in COVERS


def _output(gate: Cell) -> Bit:
    return gate.pins["Y"][0]


def _inputs(gate: Cell) -> Iterator[Bit]:
    return (gate.pins[pin][0] for pin in COVERS[gate.kind][0])


def _line(command: str, bits: Iterable[Bit]) -> str:
    return " ".join([command, *(_CONSTANTS.get(bit, f"n{bit}") for bit in bits)])


def _gates(blif: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Cells of mapped logic: their kinds, and the names of the nets at their pins."""
    for line in blif.replace("\\\n", " ").splitlines():
        command, *words = line.split() or [""]
        if command == ".gate":
            kind, *pins = words
            yield kind, {pin: net for pin, _, net in (word.partition("=") for word in pins)}
        elif command not in ("", "#", ".model", ".inputs", ".outputs", ".end"):
            raise NetlistError(f"mapped logic must be cells alone, not {line!r}")
