"""The simulator that comes with Amaranth."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from amaranth import sim
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib import wiring

from dintmac.hdl.configuration import Configuration
from dintmac.hdl.ports import FlatPorts, Port
from dintmac.sim.handle import RESET, Handle
from dintmac.sim.simulators.simulator import Bench, Progress, Simulator

__all__ = ["Amaranth", "run_amaranth"]


class AmaranthHandle(Handle):
    """Inputs change right after the rising edge; the simulator settles after each of them."""

    def __init__(
        self,
        context: Any,
        ports: dict[str, tuple[Port, Signal]],
        reset: Signal,
        progress: Callable[[float], None],
    ) -> None:
        super().__init__({name: port for name, (port, _) in ports.items()})
        self._progress = progress
        self._context = context
        self._signals = {name: signal for name, (_, signal) in ports.items()} | {RESET: reset}

    def report(self, fraction: float) -> None:
        self._progress(fraction)

    def _read(self, port: str) -> int:
        value: int = self._context.get(self._signals[port])
        return value

    def _write(self, port: str, value: int) -> None:
        self._context.set(self._signals[port], value)

    async def _settle(self) -> None:
        """Nothing to wait for."""

    async def _tick(self) -> None:
        await self._context.tick()


def run_amaranth(
    component: wiring.Component,
    bench: Callable[..., Awaitable[Any]],
    arguments: tuple[Any, ...] = (),
    waveform: Path | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Any:
    """Simulate a component and return what ``await bench(handle, *arguments)`` returns.

    A waveform is written as VCD.
    """
    flat = FlatPorts(component)
    domain = ClockDomain("sync")
    m = Module()
    m.domains += domain
    m.submodules.design = flat
    results = []

    async def testbench(context: Any) -> None:
        handle = AmaranthHandle(context, flat.ports, domain.rst, progress)
        results.append(await bench(handle, *arguments))

    simulator = sim.Simulator(m)
    simulator.add_clock(1e-8)
    simulator.add_testbench(testbench)
    with nullcontext() if waveform is None else simulator.write_vcd(str(waveform)):
        simulator.run()
    return results[0]


class Amaranth(Simulator):
    """The simulator that comes with Amaranth: no build, slow."""

    name = "amaranth"
    waveforms = (".vcd",)

    def version(self) -> str:
        return importlib.metadata.version("amaranth")

    def _run(
        self,
        configuration: Configuration,
        bench: Bench,
        arguments: tuple[Any, ...],
        *,
        waveform: Path | None,
        folder: Path,
        progress: Progress,
    ) -> Any:
        return run_amaranth(configuration.create(), bench, arguments, waveform, progress)
