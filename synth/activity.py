"""How often the nets of a mapped netlist switch, glitches included.

A timed simulation of hundreds of independent copies at once: a net is a row of 64-bit words whose
bits are its values in the copies. Time goes in steps of a few picoseconds; each output of each
cell has its own delay. In a step all cells of a type whose inputs have changed are evaluated by one
NumPy expression.

A new value of a cell's function arrives at its output after the delay, unless the function has
meanwhile gone back: pulses shorter than the delay are swallowed. (In Verilog a swallowed pulse also
restarts the delay of an edge before it; here the edge comes when it was due.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.hdl.hierarchy import Part
from dintmac.synth.cells import Cells
from dintmac.synth.netlist import Module, Netlist, NetlistError, flatten

__all__ = ["Activity", "CellModel", "Circuit", "Instances", "TimedSimulation"]

Words = NDArray[np.uint64]
Indices = NDArray[np.intp]
Booleans = NDArray[np.bool_]
Floats = NDArray[np.float64]

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_WORD_BITS = 64
#: Number of ones of every 16-bit number.
_ONES = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)


def _count(words: Words) -> NDArray[np.int64]:
    """Ones in each row."""
    ones: NDArray[np.int64]
    ones = _ONES[np.ascontiguousarray(words).view(np.uint16)].sum(axis=-1, dtype=np.int64)
    return ones


@dataclass(frozen=True, eq=False)
class CellModel:
    """What a cell does, as a function on planes of bits.

    Attributes
    ----------
    kind : str
    inputs : tuple of str
        Without the clock.
    outputs : tuple of str
    clock : str or None
    registers : int
        Bits of state; registers that Yosys doubles for complementary outputs count twice.
    gate : bool
        Whether it gates the clock: the inputs are its enables.
    step : callable
        ``step(inputs, state, mask)`` gives outputs and next state, as :attr:`Netlist.step`.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    clock: str | None
    registers: int
    gate: bool
    step: Callable[[list[Any], list[Any], Any], tuple[list[Any], list[Any]]]

    @classmethod
    def of(cls, kind: str, cells: Cells) -> CellModel:
        """The model of a cell of a library.

        Raises
        ------
        NetlistError
            If it is neither logic nor a rising-edge flip-flop nor a clock gate.
        """
        if kind in cells.clock_gates:
            gate = cells.clock_gates[kind]
            enables = (gate.enable, *gate.test)
            return cls(kind, enables, (gate.out,), gate.clock, 0, True, _gate_step)
        module = cells.models[kind]
        clock = _clock_pin(module)
        netlist = Netlist({kind: module}, kind, clock=clock or "")
        inputs = tuple(netlist.inputs)
        outputs = tuple(netlist.outputs)
        return cls(kind, inputs, outputs, clock, netlist.flip_flops, False, netlist.step)

    @property
    def variables(self) -> int:
        """Bits that its state is described by: inputs, registers and the clock."""
        return len(self.inputs) + self.registers + (self.clock is not None)

    @cached_property
    def pins(self) -> dict[str, Booleans]:
        """Values of all pins in every state, shape (2 ** variables,).

        Bit i of a state is input i; registers follow, and the clock is last. Outputs are low in
        states that are not :attr:`possible`.
        """
        bits = self._bits
        named = dict(zip(self.inputs, bits, strict=False))
        if self.clock:
            named[self.clock] = bits[-1]
        outputs = [self._outputs(state) or [False] * len(self.outputs) for state in bits.T]
        columns = zip(*outputs, strict=True)
        return named | {o: np.array(c) for o, c in zip(self.outputs, columns, strict=True)}

    @cached_property
    def possible(self) -> Booleans:
        """States in which doubled registers agree and no asynchronous reset is active."""
        first = len(self.inputs)
        registers = self._bits[first : first + self.registers]
        agree: Booleans = (registers == registers[:1]).all(axis=0)
        free = np.array([self._outputs(state) is not None for state in self._bits.T])
        both: Booleans = agree & free
        return both

    @property
    def _bits(self) -> Booleans:
        """Variables in every state, shape (variables, 2 ** variables)."""
        rows = np.arange(1 << self.variables)
        bits: Booleans = (rows >> np.arange(self.variables)[:, np.newaxis] & 1) == 1
        return bits

    def _outputs(self, state: Booleans) -> list[bool] | None:
        """Outputs in a state; None while a reset is active."""
        values = [int(bit) for bit in state]
        first = len(self.inputs)
        try:
            outputs, _ = self.step(values[:first], values[first : first + self.registers], 1)
        except NetlistError:
            return None
        return [bool(output) and (not self.gate or bool(state[-1])) for output in outputs]

    def flips(self, pin: str, output: str) -> Booleans:
        """States in which a change of ``pin`` changes ``output``; all of them for a clock."""
        if pin not in self.inputs:
            return np.ones(1 << self.variables, dtype=bool)
        rows = np.arange(1 << self.variables)
        values = self.pins[output]
        flipped: Booleans = values[rows ^ (1 << self.inputs.index(pin))]
        return values ^ flipped


def _gate_step(inputs: list[Any], state: list[Any], mask: Any) -> tuple[list[Any], list[Any]]:
    enable = inputs[0]
    for test in inputs[1:]:
        enable = enable | test
    return [enable], []


def _clock_pin(module: Module) -> str | None:
    flip_flops = [cell for cell in module.cells if cell.kind.startswith("$_DFF")]
    if not flip_flops:
        return None
    bit = flip_flops[0].pins["C"]
    for pin, bits in module.inputs.items():
        if bits == bit:
            return pin
    raise NetlistError(f"flip-flop {module.name} must take the rising edge of the clock")


@dataclass(frozen=True, eq=False)
class Instances:
    """All instances of a cell.

    Attributes
    ----------
    model : CellModel
    parts : tuple of Part
        What the module of each is part of.
    nets : dict of str to array, shape (instances,)
        Net at each pin.
    """

    model: CellModel
    parts: tuple[Part, ...]
    nets: dict[str, Indices]


@dataclass(frozen=True, eq=False)
class Circuit:
    """A mapped netlist, cell type by cell type.

    Attributes
    ----------
    nets : int
        Number of nets; 0 and 1 are the constants.
    inputs, outputs : dict of str to array
        Nets of the ports, least significant bit first; inputs without the clock.
    clock : int
        Net of the clock port.
    instances : dict of str to Instances
    """

    nets: int
    inputs: dict[str, Indices]
    outputs: dict[str, Indices]
    clock: int
    instances: dict[str, Instances]

    @classmethod
    def of(
        cls, modules: Mapping[str, Module], top: str, cells: Cells, *, clock: str = "clk"
    ) -> Circuit:
        """Flatten a mapped design.

        Raises
        ------
        NetlistError
            If a cell is unknown or is neither logic nor a flip-flop nor a clock gate, or there
            is no clock.
        """
        leaves = cells.models | {
            kind: Module(kind, {}, {gate.out: ()}, ()) for kind, gate in cells.clock_gates.items()
        }
        flat = flatten(modules, top, leaves)
        if clock not in flat.inputs:
            raise NetlistError(f"clock must be one of {', '.join(flat.inputs)}, not {clock!r}")
        kinds = dict.fromkeys(cell.kind for cell in flat.cells)
        instances = {}
        for kind in kinds:
            model = CellModel.of(kind, cells)
            members = [cell for cell in flat.cells if cell.kind == kind]
            pins = [*model.inputs, *model.outputs, *([model.clock] if model.clock else [])]
            nets = {pin: np.array([cell.pins[pin] for cell in members]) for pin in pins}
            instances[kind] = Instances(model, tuple(cell.part for cell in members), nets)
        return cls(
            nets=flat.nets,
            inputs={port: np.array(nets) for port, nets in flat.inputs.items() if port != clock},
            outputs={port: np.array(nets) for port, nets in flat.outputs.items()},
            clock=flat.inputs[clock][0],
            instances=instances,
        )

    def logic(self) -> dict[str, Instances]:
        """Instances that are neither registers nor clock gates."""
        return {kind: group for kind, group in self.instances.items() if not group.model.clock}

    @staticmethod
    def outputs_of(groups: Iterable[Instances]) -> Indices:
        """Nets that groups of cells drive."""
        nets = [group.nets[pin] for group in groups for pin in group.model.outputs]
        return np.concatenate([np.zeros(0, dtype=np.intp), *nets])


@dataclass(frozen=True, eq=False)
class Activity:
    """How often nets switch, and how often cells are in each of their states.

    Attributes
    ----------
    cycles : int
        Cycles that were counted, over all copies.
    toggles : float64 array, shape (nets,)
        Transitions in a cycle, with glitches; a clock that always runs has 2.
    settled : float64 array, shape (nets,)
        The same without glitches: changes from the end of a cycle to the end of the next.
    states : dict of str to float64 array, shape (2 ** variables, instances)
        For each cell type, the probability of each state (:attr:`CellModel.pins`) at the end of a
        cycle; the clock is high half of the time.
    """

    cycles: int
    toggles: Floats
    settled: Floats
    states: dict[str, Floats]


class TimedSimulation:
    """``copies`` independent instances of a circuit, side by side, in time.

    In a cycle: :meth:`set` inputs, :meth:`advance`, :meth:`get` outputs. Registers start from
    zeros.

    Parameters
    ----------
    circuit : Circuit
    copies : int
        A multiple of 64.
    delays : int array, shape (nets,), optional
        Steps from a change at a cell's input to that of the net at its output, at least 1; for
        inputs of the circuit and registers, from the edge of the clock. Without delays nets
        settle at once.

    Raises
    ------
    ValueError
        If ``copies`` or ``delays`` are not as above.
    NetlistError
        If gates form a loop.
    """

    def __init__(
        self, circuit: Circuit, copies: int, *, delays: NDArray[np.integer[Any]] | None = None
    ) -> None:
        if copies < 1 or copies % _WORD_BITS:
            raise ValueError(f"copies must be a multiple of {_WORD_BITS}, not {copies!r}")
        if delays is not None and (delays.shape != (circuit.nets,) or delays.min() < 1):
            raise ValueError("delays must be at least 1 for each net")
        self.circuit = circuit
        self.copies = copies
        self._delays = delays
        self._words = copies // _WORD_BITS
        self._values = np.zeros((circuit.nets, self._words), dtype=np.uint64)
        self._values[1] = _ALL
        self._inputs: dict[str, Words] = {}
        self._state = {
            kind: [np.zeros((len(g.parts), self._words), np.uint64)] * g.model.registers
            for kind, g in circuit.instances.items()
        }
        self._order = _levels(circuit)
        self._fanout = _Fanout(circuit)
        self._settle()
        self._target = self._values.copy()
        self._forget()

    def _forget(self) -> None:
        self._cycles = 0
        self._toggles = np.zeros(self.circuit.nets, dtype=np.int64)
        self._settled = np.zeros(self.circuit.nets, dtype=np.int64)
        self._states: dict[str, Floats] = {}

    def set(self, port: str, values: NDArray[Any]) -> None:
        """Set an input of all copies until it is set anew, as :meth:`Simulation.set` does.

        Raises
        ------
        ValueError
            If the port is unknown or its width is no multiple of the number of elements.
        """
        if port not in self.circuit.inputs:
            raise ValueError(f"port must be one of {', '.join(self.circuit.inputs)}, not {port!r}")
        width = len(self.circuit.inputs[port])
        elements = np.ascontiguousarray(values.reshape(self.copies, -1))
        bits, rest = divmod(width, elements.shape[1])
        if rest:
            raise ValueError(f"{port} has {width} bits, not a multiple of {elements.shape[1]}")
        as_bytes = elements[..., np.newaxis].view(np.uint8)
        planes = np.unpackbits(as_bytes, axis=-1, count=bits, bitorder="little")
        packed = np.packbits(planes.reshape(self.copies, width).T, axis=1, bitorder="little")
        self._inputs[port] = np.ascontiguousarray(packed).view(np.uint64)

    def get(self, port: str) -> Booleans:
        """Bits of an output at the end of the cycle, shape (copies, width)."""
        rows = self._values[self.circuit.outputs[port]]
        return np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").T.astype(bool)

    def advance(self, *, count: bool = False) -> None:
        """The rising edge of the clock, then the inputs that were set, until all nets rest.

        Parameters
        ----------
        count : bool
            Whether transitions count; if not, nets settle at once, which takes less time.
        """
        enables = self._enables()
        changes = [*self._clocked(enables), *self._driven()]
        before = self._values.copy()
        if not count or self._delays is None:
            for nets, values in changes:
                self._values[nets] = values
            self._settle()
            self._target = self._values.copy()
        else:
            self._run(changes)
        if count:
            changed = _count(before ^ self._values)
            self._settled += changed
            self._toggles += changed if self._delays is None else 0
            self._count_clocks(enables)
            self._count_states()
            self._cycles += self.copies

    def activity(self) -> Activity:
        """What was counted, per cycle; counting begins anew.

        Raises
        ------
        ValueError
            If nothing was counted.
        """
        if not self._cycles:
            raise ValueError("a cycle must be counted before there is an activity")
        result = Activity(
            self._cycles,
            self._toggles / self._cycles,
            self._settled / self._cycles,
            {kind: counts / self._cycles for kind, counts in self._states.items()},
        )
        self._forget()
        return result

    # Registers and inputs

    def _enables(self) -> dict[int, Words]:
        """Copies in which each clock net has an edge."""
        enables = {self.circuit.clock: np.full(self._words, _ALL)}
        gates = [group for group in self.circuit.instances.values() if group.model.gate]
        found = 0
        while found < len(enables):
            found = len(enables)
            for group in gates:
                (enable,), _ = group.model.step(self._planes(group, None), [], _ALL)
                clocks, outs = (
                    group.nets[str(group.model.clock)],
                    group.nets[group.model.outputs[0]],
                )
                for clock, out, copies in zip(clocks, outs, enable, strict=True):
                    if clock in enables:
                        enables[int(out)] = enables[int(clock)] & copies
        return enables

    def _clocked(self, enables: Mapping[int, Words]) -> list[tuple[Indices, Words]]:
        changes = []
        for kind, group in self.circuit.instances.items():
            if not group.model.registers:
                continue
            clocks = group.nets[str(group.model.clock)]
            try:
                edges = np.stack([enables[int(clock)] for clock in clocks])
            except KeyError:
                raise NetlistError(f"clocks of {kind} must come from the clock port") from None
            inputs = [_scalar_if_constant(plane) for plane in self._planes(group, None)]
            old = self._state[kind]
            _, new = group.model.step(inputs, old, _ALL)
            state = [o ^ ((o ^ n) & edges) for o, n in zip(old, new, strict=True)]
            self._state[kind] = state
            outputs, _ = group.model.step(inputs, state, _ALL)
            changes += [
                (group.nets[o], v) for o, v in zip(group.model.outputs, outputs, strict=True)
            ]
        return changes

    def _driven(self) -> list[tuple[Indices, Words]]:
        return [(self.circuit.inputs[port], values) for port, values in self._inputs.items()]

    def _planes(self, group: Instances, rows: Indices | None) -> list[Words]:
        nets = [group.nets[pin] for pin in group.model.inputs]
        return [self._values[n if rows is None else n[rows]] for n in nets]

    # Without time

    def _settle(self) -> None:
        for group, rows in self._order:
            outputs, _ = group.model.step(self._planes(group, rows), [], _ALL)
            for pin, values in zip(group.model.outputs, outputs, strict=True):
                self._values[group.nets[pin][rows]] = values

    # With time

    def _run(self, changes: list[tuple[Indices, Words]]) -> None:
        agenda: dict[int, list[tuple[Indices, Words, Words]]] = {}
        self._post(agenda, 0, changes)
        time = 0
        while agenda:
            if time in agenda:
                self._react(agenda, time, self._arrive(agenda.pop(time)))
            time += 1

    def _post(
        self,
        agenda: dict[int, list[tuple[Indices, Words, Words]]],
        time: int,
        wanted: list[tuple[Indices, Words]],
    ) -> None:
        """Enter new values of functions for the times at which they arrive at the nets."""
        assert self._delays is not None
        nets = np.concatenate([n for n, _ in wanted])
        values = np.concatenate([np.broadcast_to(v, (len(n), self._words)) for n, v in wanted])
        changed = values ^ self._target[nets]
        rows = np.flatnonzero(changed.any(axis=1))
        if not len(rows):
            return
        nets, values, changed = nets[rows], values[rows], changed[rows]
        self._target[nets] = values
        delays = self._delays[nets]
        order = np.argsort(delays, kind="stable")
        steps, starts = np.unique(delays[order], return_index=True)
        for step, start, end in zip(steps, starts, [*starts[1:], len(order)], strict=True):
            part = order[start:end]
            entry = (nets[part], values[part], changed[part])
            agenda.setdefault(time + int(step), []).append(entry)

    def _arrive(self, entries: list[tuple[Indices, Words, Words]]) -> Indices:
        """Nets that take new values; what the function has taken back does not arrive."""
        nets, values, changed = (np.concatenate(part) for part in zip(*entries, strict=True))
        now = self._values[nets]
        difference = (now ^ values) & changed & ~(values ^ self._target[nets])
        self._values[nets] = now ^ difference
        counts = _count(difference)
        self._toggles[nets] += counts
        return nets[counts > 0]

    def _react(
        self,
        agenda: dict[int, list[tuple[Indices, Words, Words]]],
        time: int,
        nets: Indices,
    ) -> None:
        """Evaluate the cells behind nets."""
        wanted = []
        for group, rows in self._fanout.of(nets):
            outputs, _ = group.model.step(self._planes(group, rows), [], _ALL)
            wanted += [
                (group.nets[pin][rows], values)
                for pin, values in zip(group.model.outputs, outputs, strict=True)
            ]
        if wanted:
            self._post(agenda, time, wanted)

    # Counting

    def _count_clocks(self, enables: Mapping[int, Words]) -> None:
        for net, copies in enables.items():
            edges = 2 * int(_count(copies))
            self._toggles[net] += edges
            self._settled[net] += edges

    def _count_states(self) -> None:
        for kind, group in self.circuit.instances.items():
            states = np.full((1, len(group.parts), self._words), _ALL)
            for plane in [*self._planes(group, None), *self._state[kind]]:
                states = np.concatenate([states & ~plane, states & plane])
            counts = _count(states).astype(np.float64)
            if group.model.clock:
                counts = np.concatenate([counts, counts]) / 2
            self._states[kind] = self._states.get(kind, 0) + counts


def _scalar_if_constant(plane: Words) -> Any:
    """Tied-off resets as scalars, which the functions of flip-flops can test."""
    first = plane.flat[0]
    return first if first in (0, _ALL) and (plane == first).all() else plane


def _levels(circuit: Circuit) -> list[tuple[Instances, Indices]]:
    """Logic in an order in which every cell comes after those that drive it."""
    level = np.zeros(circuit.nets, dtype=np.int64)
    logic = circuit.logic().values()
    limit = sum(len(group.parts) for group in logic) + 1
    changing = True
    while changing:
        changing = False
        for group in logic:
            inputs = [level[group.nets[pin]] for pin in group.model.inputs]
            own = np.max(inputs, axis=0, initial=0) + 1 if inputs else 1
            for pin in group.model.outputs:
                changing |= bool((level[group.nets[pin]] != own).any())
                level[group.nets[pin]] = own
        if level.max() > limit:
            raise NetlistError("gates must form no loop")
    order = []
    for number in range(1, int(level.max()) + 1):
        for group in logic:
            rows = np.flatnonzero(level[group.nets[group.model.outputs[0]]] == number)
            if len(rows):
                order.append((group, rows))
    return order


class _Fanout:
    """The logic behind each net."""

    def __init__(self, circuit: Circuit) -> None:
        self._groups = list(circuit.logic().values())
        sizes = [len(group.parts) for group in self._groups]
        self._bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
        nets, cells = [], []
        for group, first in zip(self._groups, self._bounds[:-1], strict=True):
            for pin in group.model.inputs:
                nets.append(group.nets[pin])
                cells.append(first + np.arange(len(group.parts)))
        all_nets = np.concatenate([np.zeros(0, np.intp), *nets])
        order = np.argsort(all_nets, kind="stable")
        self._cells = np.concatenate([np.zeros(0, np.intp), *cells])[order]
        counts = np.bincount(all_nets, minlength=circuit.nets)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._marked = np.zeros(self._bounds[-1], dtype=bool)

    def of(self, nets: Indices) -> list[tuple[Instances, Indices]]:
        """Cells that any of the nets goes to, by type."""
        starts, ends = self._starts[nets], self._starts[nets + 1]
        lengths = ends - starts
        offsets = np.repeat(ends - np.cumsum(lengths), lengths)
        self._marked[self._cells[offsets + np.arange(lengths.sum())]] = True
        cells = np.flatnonzero(self._marked)
        self._marked[cells] = False
        cuts = np.searchsorted(cells, self._bounds)
        return [
            (group, cells[low:high] - first)
            for group, first, low, high in zip(
                self._groups, self._bounds[:-1], cuts[:-1], cuts[1:], strict=True
            )
            if high > low
        ]
