"""Area of processing elements and dot products by architecture, from fresh syntheses.

    python benchmarks/architectures.py --lanes 16 --outputs 4 [--library NAME|PATH ...]

One row an architecture: the area of a processing element for each product and where it goes, then
the ratios between formats. Dot products stand in a table of their own. Netlists are not checked
here; ``dintmac report`` checks what it reports.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from dintmac.golden.formats import DINT4, INT4, INT8, Format
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.designs import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth.cache import Cache
from dintmac.synth.cells import Cells, cells_of
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.synthesis import synthesize

PARTS = ("registers", "operands", "products", "adders", "control")
_PART_OF_MODULE = (
    (re.compile(r"_group_partial_products(_\d+)?$"), "products"),
    (re.compile(r"_operands(_\d+)?$"), "operands"),
    (re.compile(r"_inner_product(_\d+)?$"), "adders"),
)


@dataclass(frozen=True)
class Row:
    """Areas of a design by part."""

    format: Format
    architecture: str
    areas: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.areas.values())


def measure(configuration: Configuration, library: Library, cells: Cells) -> Row:
    """Synthesize a design and tell its area apart by module."""
    mapped = synthesize(export(configuration), library, cells)
    sequential = cells.flip_flops | cells.clock_gates.keys()
    areas = dict.fromkeys(PARTS, 0.0)
    for module, instances in mapped.instances().items():
        part = next((p for pattern, p in _PART_OF_MODULE if pattern.search(module)), "control")
        for kind, number in mapped.cells_of(module).items():
            where = "registers" if kind in sequential else part
            areas[where] += instances * number * cells.areas[kind]
    return Row(configuration.format, configuration.architecture, areas)


def print_table(title: str, rows: list[Row], products: int) -> None:
    """Print areas for each product."""
    print(f"\n{title}, area for each product")
    print(f"{'':22}{'total':>9}" + "".join(f"{part:>11}" for part in PARTS))
    for row in rows:
        parts = "".join(f"{row.areas[part] / products:11.1f}" for part in PARTS)
        name = f"{row.format.name} {row.architecture}"
        print(f"{name:22}{row.total / products:9.1f}{parts}")


def print_ratios(rows: list[Row]) -> None:
    """Print INT8 and INT4 against the smallest dINT4, each with its architecture."""
    dint4 = min((r for r in rows if r.format == DINT4), key=lambda r: r.total)
    for row in rows:
        if row.format == INT8:
            print(f"INT8 {row.architecture} / dINT4 {dint4.architecture}: "
                  f"{row.total / dint4.total:.3f}")  # fmt: skip
    int4 = min((r for r in rows if r.format == INT4), key=lambda r: r.total)
    print(f"dINT4 {dint4.architecture} / INT4 {int4.architecture}: {dint4.total / int4.total:.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=4)
    parser.add_argument("--library", action="append", metavar="NAME|PATH")
    arguments = parser.parse_args()
    designs = {
        "dot": {"lanes": arguments.lanes},
        "pe": {"lanes": arguments.lanes, "outputs": arguments.outputs},
    }
    for library in find_libraries(arguments.library):
        cells = cells_of(library, Cache())
        for design, sizes in designs.items():
            rows = [
                measure(Configuration(design, format, architecture.name, sizes), library, cells)
                for format in (INT8, INT4, DINT4)
                for architecture in architectures_of(format, resident=design == "pe")
                if architecture.generator is not None
            ]
            size = " × ".join(map(str, sizes.values()))
            title = f"{library.name}, {design} {size}"
            print_table(title, rows, sizes["lanes"] * sizes.get("outputs", 1))
            print_ratios(rows)


if __name__ == "__main__":
    main()
