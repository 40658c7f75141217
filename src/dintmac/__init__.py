"""dINT MAC units: golden model, Amaranth hardware, simulation, synthesis and reports."""

__version__ = "0.1.0"
