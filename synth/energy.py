"""Energy of a mapped netlist: activity times what the tables of its Liberty file say.

A transition of a net takes half of C·V², with the capacitances of the pins on it, and what
`internal_power` states for the pins that move. Rising and falling transitions are equally many,
so their mean counts. Wires are not part of a mapped netlist: their capacitance is zero unless it
is given. docs/energy.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.workload import Workload
from dintmac.hdl.configuration import Configuration
from dintmac.synth.activity import Activity, Circuit, Instances, TimedSimulation
from dintmac.synth.cells import Cells
from dintmac.synth.liberty import Library
from dintmac.synth.records import FAR, BeyondTables, Power
from dintmac.synth.stimuli import Stimulus, stimulus
from dintmac.synth.synthesis import Mapped
from dintmac.synth.tables import CellTables, Energy, Technology, condition

__all__ = [
    "PARTS",
    "PERIOD_NS",
    "Electrical",
    "EnergyReport",
    "energy_of",
    "measure_energy",
]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

#: Where dynamic energy goes.
PARTS = ("clock", "registers", "products", "accumulation", "control", "inputs")
_NAME = f"U{max(map(len, PARTS))}"

#: Rounds in which slews and what they hang on are computed; the third changes energies by less
#: than a part in a thousand.
_ROUNDS = 3
#: Time steps in the median delay of a netlist's cells. Coarser ones let pulses pass that are just
#: as long as a delay; from here on energies hardly change.
_STEPS = 32

#: Period of the clock, over which leakage counts, where none is given: 250 MHz.
PERIOD_NS = 4.0
#: Copies of a design and cycles of each that are counted.
_COPIES, _CYCLES = 256, 4
#: Energies and times are rounded to so many digits behind the point in records.
_DECIMALS = 6


class Electrical:
    """Loads, slews and delays of a circuit's nets.

    Slews are those of the drivers at their real loads, and of their inputs' slews, averaged over
    edges and arcs. Ports and clocks, gated or not, have the median of all logic: there is no clock
    tree, and without one a clock gate would be far too weak for its flip-flops.

    Parameters
    ----------
    circuit : Circuit
    technology : Technology
    wire : float
        Capacitance in fF that a wire adds for each pin that it goes to.

    Attributes
    ----------
    loads : float64 array, shape (nets,)
        In fF.
    slews, delays : float64 arrays, shape (nets,)
        In ns; a delay is from the input of the net's driver, for registers and ports from the
        edge of the clock. Ports are as late as the median register.
    """

    def __init__(self, circuit: Circuit, technology: Technology, *, wire: float = 0.0) -> None:
        self.circuit = circuit
        self.technology = technology
        self.loads = np.zeros(circuit.nets)
        for kind, group in circuit.instances.items():
            cell = technology.cells[kind]
            for pin in (*group.model.inputs, *([group.model.clock] if group.model.clock else [])):
                np.add.at(self.loads, group.nets[pin], cell.pins[pin].capacitance + wire)
        self.slews = np.zeros(circuit.nets)
        self.delays = np.zeros(circuit.nets)
        logic = circuit.outputs_of(circuit.logic().values())
        registers = circuit.outputs_of(g for g in circuit.instances.values() if g.model.registers)
        gated = circuit.outputs_of(g for g in circuit.instances.values() if g.model.gate)
        ports = np.concatenate([np.array([circuit.clock]), *circuit.inputs.values()])
        for _ in range(_ROUNDS):
            self._propagate()
            self.slews[[*ports, *gated]] = _median(self.slews[logic])
        self.delays[ports] = _median(self.delays[registers])
        self._step = _median(self.delays[logic]) / _STEPS

    def _propagate(self) -> None:
        slews = self.slews.copy()
        for kind, group in self.circuit.instances.items():
            for pin in group.model.outputs:
                net = group.nets[pin]
                load = self.loads[net]
                arcs = [
                    (arc, slews[group.nets[arc.related]])
                    for arc in self.technology.cells[kind].pins[pin].delays
                    if arc.related in group.nets
                ]
                delays = [t.at(slew, load) for arc, slew in arcs for t in arc.delays]
                transitions = [t.at(slew, load) for arc, slew in arcs for t in arc.slews]
                self.delays[net] = np.mean(delays, axis=0) if delays else 0.0
                self.slews[net] = np.mean(transitions, axis=0) if transitions else 0.0

    def steps(self, resolution: float | None = None) -> tuple[NDArray[np.int64], float]:
        """Delays in whole time steps, and the length of a step in ns.

        Parameters
        ----------
        resolution : float, optional
            Length of a step in ns; by default a 32nd of the median delay of the logic.
        """
        step = resolution or self._step
        return np.maximum(np.rint(self.delays / step), 1).astype(np.int64), step


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else 0.0


@dataclass(frozen=True)
class EnergyReport:
    """Energy of a circuit.

    Attributes
    ----------
    dynamic_fj : dict of str to float
        Energy of a cycle in fJ, by part:

        - ``clock``: clock nets, clock gates, and what a clock edge takes inside flip-flops;
        - ``registers``: outputs and data inputs of flip-flops;
        - ``products``: logic of the lanes;
        - ``accumulation``: adders;
        - ``control``: all other logic;
        - ``inputs``: the capacitance of what the input ports drive, which others charge.
    internal_fj, switching_fj : float
        The sum of ``dynamic_fj``, as inside of cells and on nets.
    leakage_nw : float
    beyond_tables : BeyondTables
        What of it is read far beyond the tables of internal energy.
    """

    dynamic_fj: dict[str, float]
    internal_fj: float
    switching_fj: float
    leakage_nw: float
    beyond_tables: BeyondTables


def energy_of(electrical: Electrical, activity: Activity) -> EnergyReport:
    """The energy that an activity takes.

    Parameters
    ----------
    electrical : Electrical
    activity : Activity
        Of the same circuit.

    Raises
    ------
    LibraryError
        If a condition of the library is no expression over the pins of its cell.
    """
    circuit, technology = electrical.circuit, electrical.technology
    of_nets = electrical.loads * technology.voltage**2 / 2 * activity.toggles
    parts = dict.fromkeys(PARTS, 0.0)
    parts["clock"] += float(of_nets[circuit.clock])
    parts["inputs"] += sum(float(of_nets[nets].sum()) for nets in circuit.inputs.values())
    switching = sum(parts.values())
    internal = leakage = 0.0
    readings: list[tuple[Floats, Floats]] = []
    for kind, group in circuit.instances.items():
        cell = technology.cells[kind]
        states = activity.states[kind]
        drives = np.sum([of_nets[group.nets[pin]] for pin in group.model.outputs], axis=0)
        places = _places(group)
        switching += float(drives.sum())
        _book(parts, places, drives)
        for pin in group.nets:
            arcs = list(_arcs(electrical, activity, group, pin))
            inside = np.sum([energies for energies, _ in arcs], axis=0) + np.zeros(len(places))
            readings += arcs
            internal += float(inside.sum())
            of_clock = pin == group.model.clock
            _book(parts, np.full_like(places, "clock") if of_clock else places, inside)
        leakage += float((_leakage(cell, group.model.pins) @ states).sum())
    beyond = _beyond_tables(readings, internal + switching)
    return EnergyReport(parts, internal, switching, leakage, beyond)


def _beyond_tables(readings: Sequence[tuple[Floats, Floats]], dynamic: float) -> BeyondTables:
    """Shares of arcs, and of the dynamic energy, of which the reach is far."""
    energies = np.concatenate([np.zeros(0), *(energies for energies, _ in readings)])
    reaches = np.concatenate([np.zeros(0), *(reaches for _, reaches in readings)])
    far = reaches > FAR
    return BeyondTables(
        arcs=round(float(far.sum()) / max(len(far), 1), _DECIMALS),
        energy=round(float(np.abs(energies[far]).sum()) / (dynamic or 1.0), _DECIMALS),
        reach=round(float(reaches.max(initial=0.0)), _DECIMALS),
    )


def _places(group: Instances) -> NDArray[np.str_]:
    """The part that each instance belongs to."""
    if group.model.clock:
        return np.full(len(group.parts), "clock" if group.model.gate else "registers", _NAME)
    return np.array(group.parts, _NAME)


def _book(parts: dict[str, float], places: NDArray[np.str_], energies: Floats) -> None:
    for part in np.unique(places):
        parts[str(part)] += float(energies[places == part].sum())


def _arcs(
    electrical: Electrical, activity: Activity, group: Instances, pin: str
) -> Iterator[tuple[Floats, Floats]]:
    """Energies a cycle that instances take inside for the transitions of a pin, and their reach.

    There is one pair of arrays for each energy that the library states.
    """
    toggles = activity.toggles[group.nets[pin]]
    load = electrical.loads[group.nets[pin]] if pin in group.model.outputs else 0.0
    for energy, slew, share in _shares(electrical, activity, group, pin):
        yield share * energy.at(slew, load) * toggles, energy.reach(slew, load)


def _shares(
    electrical: Electrical, activity: Activity, group: Instances, pin: str
) -> Iterator[tuple[Energy, Floats, Floats]]:
    """Energies of a pin, each with the slew and the share of the transitions that it counts for.

    Of an input the share is the probability of states in which the condition holds. Of an output
    it is how likely an arc's input is to have caused a transition: in proportion to that input's
    number of transitions times the probability of states in which the arc's condition holds and
    the output follows the input.
    """
    states = activity.states[group.model.kind]
    energies = electrical.technology.cells[group.model.kind].pins[pin].energies
    cases = list(_cases(energies, group.model.pins))
    if pin not in group.model.outputs:
        for energy, applies in cases:
            yield energy, electrical.slews[group.nets[pin]], applies @ states
        return
    arcs = [
        (energy, group.nets[energy.related], applies & group.model.flips(energy.related, pin))
        for energy, applies in cases
        if energy.related in group.nets
    ]
    weights = [activity.toggles[related] * (follows @ states) for _, related, follows in arcs]
    total = np.sum(weights, axis=0)
    for (energy, related, _), weight in zip(arcs, weights, strict=True):
        share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        yield energy, electrical.slews[related], share


def _cases(
    energies: tuple[Energy, ...], pins: dict[str, Booleans]
) -> Iterator[tuple[Energy, Booleans]]:
    """Each energy with the states in which it applies: one without condition covers the rest."""
    every = np.ones_like(next(iter(pins.values())))
    for energy in energies:
        if energy.when is not None:
            yield energy, condition(energy.when)(pins)
            continue
        others = [e.when for e in energies if e.related == energy.related and e.when]
        named = [condition(when)(pins) for when in others]
        yield energy, every & ~np.any(named, axis=0) if named else every


def _leakage(cell: CellTables, pins: dict[str, Booleans]) -> Floats:
    """Leakage of each state in nW."""
    total, named = np.zeros(len(next(iter(pins.values())))), np.zeros(1, dtype=bool)
    for when, value in cell.leakages:
        applies = condition(when)(pins)
        total = total + applies * value
        named = named | applies
    return np.where(named, total, cell.leakage)


def measure_energy(
    mapped: Mapped,
    configuration: Configuration,
    library: Library,
    cells: Cells,
    workload: Workload,
    *,
    period_ns: float = PERIOD_NS,
) -> Power:
    """Energy of a mapped design at work.

    Parameters
    ----------
    mapped : Mapped
        From the export of ``configuration``.
    configuration : Configuration
        A ``mac``, ``dot``, ``pe`` or ``fused``.
    library : Library
    cells : Cells
        Of that library.
    workload : Workload
        Of the format of the design; one of INT8 drives ``fused`` in INT8 mode.
    period_ns : float
        Period of the clock, over which leakage counts.

    Raises
    ------
    ValueError
        If ``period_ns`` is not positive, or the workload does not suit the design
        (:func:`dintmac.synth.stimuli.stimulus`).
    LibraryError, NetlistError
        If the library has no tables of power, or they or the netlist cannot be used.
    """
    if not period_ns > 0:
        raise ValueError(f"period_ns must be positive, not {period_ns!r}")
    plan = stimulus(workload, configuration, _COPIES)
    circuit = Circuit.of(mapped.modules, mapped.top, cells)
    technology = Technology.read(library, circuit.instances)
    electrical = Electrical(circuit, technology)
    steps, step = electrical.steps()
    activity = _observe(TimedSimulation(circuit, _COPIES, delays=steps), plan)
    report = energy_of(electrical, activity)
    leakage = report.leakage_nw * period_ns * _FJ_PER_NW_NS
    per_mac = {
        part: round(energy / plan.macs, _DECIMALS)
        for part, energy in {**report.dynamic_fj, "leakage": leakage}.items()
    }
    split: dict[str, float | None] = dict(per_mac)
    if not mapped.has_products:
        split["products"] = None
    return Power(
        energy_per_mac_fj=round(sum(per_mac.values()), _DECIMALS),
        split_fj=split,
        data=workload.source,
        data_sha256=workload.sha256,
        macs=plan.macs,
        cycles=activity.cycles,
        period_ns=period_ns,
        voltage=technology.voltage,
        glitch_factor=round(_glitch_factor(circuit, activity), _DECIMALS),
        step_ps=round(step * 1000, _DECIMALS),
        beyond_tables=report.beyond_tables,
    )


#: A nanowatt for a nanosecond is a thousandth of a femtojoule.
_FJ_PER_NW_NS = 1e-3


def _observe(simulation: TimedSimulation, plan: Stimulus) -> Activity:
    for cycle, inputs in enumerate(plan.cycles(_CYCLES)):
        for port, values in inputs.items():
            simulation.set(port, values)
        simulation.advance(count=cycle >= plan.warm_up)
    return simulation.activity()


def _glitch_factor(circuit: Circuit, activity: Activity) -> float:
    nets = circuit.outputs_of(circuit.logic().values())
    return float(activity.toggles[nets].sum() / activity.settled[nets].sum())
