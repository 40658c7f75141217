"""The simulators: Icarus and Verilator through cocotb, and Amaranth's own."""

from __future__ import annotations

from dintmac.golden.registry import Registry
from dintmac.sim.simulators.amaranth import Amaranth
from dintmac.sim.simulators.icarus import Icarus
from dintmac.sim.simulators.simulator import (
    Bench,
    SimulationError,
    Simulator,
    SimulatorMissingError,
)
from dintmac.sim.simulators.verilator import Verilator

__all__ = [
    "SIMULATORS",
    "Bench",
    "SimulationError",
    "Simulator",
    "SimulatorMissingError",
    "default_simulator",
    "find_simulator",
]

SIMULATORS: Registry[Simulator] = Registry(
    "simulator", "simulators", ((s.name, s) for s in (Icarus(), Verilator(), Amaranth()))
)


def find_simulator(name: str) -> Simulator:
    """The simulator called ``name``, installed.

    Raises
    ------
    ValueError
        If there is none of that name.
    SimulatorMissingError
        If it is not installed.
    """
    simulator = SIMULATORS.find(name)
    simulator.version()
    return simulator


def default_simulator(cycles: int = 0) -> Simulator:
    """The installed simulator that is the quickest for a run of about ``cycles`` cycles.

    Verilator for long runs, Icarus for short ones, the other if one is missing, and Amaranth's
    own, which is always there, if both are.
    """

    def rank(simulator: Simulator) -> tuple[bool, float]:
        pays = simulator.pays_from <= cycles
        return not pays, -simulator.pays_from if pays else simulator.pays_from

    for simulator in sorted(SIMULATORS.values(), key=rank):
        try:
            return find_simulator(simulator.name)
        except SimulatorMissingError:
            continue
    return SIMULATORS["amaranth"]
