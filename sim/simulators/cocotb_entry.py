"""What cocotb imports inside Icarus and Verilator: runs the bench of a job."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from dintmac.hdl.ports import Port
from dintmac.sim.handle import RESET, Handle
from dintmac.sim.simulators import SimulationError
from dintmac.sim.streams import CheckError

_PERIOD_NS = 10


class CocotbHandle(Handle):
    """Inputs change at the falling edge, and what has settled is read before the rising edge."""

    def __init__(self, dut: Any, ports: Mapping[str, Port], reports: Path) -> None:
        super().__init__(ports)
        self._signals = {name: getattr(dut, name) for name in (*ports, RESET)}
        self._falling_edge = FallingEdge(dut.clk)
        self._read_only = ReadOnly()
        self._reports = reports

    def report(self, fraction: float) -> None:
        with self._reports.open("a", encoding="utf-8") as file:
            file.write(f"{fraction}\n")

    def _read(self, port: str) -> int:
        value = self._signals[port].value
        try:
            return int(value)
        except ValueError:
            raise CheckError(f"{port} has undefined bits: {value}") from None

    def _write(self, port: str, value: int) -> None:
        self._signals[port].value = value

    async def _settle(self) -> None:
        await self._read_only

    async def _tick(self) -> None:
        await self._falling_edge


@cocotb.test()
async def run_job(dut: Any) -> None:
    """Run the bench and leave ``(exception, result)``, one of which is None."""
    folder = Path(os.environ["DINTMAC_JOB"])
    ports, bench, arguments = pickle.loads((folder / "job.pickle").read_bytes())
    for port in ports.values():
        if port.direction == "input":
            getattr(dut, port.name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    await FallingEdge(dut.clk)
    result: tuple[Exception | None, Any]
    try:
        result = (None, await bench(CocotbHandle(dut, ports, folder / "progress"), *arguments))
    except CheckError as failure:
        result = (failure, None)
    except Exception:
        result = (SimulationError(traceback.format_exc()), None)
    (folder / "result.pickle").write_bytes(pickle.dumps(result))
