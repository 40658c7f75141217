"""dINT MAC units: golden model, Amaranth hardware, simulation, synthesis and reports."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.golden.formats import parse as parse_format
    from dintmac.golden.matmul import matmul
    from dintmac.golden.workload import Workload
    from dintmac.golden.workload import load as load_workload
    from dintmac.hdl.configuration import Configuration
    from dintmac.hdl.verilog import export
    from dintmac.reports.report import Report, read_report, write_report
    from dintmac.reports.run import report
    from dintmac.sim.bench import run_bench
    from dintmac.sim.workload import run_workload
    from dintmac.synth.liberty import find_libraries
    from dintmac.synth.measure import measure
    from dintmac.synth.records import Record

__version__ = "0.1.0"

__all__ = [
    "Configuration",
    "Format",
    "Record",
    "Report",
    "Workload",
    "export",
    "find_libraries",
    "load_workload",
    "matmul",
    "measure",
    "parse_format",
    "read_report",
    "report",
    "run_bench",
    "run_workload",
    "write_report",
]

if sys.platform == "win32":
    raise ImportError("dintmac runs on Linux and macOS; on Windows, install it in WSL")

#: Where the public names are; their modules are imported when a name is first used.
_PLACES = {
    "Configuration": "hdl.configuration:Configuration",
    "Format": "golden.formats:Format",
    "Record": "synth.records:Record",
    "Report": "reports.report:Report",
    "Workload": "golden.workload:Workload",
    "export": "hdl.verilog:export",
    "find_libraries": "synth.liberty:find_libraries",
    "load_workload": "golden.workload:load",
    "matmul": "golden.matmul:matmul",
    "measure": "synth.measure:measure",
    "parse_format": "golden.formats:parse",
    "read_report": "reports.report:read_report",
    "report": "reports.run:report",
    "run_bench": "sim.bench:run_bench",
    "run_workload": "sim.workload:run_workload",
    "write_report": "reports.report:write_report",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name].split(":")
    return getattr(import_module(f"dintmac.{module}"), attribute)
