"""Full adders with few inverters between them.

The complements of all inputs of a full adder give the complements of its outputs. So each full
adder may take its inputs and give its outputs in either polarity, whatever its cell does. Where
the cell's outputs are both inverted, adders that follow one another alternate, and the inverters
between them go.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from dintmac.synth.cells import Cells
from dintmac.synth.netlist import Bit, Cell, Module

__all__ = ["alternate_adders"]

#: Constants have a complement without an inverter.
_CONSTANTS: Mapping[Bit, Bit] = {"0": "1", "1": "0", "x": "x"}

#: The search begins so often, each time elsewhere, and ends where no single change saves an
#: inverter. The best end was seen to have a quarter fewer than others.
_STARTS = 8

#: A net that no inverter drives, and whether its complement is meant.
_Literal = tuple[Bit, bool]


def alternate_adders(modules: Mapping[str, Module], cells: Cells) -> dict[str, Module]:
    """A mapped design with a polarity for each full adder that saves inverters.

    It is left as it is where the outputs of full adders are not both inverted.

    Parameters
    ----------
    modules : mapping of str to Module
        Without the library's cells.
    cells : Cells
        Of its library.
    """
    adder = cells.full_adder
    if adder is None or not (adder.inverted_total and adder.inverted_carry):
        return dict(modules)
    kinds = {**cells.leaves, **modules}
    outputs = {kind: module.outputs.keys() for kind, module in kinds.items()}
    return {name: _alternated(_Adders(m, outputs, cells), m) for name, m in modules.items()}


def _alternated(adders: _Adders, module: Module) -> Module:
    found = (adders.improved(adders.drawn(seed)) for seed in range(_STARTS))
    flipped = min(found, key=adders.inverters)
    return adders.rewritten(flipped) if adders.inverters(flipped) < adders.inverters(()) else module


class _Adders:
    """The full adders of a module, what they read and what reads them.

    An adder that is flipped takes the complements of its inputs and gives those of its outputs.
    """

    def __init__(self, module: Module, outputs: Mapping[str, Container[str]], cells: Cells) -> None:
        adder = cells.full_adder.cell if cells.full_adder else ""
        (self._in,) = cells.models[cells.inverter].inputs
        (self._out,) = cells.models[cells.inverter].outputs
        self._module = module
        self._outputs = outputs
        self._inverter = cells.inverter
        self._inverters = {
            c.pins[self._out][0]: c for c in module.cells if c.kind == self._inverter
        }
        self._adders = {cell.name: cell for cell in module.cells if cell.kind == adder}
        self._sources = {
            bit: cell.name
            for cell in self._adders.values()
            for pin, (bit,) in cell.pins.items()
            if pin in outputs[cell.kind]
        }
        #: For each net: how it is read, and by which adder, if by one.
        self._reads: dict[Bit, set[tuple[bool, str]]] = defaultdict(set)
        for cell in module.cells:
            if cell.kind != self._inverter:
                self._read(self._inputs(cell), cell.name if cell.kind == adder else "")
        self._read((bit for bits in module.outputs.values() for bit in bits), "")
        #: For each adder: the nets whose inverters hang on it.
        self._nets: dict[str, set[Bit]] = {name: set() for name in self._adders}
        for net, reads in self._reads.items():
            for name in {self._sources.get(net, ""), *(reader for _, reader in reads)} - {""}:
                self._nets[name].add(net)

    def _read(self, bits: Iterable[Bit], reader: str) -> None:
        for bit in bits:
            net, inverted = self._literal(bit)
            self._reads[net].add((inverted, reader))

    def _inputs(self, cell: Cell) -> Iterable[Bit]:
        outputs = self._outputs[cell.kind]
        return (bit for pin, bits in cell.pins.items() if pin not in outputs for bit in bits)

    def _literal(self, bit: Bit) -> _Literal:
        inverted = False
        while bit in self._inverters:
            bit, inverted = self._inverters[bit].pins[self._in][0], not inverted
        return bit, inverted

    def _is_inverted(self, literal: _Literal, reader: str, flipped: Container[str]) -> bool:
        net, inverted = literal
        return inverted ^ (self._sources.get(net, "") in flipped) ^ (reader in flipped)

    def _count(self, nets: Iterable[Bit], flipped: Container[str]) -> int:
        return sum(
            net not in _CONSTANTS
            and any(self._is_inverted((net, i), reader, flipped) for i, reader in self._reads[net])
            for net in nets
        )

    def inverters(self, flipped: Container[str]) -> int:
        """How many inverters it takes."""
        return self._count(self._reads, flipped)

    def drawn(self, seed: int) -> set[str]:
        """Half of the adders, the same for a seed."""
        draw = random.Random(seed)
        return {name for name in self._adders if draw.random() < 0.5}

    def improved(self, flipped: set[str]) -> set[str]:
        """What is flipped after all single changes that save inverters."""
        changing = True
        while changing:
            changing = False
            for name, nets in self._nets.items():
                changed = flipped ^ {name}
                if self._count(nets, changed) < self._count(nets, flipped):
                    flipped, changing = changed, True
        return flipped

    def rewritten(self, flipped: set[str]) -> Module:
        """The module with some adders flipped, and with one inverter for each net that needs it."""
        known = {c.pins[self._in][0]: c for c in reversed(self._inverters.values())}
        nets = [bits for cell in self._module.cells for bits in cell.pins.values()]
        nets += [*self._module.inputs.values(), *self._module.outputs.values()]
        fresh = itertools.count(max(b for bits in nets for b in bits if isinstance(b, int)) + 1)
        inverters: dict[Bit, Cell] = {}

        def connected(bits: tuple[Bit, ...], reader: str = "") -> tuple[Bit, ...]:
            return tuple(net_of(self._literal(bit), reader) for bit in bits)

        def net_of(literal: _Literal, reader: str) -> Bit:
            net, _ = literal
            if not self._is_inverted(literal, reader, flipped):
                return net
            if net in _CONSTANTS:
                return _CONSTANTS[net]
            if net not in inverters:
                pins: dict[str, tuple[Bit, ...]] = {self._in: (net,), self._out: (next(fresh),)}
                new = Cell(f"inverter_{pins[self._out][0]}", self._inverter, pins)
                inverters[net] = known.get(net, new)
            return inverters[net].pins[self._out][0]

        cells = [
            replace(
                cell,
                pins={
                    pin: bits if pin in self._outputs[cell.kind] else connected(bits, cell.name)
                    for pin, bits in cell.pins.items()
                },
            )
            for cell in self._module.cells
            if cell.kind != self._inverter
        ]
        outputs = {port: connected(bits) for port, bits in self._module.outputs.items()}
        return replace(self._module, outputs=outputs, cells=(*cells, *inverters.values()))
