"""Simulates a mapped netlist, many independent copies at once.

A netlist is flattened to Yosys' simple gates and becomes one Python function without branches: a
net is an integer whose bit i is the net's value in copy i, so a gate is one bitwise operation on
integers as wide as there are copies. Python's integers beat arrays here: the gates of an adder
chain come one after another, and an operation on a thousand copies takes less time than a call
into NumPy. NumPy packs and unpacks the ports.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.hdl.hierarchy import Part
from dintmac.hdl.verilog import PART_ATTRIBUTE

__all__ = [
    "Cell",
    "ClockGate",
    "FlatCell",
    "FlatNetlist",
    "Module",
    "Netlist",
    "NetlistError",
    "Simulation",
    "expressions",
    "flatten",
    "truth_tables",
]

#: Bits of a module: the number of a net or the constants "0", "1", "x" and "z".
Bit = int | str

#: Simple gates as Python expressions; M is all ones.
_GATES = {
    "$_NOT_": "{A} ^ M",
    "$_AND_": "{A} & {B}",
    "$_NAND_": "({A} & {B}) ^ M",
    "$_OR_": "{A} | {B}",
    "$_NOR_": "({A} | {B}) ^ M",
    "$_XOR_": "{A} ^ {B}",
    "$_XNOR_": "{A} ^ {B} ^ M",
    "$_ANDNOT_": "{A} & ({B} ^ M)",
    "$_ORNOT_": "{A} | ({B} ^ M)",
    "$_MUX_": "{A} ^ (({A} ^ {B}) & {S})",
}
_BUFFER = "$_BUF_"
#: Flip-flops: the edge, then polarities of asynchronous set and reset.
_FLIP_FLOP = re.compile(r"\$_DFF_([NP])(?:([NP])[01])?_|\$_DFFSR_([NP])([NP])([NP])_")

_ZERO, _ONE = 0, 1


class NetlistError(ValueError):
    """A netlist cannot be simulated."""


@dataclass(frozen=True)
class ClockGate:
    """A latch-based clock gate for rising-edge flip-flops.

    Attributes
    ----------
    cell, clock, enable, out : str
        The cell and its pins.
    test : tuple of str
        Test enables: the clock passes if one of them is high, too.
    """

    cell: str
    clock: str
    enable: str
    out: str
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """An instance: its name, its type and the bits at its pins."""

    name: str
    kind: str
    pins: dict[str, tuple[Bit, ...]]


@dataclass(frozen=True)
class Module:
    """A module of a netlist.

    Attributes
    ----------
    name : str
    inputs, outputs : dict of str to tuple of Bit
        Ports, least significant bit first.
    cells : tuple of Cell
    names : dict of Bit to str
        Names of nets, as far as the source gives them.
    part : Part
        Where its own logic counts, as the source says it.
    """

    name: str
    inputs: dict[str, tuple[Bit, ...]]
    outputs: dict[str, tuple[Bit, ...]]
    cells: tuple[Cell, ...]
    names: dict[Bit, str] = field(default_factory=dict)
    part: Part = Part.CONTROL

    @classmethod
    def from_json(cls, name: str, module: Mapping[str, Any]) -> Module:
        """From the form that Yosys' ``write_json`` gives it."""
        by_direction: dict[str, dict[str, tuple[Bit, ...]]] = {"input": {}, "output": {}}
        for port, description in module["ports"].items():
            bits = by_direction.setdefault(description["direction"], {})
            bits[port] = tuple(description["bits"])
        cells = (
            Cell(n, c["type"], {pin: tuple(bits) for pin, bits in c["connections"].items()})
            for n, c in module["cells"].items()
        )
        ports = by_direction["input"], by_direction["output"]
        names = dict(_names(module.get("netnames", {})))
        part = Part(module.get("attributes", {}).get(PART_ATTRIBUTE, Part.CONTROL))
        return cls(name, *ports, tuple(cells), names, part)

    @property
    def kinds(self) -> frozenset[str]:
        """Types of the cells."""
        return frozenset(cell.kind for cell in self.cells)


def _names(nets: Mapping[str, Any]) -> Iterator[tuple[Bit, str]]:
    for name, net in nets.items():
        if not net["hide_name"]:
            indices = [f"[{i}]" for i in range(len(net["bits"]))] if len(net["bits"]) > 1 else [""]
            yield from ((bit, f"{name}{i}") for bit, i in zip(net["bits"], indices, strict=True))


@dataclass(frozen=True)
class _Gate:
    """A driver of net ``out``; ``inputs`` are nets by pin."""

    name: str
    kind: str
    inputs: dict[str, int]
    out: int


@dataclass(frozen=True)
class _FlipFlop:
    name: str
    clock: int
    data: int
    out: int
    #: Asynchronous controls and whether each is active high.
    controls: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class FlatCell:
    """An instance of a library's cell: its path, its type, what its module is part of, its nets."""

    name: str
    kind: str
    part: Part
    pins: dict[str, int]


@dataclass(frozen=True)
class FlatNetlist:
    """The library's cells of a design, without its hierarchy.

    Attributes
    ----------
    nets : int
        Number of nets; nets 0 and 1 are the constants.
    inputs, outputs : dict of str to tuple of int
        Nets of the ports, least significant bit first.
    cells : tuple of FlatCell
    names : dict of int to str
        Names of nets, the outermost of each, as far as the source gives them.
    """

    nets: int
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    cells: tuple[FlatCell, ...]
    names: dict[int, str]


def flatten(modules: Mapping[str, Module], top: str, leaves: Mapping[str, Module]) -> FlatNetlist:
    """The cells of a design; an output pin that nothing is connected to gets a net of its own.

    Parameters
    ----------
    modules : mapping of str to Module
        The design.
    top : str
    leaves : mapping of str to Module
        Cells of its library.

    Raises
    ------
    NetlistError
        If ``top`` or the type of a cell is unknown.
    """
    if top not in modules:
        raise NetlistError(f"top must be one of {', '.join(modules)}, not {top!r}")
    flat = _Flattener(modules, {}, leaves)
    ports = flat.add_top(modules[top])
    numbers = {flat.find(_ZERO): _ZERO, flat.find(_ONE): _ONE}

    def number(net: int) -> int:
        return numbers.setdefault(flat.find(net), len(numbers))

    cells = []
    for cell in flat.cells:
        pins = {pin: number(net) for pin, net in cell.pins.items()}
        for pin in leaves[cell.kind].outputs.keys() - pins.keys():
            pins[pin] = numbers.setdefault(-1 - len(numbers), len(numbers))
        cells.append(replace(cell, pins=pins))
    nets = {port: tuple(map(number, bits)) for port, bits in ports.items()}
    return FlatNetlist(
        len(numbers),
        {port: nets[port] for port in modules[top].inputs},
        {port: nets[port] for port in modules[top].outputs},
        tuple(cells),
        {number(net): name for net, name in reversed(flat.given_names)},
    )


class Netlist:
    """A flat netlist with one clock.

    Parameters
    ----------
    modules : mapping of str to Module
        The design and, if it is mapped, the cells of its library.
    top : str
    clock_gates : mapping of str to ClockGate, optional
        Cells that gate the clock.
    clock : str
        Port of the clock; all flip-flops take its rising edge, gated or not.
    probes : mapping of str to sequence of str, optional
        Names of inner nets, such as ``core.resident``, that become an output, lowest bits first.

    Attributes
    ----------
    inputs, outputs : dict of str to int
        Ports without the clock, and their widths; probes come after the other outputs.
    gates, flip_flops : int
        Number of simple gates and registers that outputs depend on.

    Raises
    ------
    NetlistError
        If a cell is unknown, a net is undriven or driven twice, gates form a loop, a flip-flop
        has another clock, an asynchronous reset is in use, or no net has the name of a probe.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        top: str,
        *,
        clock_gates: Mapping[str, ClockGate] | None = None,
        clock: str = "clk",
        probes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if top not in modules:
            raise NetlistError(f"top must be one of {', '.join(modules)}, not {top!r}")
        flat = _Flattener(modules, clock_gates or {})
        ports = flat.add_top(modules[top])
        inner = {port: flat.named(names) for port, names in (probes or {}).items()}
        ports |= inner
        self.inputs = {name: len(ports[name]) for name in modules[top].inputs if name != clock}
        self.outputs = {name: len(ports[name]) for name in [*modules[top].outputs, *inner]}
        clocks = {flat.find(net) for net in ports.get(clock, ())}
        self._input_nets = [flat.find(net) for name in self.inputs for net in ports[name]]
        self._output_nets = [flat.find(net) for name in self.outputs for net in ports[name]]
        self._plan = _Plan(flat, {*self._input_nets, *clocks, _ZERO, _ONE}, clocks)
        self._plan.need(self._output_nets)
        self.gates = len(self._plan.order)
        self.flip_flops = len(self._plan.flip_flops)

    @cached_property
    def step(self) -> Callable[[list[int], list[int], int], tuple[list[int], list[int]]]:
        """``step(inputs, state, mask)`` gives outputs and next state, as planes of bits.

        Planes are in the order of the ports, bit by bit; ``mask`` has a one for each copy.
        """
        namespace: dict[str, Any] = {"NetlistError": NetlistError}
        exec(compile(self._python(), "<netlist>", "exec"), namespace)
        step: Callable[[list[int], list[int], int], tuple[list[int], list[int]]]
        step = namespace["step"]
        return step

    def cycle(
        self, inputs: Mapping[str, list[Any]], state: list[Any], mask: Any
    ) -> tuple[dict[str, list[Any]], list[Any]]:
        """:attr:`step` with planes by port."""
        planes = [plane for port in self.inputs for plane in inputs[port]]
        outputs, state = self.step(planes, state, mask)
        source = iter(outputs)
        by_port = {port: list(itertools.islice(source, n)) for port, n in self.outputs.items()}
        return by_port, state

    def verilog(self, module: str) -> str:
        """The cycle as a Verilog module without registers, for proofs.

        What registers hold is one more input, ``registers``. What they hold after the edge of the
        clock is one more output, ``registers_next``, and ``resets`` another: whether an
        asynchronous reset is active.
        """
        # Operators of Python mean the same in Verilog.
        plan, count = self._plan, self.flip_flops
        inputs = self.inputs | {"registers": count}
        outputs = self.outputs | {"resets": 1, "registers_next": count}
        resets = " | ".join(f"({control})" for control in plan.controls()) or "0"
        sources = zip(_bits(inputs), [*self._input_nets, *plan.flip_flops], strict=True)
        results = [*map(plan.named, self._output_nets), resets, *plan.next()]
        ports = [f"input [{width - 1}:0] {port}" for port, width in inputs.items()]
        ports += [f"output [{width - 1}:0] {port}" for port, width in outputs.items()]
        lines = [f"module {module} ({', '.join(ports)});", "wire M = 1;"]
        lines += [f"wire n{net} = {bit};" for bit, net in sources]
        lines += [f"wire {name} = {expression};" for name, expression in plan.assignments()]
        lines += [f"assign {b} = {r};" for b, r in zip(_bits(outputs), results, strict=True)]
        return "\n".join([*lines, "endmodule", ""])

    def _python(self) -> str:
        """The cycle as a function."""
        plan = self._plan
        lines = ["def step(inputs, state, M):"]
        lines += [f"{_targets(self._input_nets)} = inputs"] if self._input_nets else []
        lines += [f"{_targets(plan.flip_flops)} = state"] if plan.flip_flops else []
        lines += [f"{name} = {expression}" for name, expression in plan.assignments()]
        lines += [
            f"if {control}: raise NetlistError('asynchronous resets must be tied off')"
            for control in plan.controls()
        ]
        outputs = ", ".join(map(plan.named, self._output_nets))
        lines.append(f"return [{outputs}], [{', '.join(plan.next())}]")
        return "\n ".join(lines) + "\n"


def _bits(ports: Mapping[str, int]) -> list[str]:
    """Every bit of ports."""
    return [f"{port}[{i}]" for port, width in ports.items() for i in range(width)]


class _Flattener:
    """Gates, flip-flops and clock gates of all instances, on numbered nets.

    Nets 0 and 1 are the constants. Nets that a buffer or a port joins are one: :meth:`find` gives
    the number that stands for all of them.
    """

    def __init__(
        self,
        modules: Mapping[str, Module],
        clock_gates: Mapping[str, ClockGate],
        leaves: Container[str] = (),
    ):
        self._modules = modules
        self._clock_gate_kinds = clock_gates
        self._leaves = leaves
        #: Instances of the leaves, in which nothing is looked for.
        self.cells: list[FlatCell] = []
        self._parents = [_ZERO, _ONE]
        self.gates: list[_Gate] = []
        self.flip_flops: list[_FlipFlop] = []
        #: Net of a gated clock: name, net of the clock and nets of the enables.
        self.clock_gates: list[tuple[int, str, int, tuple[int, ...]]] = []
        self.names: dict[int, str] = {}
        #: Nets and the names that the source gives them, from the top down.
        self.given_names: list[tuple[int, str]] = []

    def find(self, net: int) -> int:
        while self._parents[net] != net:
            self._parents[net] = self._parents[self._parents[net]]
            net = self._parents[net]
        return net

    def add_top(self, module: Module) -> dict[str, tuple[int, ...]]:
        ports = {
            name: tuple(self._fresh(f"{name}[{i}]") for i in range(len(bits)))
            for name, bits in {**module.inputs, **module.outputs}.items()
        }
        self._add_module(module, ports, "")
        return ports

    def _fresh(self, name: str) -> int:
        net = len(self._parents)
        self._parents.append(net)
        self.names[net] = name
        return net

    def named(self, names: Iterable[str]) -> tuple[int, ...]:
        """Nets of signals, one after another, least significant bit first."""
        nets = {given: net for net, given in self.given_names}
        return tuple(net for name in names for net in _named(name, nets))

    def _join(self, first: int, second: int) -> None:
        first, second = sorted((self.find(first), self.find(second)))
        # The smaller number stands for both, so that constants stay what they are.
        self._parents[second] = first

    def _add_module(self, module: Module, ports: Mapping[str, tuple[int, ...]], path: str) -> None:
        nets: dict[Bit, int] = {"0": _ZERO, "1": _ONE}
        for name, bits in (*module.inputs.items(), *module.outputs.items()):
            for bit, net in zip(bits, ports.get(name, ()), strict=False):
                if bit in nets:
                    self._join(nets[bit], net)
                else:
                    nets[bit] = net

        def net_of(bit: Bit) -> int:
            if isinstance(bit, str) and bit not in nets:
                return self._fresh(f"{path}{module.name}: constant {bit}")
            if bit not in nets:
                nets[bit] = self._fresh(f"{path}{module.name}: net {bit}")
            return nets[bit]

        self.given_names += [(net_of(bit), f"{path}{name}") for bit, name in module.names.items()]
        for cell in module.cells:
            pins = {pin: tuple(net_of(b) for b in bits) for pin, bits in cell.pins.items()}
            if cell.kind in self._leaves:
                single = {pin: nets[0] for pin, nets in pins.items() if nets}
                self.cells.append(FlatCell(f"{path}{cell.name}", cell.kind, module.part, single))
            else:
                self._add_cell(cell, pins, f"{path}{cell.name}")

    def _add_cell(self, cell: Cell, pins: Mapping[str, tuple[int, ...]], path: str) -> None:
        kind = cell.kind
        single = {pin: nets[0] for pin, nets in pins.items() if nets}
        if kind in _GATES:
            self.gates.append(_Gate(path, kind, single, single["Y"]))
        elif kind == _BUFFER:
            self._join(single["A"], single["Y"])
        elif match := _FLIP_FLOP.fullmatch(kind):
            self._add_flip_flop(match, single, path)
        elif kind in self._clock_gate_kinds:
            self._add_clock_gate(self._clock_gate_kinds[kind], single, path)
        elif kind in self._modules:
            self._add_module(self._modules[kind], pins, f"{path}.")
        else:
            raise NetlistError(f"cell {path} must be of a known type, not {kind!r}")

    def _add_flip_flop(self, match: re.Match[str], pins: Mapping[str, int], path: str) -> None:
        edge = match[1] or match[3]
        if edge != "P":
            raise NetlistError(f"flip-flop {path} must take the rising edge of the clock")
        polarities = {"R": match[2] or match[5], "S": match[4]}
        controls = tuple((pins[pin], level == "P") for pin, level in polarities.items() if level)
        self.flip_flops.append(_FlipFlop(path, pins["C"], pins["D"], pins["Q"], controls))

    def _add_clock_gate(self, gate: ClockGate, pins: Mapping[str, int], path: str) -> None:
        enables = tuple(pins[pin] for pin in (gate.enable, *gate.test))
        self.clock_gates.append((pins[gate.out], path, pins[gate.clock], enables))


def _named(name: str, nets: Mapping[str, int]) -> list[int]:
    """Nets of a signal, of all nets by name."""
    if name in nets:
        return [nets[name]]
    bits = (f"{name}[{i}]" for i in itertools.count())
    found = [nets[bit] for bit in itertools.takewhile(nets.__contains__, bits)]
    if not found:
        raise NetlistError(f"probe must be the name of a net, not {name!r}")
    return found


class _Plan:
    """The order in which gates are computed, for what outputs need alone."""

    def __init__(self, flat: _Flattener, known: Iterable[int], clocks: set[int]):
        self._flat = flat
        self._clocks = clocks
        self._known = set(known)
        self._drivers: dict[int, _Gate | _FlipFlop] = {}
        drivers: list[_Gate | _FlipFlop] = [*flat.gates, *flat.flip_flops]
        for driver in drivers:
            net = flat.find(driver.out)
            if net in self._drivers or net in self._known:
                raise NetlistError(f"net {self._name(net)} must have one driver, not two")
            self._drivers[net] = driver
        self._gated = {flat.find(out): (n, c, e) for out, n, c, e in flat.clock_gates}
        self.order: list[tuple[int, _Gate]] = []
        self.flip_flops: dict[int, _FlipFlop] = {}
        self.enables: dict[int, tuple[tuple[int, ...], ...]] = {}

    def _name(self, net: int) -> str:
        return self._flat.names.get(net, f"constant {net}")

    def need(self, nets: Iterable[int]) -> None:
        """Plan all that ``nets`` depend on, through registers as well."""
        self._visit(nets)
        waiting = list(self.flip_flops)
        while waiting:
            for net in waiting:
                flip_flop = self.flip_flops[net]
                self.enables[net] = self._enables(flip_flop)
                controls = (control for control, _ in flip_flop.controls)
                enables = (enable for group in self.enables[net] for enable in group)
                self._visit(map(self._flat.find, (flip_flop.data, *controls, *enables)))
            waiting = [net for net in self.flip_flops if net not in self.enables]

    def _enables(self, flip_flop: _FlipFlop) -> tuple[tuple[int, ...], ...]:
        """Enables of the clock gates between the clock and a flip-flop."""
        enables = []
        net = self._flat.find(flip_flop.clock)
        while net in self._gated:
            _, clock, gate_enables = self._gated[net]
            enables.append(tuple(map(self._flat.find, gate_enables)))
            net = self._flat.find(clock)
        if net not in self._clocks:
            raise NetlistError(
                f"clock of {flip_flop.name} must be the clock port, not {self._name(net)}"
            )
        return tuple(enables)

    def _visit(self, nets: Iterable[int]) -> None:
        """Depth first, without recursion: chains of gates are long."""
        open_nets: set[int] = set()
        stack: list[tuple[int, Iterator[int]]] = [(-1, iter(nets))]
        while stack:
            net, inputs = stack[-1]
            child = next(inputs, None)
            if child is None:
                stack.pop()
                self._close(net)
                open_nets.discard(net)
            elif child in open_nets:
                raise NetlistError(f"gates must form no loop, but one passes {self._name(child)}")
            elif child not in self._known:
                gate = self._driver(child)
                if gate is not None:
                    open_nets.add(child)
                    pins = (n for pin, n in gate.inputs.items() if pin != "Y")
                    stack.append((child, map(self._flat.find, pins)))

    def _driver(self, net: int) -> _Gate | None:
        """The gate that must be computed before ``net`` is known; a register knows it."""
        driver = self._drivers.get(net)
        if driver is None:
            raise NetlistError(f"net {self._name(net)} must have a driver")
        if isinstance(driver, _FlipFlop):
            self.flip_flops[net] = driver
            self._known.add(net)
            return None
        return driver

    def _close(self, net: int) -> None:
        driver = self._drivers.get(net)
        if isinstance(driver, _Gate) and net not in self._known:
            self.order.append((net, driver))
            self._known.add(net)

    def named(self, net: int) -> str:
        """A net in an expression."""
        net = self._flat.find(net)
        return {_ZERO: "0", _ONE: "M"}.get(net, f"n{net}")

    def assignments(self) -> list[tuple[str, str]]:
        """Names and expressions of gates and of conditions under which registers move, in order."""
        gates = []
        for net, gate in self.order:
            pins = {pin: self.named(n) for pin, n in gate.inputs.items()}
            gates.append((f"n{net}", _GATES[gate.kind].format(**pins)))
        conditions = [
            (label, " & ".join(f"({' | '.join(map(self.named, group))})" for group in enables))
            for enables, label in self._labels().items()
        ]
        return gates + conditions

    def controls(self) -> list[str]:
        """Asynchronous controls of registers, high where they are active."""
        return sorted(
            {
                f"{self.named(net)}{'' if high else ' ^ M'}"
                for flip_flop in self.flip_flops.values()
                for net, high in flip_flop.controls
            }
        )

    def next(self) -> list[str]:
        """What registers hold after the edge."""
        labels, states = self._labels(), []
        for net, flip_flop in self.flip_flops.items():
            data, old, enables = self.named(flip_flop.data), f"n{net}", self.enables[net]
            states.append(f"{old} ^ (({old} ^ {data}) & {labels[enables]})" if enables else data)
        return states

    def _labels(self) -> dict[tuple[tuple[int, ...], ...], str]:
        """One name for each condition: hundreds of registers share it."""
        conditions = sorted(set(self.enables.values()))
        return {enables: f"e{i}" for i, enables in enumerate(conditions) if enables}


def _targets(nets: Iterable[int]) -> str:
    # An input that a buffer ties to a constant still takes its place in the list.
    return "".join(f"n{net}, " for net in nets)


class Simulation:
    """``copies`` independent instances of a netlist, side by side.

    In a cycle: :meth:`set` inputs, :meth:`evaluate`, :meth:`get` outputs, :meth:`tick`.

    Parameters
    ----------
    netlist : Netlist
    copies : int
    rng : np.random.Generator
        Gives the registers their contents at power-up, which are not known.
    """

    def __init__(self, netlist: Netlist, copies: int, rng: np.random.Generator) -> None:
        self.netlist = netlist
        self.copies = copies
        self.cycles = 0
        self._mask = (1 << copies) - 1
        random = rng.bytes(netlist.flip_flops * (-(-copies // 8)))
        self._state = _integers(random, netlist.flip_flops, self._mask)
        self._inputs = {name: [0] * width for name, width in netlist.inputs.items()}
        self._outputs: dict[str, list[int]] = {}
        self._next = self._state

    def set(self, port: str, values: NDArray[Any]) -> None:
        """Set an input of all copies until it is set anew.

        Parameters
        ----------
        port : str
        values : integer array, shape (copies,) or (copies, …)
            The port's elements, the first in the least significant bits; each has as many bits
            as fit the port.

        Raises
        ------
        ValueError
            If the port is unknown or its width is no multiple of the number of elements.
        """
        width = self._width(port, self.netlist.inputs)
        elements = values.reshape(self.copies, -1)
        bits = _element_bits(port, width, elements.shape[1])
        as_bytes = np.ascontiguousarray(elements)[..., np.newaxis].view(np.uint8)
        planes = np.unpackbits(as_bytes, axis=-1, count=bits, bitorder="little")
        packed = np.packbits(planes.reshape(self.copies, width).T, axis=1, bitorder="little")
        self._inputs[port] = _integers(packed.tobytes(), width, self._mask)

    def evaluate(self) -> None:
        """Compute outputs and next state from inputs and state."""
        self._outputs, self._next = self.netlist.cycle(self._inputs, self._state, self._mask)

    def get(self, port: str, elements: int = 1, *, signed: bool = False) -> NDArray[np.int64]:
        """Values of an output after :meth:`evaluate`, int64, shape (copies, elements).

        Raises
        ------
        ValueError
            As :meth:`set`.
        """
        width = self._width(port, self.netlist.outputs)
        bits = _element_bits(port, width, elements)
        length = -(-self.copies // 8)
        packed = b"".join(plane.to_bytes(length, "little") for plane in self._outputs[port])
        rows = np.frombuffer(packed, np.uint8).reshape(width, length)
        planes = np.unpackbits(rows, axis=1, count=self.copies, bitorder="little")
        weights = 1 << np.arange(bits, dtype=np.int64)
        if signed:
            weights[-1] = -weights[-1]
        values: NDArray[np.int64]
        values = np.einsum("ebc,b->ce", planes.reshape(elements, bits, self.copies), weights)
        return values

    def tick(self) -> None:
        """The rising edge of the clock, with the inputs of the last :meth:`evaluate`."""
        self._state = self._next
        self.cycles += 1

    @staticmethod
    def _width(port: str, ports: Mapping[str, int]) -> int:
        if port not in ports:
            raise ValueError(f"port must be one of {', '.join(ports)}, not {port!r}")
        return ports[port]


def _element_bits(port: str, width: int, elements: int) -> int:
    if width % elements:
        raise ValueError(f"{port} has {width} bits, which {elements} elements cannot share")
    return width // elements


def _integers(data: bytes, count: int, mask: int) -> list[int]:
    """``count`` integers of equal length in bytes, little-endian."""
    length = len(data) // count if count else 0
    chunks = (data[i * length : (i + 1) * length] for i in range(count))
    return [int.from_bytes(chunk, "little") & mask for chunk in chunks]


def truth_tables(module: Module) -> dict[str, int]:
    """Truth table of each output of a combinational cell with one-bit pins.

    Bit r of a table is the output where input i is bit i of r.

    Raises
    ------
    NetlistError
        If the cell has registers or is made of other than simple gates.
    """
    netlist = Netlist({module.name: module}, module.name, clock="")
    if netlist.flip_flops:
        raise NetlistError(f"cell {module.name} must be combinational")
    rows = 1 << len(module.inputs)
    planes = [sum((row >> i & 1) << row for row in range(rows)) for i in range(len(module.inputs))]
    outputs, _ = netlist.step(planes, [], (1 << rows) - 1)
    return dict(zip(module.outputs, outputs, strict=True))


def expressions(module: Module) -> dict[str, str]:
    """What the outputs of a cell are, as expressions of gates and registers over its pins."""
    names: dict[Bit, str] = {bits[0]: pin for pin, bits in module.inputs.items()}
    drivers: dict[Bit, Cell] = {}
    for cell in module.cells:
        drivers[cell.pins["Q" if "Q" in cell.pins else "Y"][0]] = cell

    def expression(bit: Bit, inside: tuple[Bit, ...] = ()) -> str:
        # A register that hangs on itself, as those with enables do, is left at its net.
        if bit in names or bit in inside or bit not in drivers:
            return names.get(bit, str(bit))
        cell = drivers[bit]
        inputs = {p: b[0] for p, b in sorted(cell.pins.items()) if p not in ("Q", "Y")}
        terms = {pin: expression(b, (*inside, bit)) for pin, b in inputs.items()}
        if cell.kind == "$_NOT_":
            return f"~{terms['A']}"
        return f"{cell.kind}({', '.join(f'{pin}={term}' for pin, term in terms.items())})"

    return {pin: expression(bits[0]) for pin, bits in module.outputs.items()}
