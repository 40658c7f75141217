"""Icarus Verilog."""

from __future__ import annotations

import shutil
from pathlib import Path

from dintmac.sim.simulators.cocotb_simulator import CocotbSimulator, Command, version_of
from dintmac.sim.simulators.simulator import SimulatorMissingError

__all__ = ["Icarus"]


class Icarus(CocotbSimulator):
    """Icarus Verilog: quick to build."""

    name = "icarus"
    waveforms = (".vcd", ".fst")
    pays_from = 0
    # They are the shell's, and the preprocessor's.
    refused = '"$\\`'

    def find(self) -> str:
        if shutil.which("iverilog") is None or shutil.which("vvp") is None:
            raise SimulatorMissingError(
                "icarus is not installed; install it with: apt install iverilog"
            )
        return version_of(["iverilog", "-V"], r"version (\d+\.\d+)")

    def command(self, waveform: Path | None) -> Command:
        if waveform is None:
            return Command()
        # cocotb's runner asks for FST; of several such options the last one counts.
        dumper = waveform.suffix.replace(".", "-")
        return Command(
            plusargs=(f"+dumpfile_path={waveform}",),
            environment=(("SIM_CMD_SUFFIX", dumper),),
        )
