"""dINT MAC units: golden model, Amaranth hardware, simulation, synthesis and reports."""

import sys

__version__ = "0.1.0"

if sys.platform == "win32":
    raise ImportError("dintmac runs on Linux and macOS; on Windows, install it in WSL")
