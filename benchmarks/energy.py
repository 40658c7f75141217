"""Energy per MAC of MACs, dot products and processing elements, by part.

    python benchmarks/energy.py --library nangate45
    python benchmarks/energy.py --library nangate45 --workload minilm_int8.npz minilm_dint4.npz

Without workload files (examples/minilm_workload.py makes some, one for each format) the data are
Gaussian. Prints a table in Markdown; what was measured before comes from the cache.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dintmac
from dintmac.reports.elements import energy_table
from dintmac.reports.pages import markdown_table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--library", action="append", help="name or file, repeatable")
    parser.add_argument("--workload", type=Path, nargs="+", default=[], metavar="FILE")
    arguments = parser.parse_args()
    report = dintmac.report(
        designs=["mac", "dot", "pe"], libraries=arguments.library, workloads=arguments.workload
    )
    print(markdown_table(energy_table(report.records)))


if __name__ == "__main__":
    main()
