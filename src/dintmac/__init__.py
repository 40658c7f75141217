"""dINT MAC units: golden model, Amaranth hardware, simulation, synthesis and reports."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dintmac.reports.report import Report, read_report, write_report
    from dintmac.reports.run import report

__version__ = "0.1.0"

__all__ = ["Report", "read_report", "report", "write_report"]

if sys.platform == "win32":
    raise ImportError("dintmac runs on Linux and macOS; on Windows, install it in WSL")

#: The modules that have the public names; these are imported when a name is first used.
_MODULES = {
    "Report": "dintmac.reports.report",
    "read_report": "dintmac.reports.report",
    "report": "dintmac.reports.run",
    "write_report": "dintmac.reports.report",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
