"""Proofs by k-induction that a mapped netlist has the properties of its design."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from dintmac.hdl.configuration import Configuration
from dintmac.synth.logic import Graph, Number, ProofError, differ, join, replayed
from dintmac.synth.netlist import Netlist
from dintmac.synth.properties import Frame, Properties

__all__ = ["prove_control"]

#: The longest induction that is tried.
_STEPS = 24


class _Unrolling:
    """Cycles of a netlist and of the registers that its properties need, one after another."""

    def __init__(
        self,
        netlist: Netlist,
        properties: Properties,
        one: Any,
        free: Callable[[int], Number],
        *,
        from_reset: bool,
    ) -> None:
        self._netlist = netlist
        self._properties = properties
        self._one = one
        self._free = free
        self._from_reset = from_reset
        self._state = free(netlist.flip_flops)
        self._model = {name: free(width) for name, width in properties.registers.items()}
        self.states: list[Number] = []
        self.frames: list[Frame] = []
        #: What each frame does wrong, by claim; nothing is claimed of the first.
        self.wrong: list[dict[str, Any]] = []

    def extend(self) -> None:
        """Add a cycle."""
        inputs = {port: self._free(width) for port, width in self._netlist.inputs.items()}
        if self._from_reset and not self.frames:
            inputs["rst"] = [self._one]
        self.states.append([*self._state, *join(self._model.values())])
        registers = self._state
        outputs, self._state = self._netlist.cycle(inputs, registers, self._one)
        frame = Frame(inputs | outputs, self._model, registers, self._one)
        self.wrong.append(
            dict(self._properties.wrong(self.frames[-1], frame)) if self.frames else {}
        )
        self.frames.append(frame)
        self._model = self._properties.next(frame)


def prove_control(netlist: Netlist, properties: Properties, configuration: Configuration) -> str:
    """Prove that nothing goes wrong in any cycle after a reset."""
    graph = Graph()
    symbols: Number = []

    def make(count: int) -> Number:
        symbols.extend(bits := graph.inputs(count))
        return list(bits)

    base = _Unrolling(netlist, properties, graph.one, make, from_reset=True)
    step = _Unrolling(netlist, properties, graph.one, graph.inputs, from_reset=False)
    base.extend()
    step.extend()
    for k in range(1, _STEPS + 1):
        base.extend()
        step.extend()
        model = graph.solve([_any(base.wrong[-1].values())])
        if model is not None:
            _refute_control(netlist, properties, configuration, model.values(symbols), k)
        # A shortest way to what is wrong passes no state twice.
        before = [_any(wrong.values()) ^ graph.one for wrong in step.wrong[:-1]]
        pairs = itertools.combinations(step.states[:-1], 2)
        distinct = [differ(first, second) for first, second in pairs]
        if graph.solve([_any(step.wrong[-1].values()), *before, *distinct]) is None:
            return f"induction, k = {k}"
    raise ProofError(
        f"{configuration.name} must keep its protocol, but induction over {_STEPS} "
        f"cycle{'s' * (_STEPS > 1)} does not show it"
    )


def _any(bits: Any) -> Any:
    return differ(list(bits), [0] * len(bits))


def _refute_control(
    netlist: Netlist,
    properties: Properties,
    configuration: Configuration,
    values: list[int],
    cycles: int,
) -> None:
    """Simulate a counterexample and raise what it shows."""
    replay = _Unrolling(netlist, properties, 1, replayed(values), from_reset=True)
    for _ in range(cycles + 1):
        replay.extend()
    broken = [claim for claim, wrong in replay.wrong[-1].items() if wrong]
    assert broken, "simulation must confirm what the solver found"
    one_bit = [port for port, width in sorted(netlist.inputs.items(), reverse=True) if width == 1]
    inputs = [" ".join(p for p in one_bit if frame.bit(p)) or "none" for frame in replay.frames]
    raise ProofError(
        f"{configuration.name}: {broken[0]}, but not in cycle {cycles} with inputs "
        f"{'; '.join(inputs)}"
    )
