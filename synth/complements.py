"""Inverters behind registers become the registers' complementary outputs.

Flip-flops often have a second output, the complement of the first. Yosys' mappers use one alone and
add inverters, also in modules far from the register. Where a library has the second output for less
than an inverter, each inverter goes whose input comes from a register in every instance of its
module; its module gets a port for the complement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dintmac.synth.cells import Cells
from dintmac.synth.netlist import Bit, Cell, Module, expressions

__all__ = ["Complementary", "complementary", "use_complements"]


@dataclass(frozen=True)
class Complementary:
    """A flip-flop with two outputs.

    Attributes
    ----------
    kind, out, complement : str
        The cell, its output and the complement of that.
    """

    kind: str
    out: str
    complement: str


def complementary(cells: Cells) -> dict[str, Complementary]:
    """For each flip-flop with one output, as it is used, what has the complement besides.

    Only flip-flops are there whose complement takes less area than an inverter. They have the same
    pins, and a pin more at most.
    """
    found: dict[str, Complementary] = {}
    usable = sorted(cells.flip_flops - set(cells.dont_use), key=lambda kind: cells.areas[kind])
    for kind in usable:
        outputs = expressions(cells.models[kind])
        limit = cells.areas[kind] + cells.areas[cells.inverter]
        for other in usable:
            pair = _complement(expressions(cells.models[other]), outputs)
            same = cells.models[other].inputs.keys() == cells.models[kind].inputs.keys()
            if pair and same and cells.areas[other] < limit:
                found.setdefault(kind, Complementary(other, *pair))
    return found


def _complement(outputs: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, str] | None:
    """The pin of ``outputs`` that has the first function wanted, and its complement's pin."""
    out, function = next(iter(wanted.items()))
    if outputs.get(out) != function:
        return None
    others = (pin for pin, other in outputs.items() if other == f"~{function}")
    return next(((out, pin) for pin in others), None)


def use_complements(modules: Mapping[str, Module], top: str, cells: Cells) -> dict[str, Module]:
    """A design with complementary outputs in place of inverters, where they are smaller.

    Parameters
    ----------
    modules : mapping of str to Module
        A mapped design, without the library's cells.
    top : str
    cells : Cells
        Of its library.
    """
    pairs = complementary(cells)
    if not pairs:
        return dict(modules)
    order = list(_from_the_top(modules, top))
    registered = _registered_ports(modules, order, pairs)
    wanted: dict[str, dict[tuple[str, int], str]] = {}
    result = dict(modules)
    for name in reversed(order):
        rewriting = _Rewriting(modules[name], registered[name], wanted, pairs, cells)
        result[name] = rewriting.result()
        wanted[name] = rewriting.ports
    return result


def _from_the_top(modules: Mapping[str, Module], top: str) -> Iterator[str]:
    """All modules of a design, each after those that have instances of it."""
    parents: dict[str, set[str]] = {top: set()}
    waiting = [top]
    while waiting:
        parent = waiting.pop()
        for kind in sorted(modules[parent].kinds & modules.keys()):
            waiting += [kind] * (kind not in parents)
            parents.setdefault(kind, set()).add(parent)
    done: set[str] = set()
    while len(done) < len(parents):
        name = next(n for n in parents if n not in done and parents[n] <= done)
        done.add(name)
        yield name


def _registered_ports(
    modules: Mapping[str, Module], order: list[str], pairs: Mapping[str, Complementary]
) -> dict[str, set[Bit]]:
    """Of each module the input bits that come from such a register in every instance."""
    known: dict[str, set[Bit]] = {order[0]: set()}
    for name in order:
        ports = known.setdefault(name, set())
        sources = ports | set(_registers(modules[name], pairs))
        for cell in modules[name].cells:
            if cell.kind not in modules:
                continue
            child = modules[cell.kind]
            bits = {
                bit
                for port, inner in child.inputs.items()
                for bit, net in zip(inner, cell.pins[port], strict=True)
                if net in sources
            }
            known[cell.kind] = known[cell.kind] & bits if cell.kind in known else bits
    return known


def _registers(module: Module, pairs: Mapping[str, Complementary]) -> dict[Bit, Cell]:
    """The registers of a module that have a complement, by their output."""
    return {
        cell.pins[pairs[cell.kind].out][0]: cell
        for cell in module.cells
        if cell.kind in pairs and pairs[cell.kind].out in cell.pins
    }


class _Rewriting:
    """A module without the inverters; ``ports`` are those it gets, by the bits they complement."""

    def __init__(
        self,
        module: Module,
        registered: set[Bit],
        wanted: Mapping[str, Mapping[tuple[str, int], str]],
        pairs: Mapping[str, Complementary],
        cells: Cells,
    ) -> None:
        self._module = module
        self._wanted = wanted
        self._pairs = pairs
        self._registers = _registers(module, pairs)
        self._sources = registered | self._registers.keys()
        (self._in,) = cells.models[cells.inverter].inputs
        (self._out,) = cells.models[cells.inverter].outputs
        self._inverter = cells.inverter
        nets = [bits for cell in module.cells for bits in cell.pins.values()]
        nets += [*module.inputs.values(), *module.outputs.values()]
        self._fresh = 1 + max((b for bits in nets for b in bits if isinstance(b, int)), default=1)
        #: The net of each complement, and nets that others stand for.
        self._complements = {
            bit: cell.pins[pairs[cell.kind].complement][0]
            for bit, cell in self._registers.items()
            if pairs[cell.kind].complement in cell.pins
        }
        self._merged: dict[Bit, Bit] = {}
        self.ports: dict[tuple[str, int], str] = {}

    def result(self) -> Module:
        """The module."""
        kept = [cell for cell in self._module.cells if not self._absorbed(cell)]
        kept = [self._connected(cell) for cell in kept]
        ports = {
            bit: (port, i)
            for port, bits in self._module.inputs.items()
            for i, bit in enumerate(bits)
        }
        inputs = dict(self._module.inputs)
        for bit, net in self._complements.items():
            if bit not in self._registers:
                port, i = ports[bit]
                self.ports[port, i] = f"{port}_{i}_complement"
                inputs[self.ports[port, i]] = (net,)
        kept = [self._with_complement(cell) for cell in kept]
        outputs = {port: self._renamed(bits) for port, bits in self._module.outputs.items()}
        return replace(self._module, inputs=inputs, outputs=outputs, cells=tuple(kept))

    def _absorbed(self, cell: Cell) -> bool:
        if cell.kind != self._inverter or cell.pins[self._in][0] not in self._sources:
            return False
        out = cell.pins[self._out][0]
        net = self._complements.setdefault(cell.pins[self._in][0], out)
        if net != out:
            self._merged[out] = net
        return True

    def _connected(self, cell: Cell) -> Cell:
        """An instance with the ports that its module got."""
        pins = dict(cell.pins)
        for (port, i), name in self._wanted.get(cell.kind, {}).items():
            pins[name] = (self._complement(cell.pins[port][i]),)
        return replace(cell, pins=pins)

    def _complement(self, bit: Bit) -> Bit:
        if bit not in self._complements:
            self._complements[bit] = self._fresh
            self._fresh += 1
        return self._complements[bit]

    def _with_complement(self, cell: Cell) -> Cell:
        pins = {pin: self._renamed(bits) for pin, bits in cell.pins.items()}
        pair = self._pairs.get(cell.kind)
        if pair is None or pair.out not in pins or pins[pair.out][0] not in self._complements:
            return replace(cell, pins=pins)
        pins[pair.complement] = (self._complements[pins[pair.out][0]],)
        return replace(cell, kind=pair.kind, pins=pins)

    def _renamed(self, bits: tuple[Bit, ...]) -> tuple[Bit, ...]:
        return tuple(self._merged.get(bit, bit) for bit in bits)
