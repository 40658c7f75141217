"""Delays of mapped netlists, by OpenSTA.

A delay is the shortest clock period at which every path is in time, set-up and clock-to-output of
the registers included. docs/synthesis.md says what stands at the ports and what is left out.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dintmac.golden.files import temporary_folder
from dintmac.hdl.processes import last_words, run
from dintmac.synth.cells import Cells
from dintmac.synth.liberty import Library, LibraryError
from dintmac.synth.netlist import FlatNetlist
from dintmac.synth.records import CriticalPath
from dintmac.synth.syntax import Group, write
from dintmac.synth.verilog import to_verilog

__all__ = [
    "Boundary",
    "Sta",
    "Timing",
    "TimingError",
    "boundary_of",
    "delay_missing",
    "find_sta",
    "has_delays",
]

#: How many inverters, the smallest of the library, each output drives.
_FAN_OUT = 4

_ENDS = ("Startpoint", "Endpoint")

_FEMTOFARADS = {"ff": 1.0, "pf": 1000.0}

_SCRIPT = """\
read_liberty cells.lib
read_verilog netlist.v
link_design top
set_cmd_units -time ns -capacitance fF
set_driving_cell -lib_cell {driver} [all_inputs]
set_load {load} [all_outputs]
# Paths that end at the other edge of the clock take more than one step.
set period 1.0
set slack 1.0
for {{set i 0}} {{abs($slack) > 1e-5 && $i < 40}} {{incr i}} {{
  create_clock -name clock -period $period [get_ports clk]
  set_input_delay 0 -clock clock [all_inputs]
  set_output_delay 0 -clock clock [all_outputs]
  set slack [worst_slack]
  if {{abs($slack) > 1e-5}} {{ set period [expr $period - $slack] }}
}}
report_checks -format full -digits 4
puts "shortest period: $period"
"""


_POWER = ("internal_power", "leakage_power", "power_lut_template")

#: What ends a run: errors, and warnings after which OpenSTA goes on with numbers of its own.
_REFUSAL = re.compile(
    r"^(?:Error: |Warning: (?=cells\.lib.* (?:not a float|unknown unit|table (?:row )?has)))"
    r"(?:(\S+), )?(.*)$",
    re.MULTILINE,
)


class TimingError(RuntimeError):
    """OpenSTA is missing or did not finish."""


@dataclass(frozen=True)
class Boundary:
    """What stands at the ports of every design.

    Attributes
    ----------
    driver : str
        Cell that drives each input: the smallest buffer, or inverter where there is no buffer. Its
        own delay without load belongs to whatever is before the input; the rest counts.
    load : float
        Capacitance at each output, in fF: that of four inputs of the smallest inverter.
    """

    driver: str
    load: float


@dataclass(frozen=True)
class Timing:
    """The delay of a netlist.

    Attributes
    ----------
    delay_ns : float
        The shortest clock period.
    critical_path : CriticalPath
        What sets it.
    """

    delay_ns: float
    critical_path: CriticalPath


@dataclass(frozen=True)
class Sta:
    """An OpenSTA that can be run.

    Attributes
    ----------
    command, version : str
    """

    command: str
    version: str

    def time(
        self,
        netlists: Sequence[FlatNetlist],
        library: Library,
        cells: Cells,
        boundary: Boundary,
    ) -> list[Timing]:
        """The delays of netlists that have a clock ``clk``.

        Raises
        ------
        LibraryError
            If OpenSTA does not read the library.
        TimingError
            If OpenSTA fails.
        """
        script = _SCRIPT.format(driver=boundary.driver, load=boundary.load)
        with temporary_folder() as folder:
            kinds = {cell.kind for netlist in netlists for cell in netlist.cells}
            used = _without_power(library.group(sorted(kinds | {boundary.driver})))
            (folder / "cells.lib").write_text(write([used]), "utf-8")
            (folder / "script.tcl").write_text(script, "utf-8")
            outputs = []
            for netlist in netlists:
                (folder / "netlist.v").write_text(to_verilog(netlist, "top"), "utf-8")
                outputs.append(self._run(folder, library))
        pairs = zip(outputs, netlists, strict=True)
        return [_timing(output, netlist, cells) for output, netlist in pairs]

    def _run(self, folder: Path, library: Library) -> str:
        done = run([self.command, "-no_init", "-no_splash", "-exit", "script.tcl"], folder)
        error = _REFUSAL.search(done.stderr + done.stdout)
        if error is not None and error[1] == "cells.lib":
            raise LibraryError(
                f"library must be a Liberty file that OpenSTA reads, "
                f"but {library.where} is not: {error[2]}"
            )
        if error is not None or done.returncode != 0:
            message = error[2] if error else last_words(done)
            raise TimingError(f"OpenSTA failed: {message}")
        return done.stdout


@functools.cache
def find_sta() -> Sta:
    """The OpenSTA in ``$PATH``.

    Raises
    ------
    TimingError
        If there is none.
    """
    command = shutil.which("sta")
    if command is None:
        raise TimingError("no OpenSTA found; on Debian, install it with: apt install opensta")
    version = re.match(r"\d+\.\d+\.\d+", run([command, "-version"]).stdout)
    if version is None:
        raise TimingError(
            f"sta must be OpenSTA, but {command!r} is not; "
            "on Debian, install it with: apt install opensta"
        )
    return Sta(command, version[0])


@functools.cache
def has_delays(library: Library) -> bool:
    """Whether a library has tables of delays; numbers that no load changes are not enough."""
    return any(_has_delays(library.group([name])) for name in library.facts)


def _has_delays(cell: Group) -> bool:
    if cell.kind == "cell_rise":
        return cell.names != ("scalar",)
    return any(_has_delays(part) for part in cell.body if isinstance(part, Group))


def delay_missing(library: Library) -> str:
    """Why netlists in a library have no delay; empty if they have one."""
    if not has_delays(library):
        return f"{library.name} has no tables of delays"
    try:
        find_sta()
    except TimingError as error:
        return str(error)
    return ""


def boundary_of(library: Library, cells: Cells) -> Boundary:
    """What stands at the ports: the same rule for every library, by function and area.

    Raises
    ------
    LibraryError
        If the inverter's capacitance or its unit is missing.
    """
    group = library.group([cells.inverter])
    try:
        number, unit = group.values("capacitive_load_unit")
        (cell,) = group.groups("cell")
        (pin,) = (pin for pin in cell.groups("pin") if pin.value("direction") == "input")
        stated = pin.value("capacitance") or group.value("default_input_pin_cap")
        capacitance = float(stated or "")
        scale = float(number) * _FEMTOFARADS[unit.lower()]
    except (KeyError, ValueError) as error:
        raise LibraryError(
            f"library must state capacitances of pins and their unit, "
            f"but {library.where} does not: {error}"
        ) from None
    return Boundary(cells.buffer, round(_FAN_OUT * capacitance * scale, 6))


def _without_power(group: Group) -> Group:
    """A group without tables of power: what is wrong there costs no delay."""
    body = [
        _without_power(part) if isinstance(part, Group) else part
        for part in group.body
        if not (isinstance(part, Group) and part.kind in _POWER)
    ]
    return replace(group, body=body)


def _timing(output: str, netlist: FlatNetlist, cells: Cells) -> Timing:
    period = re.search(r"^shortest period: (\S+)$", output, re.MULTILINE)
    start, end = (re.search(rf"^{name}: (\S+)", output, re.MULTILINE) for name in _ENDS)
    if period is None or start is None or end is None:
        raise TimingError(f"OpenSTA must report a path, not {output[-300:]!r}")
    passed = set(re.findall(r"[v^] (u\d+)/\S+ \(", output))
    path = CriticalPath(
        start=_name(start[1], netlist, cells),
        end=_name(end[1], netlist, cells),
        cells=len(passed - {start[1], end[1]}),
    )
    return Timing(round(float(period[1]), 4), path)


def _name(place: str, netlist: FlatNetlist, cells: Cells) -> str:
    """A port as it is, a cell by the name of the register that it holds."""
    number = re.fullmatch(r"u(\d+)", place)
    if number is None:
        return place
    cell = netlist.cells[int(number[1])]
    nets = (cell.pins[pin] for pin in cells.leaves[cell.kind].outputs)
    return next((netlist.names[net] for net in nets if net in netlist.names), cell.name)
