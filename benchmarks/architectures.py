"""Area of processing elements and dot products by architecture, from fresh syntheses.

    python benchmarks/architectures.py --lanes 16 --outputs 4 [--library NAME|PATH ...]

Prints tables as Markdown: for each library where the area of a processing element goes, then totals
and ratios of all libraries side by side, and last, dot products with their registers. Netlists are
not checked here; ``dintmac report`` checks what it reports.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
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
    (re.compile(r"_(inner_product|shifter)(_\d+)?$"), "adders"),
)
#: The baseline of the field, given everything that dINT4 is given.
BOOTH = "booth_folded"


@dataclass(frozen=True)
class Row:
    """Areas of a design by part."""

    format: Format
    architecture: str
    areas: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.format.name} `{self.architecture}`"

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


def measure_all(design: str, sizes: dict[str, int], library: Library) -> list[Row]:
    """A row for each architecture that the design can have."""
    cells = cells_of(library, Cache())
    rows = []
    for format in (INT8, INT4, DINT4):
        for architecture in architectures_of(format, resident=True):
            if architecture.generator is not None:
                configuration = Configuration(design, format, architecture.name, sizes)
                print(f"{configuration.name} in {library.name}", file=sys.stderr, flush=True)
                rows.append(measure(configuration, library, cells))
    return rows


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def print_parts(title: str, rows: Sequence[Row], products: int) -> None:
    """Print the area for each product and where it goes."""
    print_table(
        title,
        ("total", *PARTS),
        [
            [row.name, *(f"{area / products:.1f}" for area in (row.total, *row.areas.values()))]
            for row in rows
        ],
    )


def print_totals(title: str, tables: dict[str, list[Row]], products: int) -> None:
    """Print the area for each product, libraries side by side."""
    lines = zip(*tables.values(), strict=True)
    cells = [[rows[0].name, *(f"{row.total / products:.1f}" for row in rows)] for rows in lines]
    print_table(title, list(tables), cells)


def print_ratios(title: str, tables: dict[str, list[Row]]) -> None:
    """Print the ratios between formats, libraries side by side, each with its architecture."""
    lines = [
        [f"INT8 `{BOOTH}` / dINT4"],
        ["smallest INT8 / dINT4"],
        ["dINT4 / smallest INT4"],
    ]
    for rows in tables.values():
        int8, int4, dint4 = (_smallest(rows, format) for format in (INT8, INT4, DINT4))
        (booth,) = (row for row in rows if row.architecture == BOOTH)
        lines[0].append(f"{booth.total / dint4.total:.3f}")
        lines[1].append(f"{int8.total / dint4.total:.3f} (`{int8.architecture}`)")
        lines[2].append(f"{dint4.total / int4.total:.3f} (`{int4.architecture}`)")
    print_table(title, list(tables), lines)


def _smallest(rows: Sequence[Row], format: Format) -> Row:
    return min((row for row in rows if row.format == format), key=lambda row: row.total)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=4)
    parser.add_argument("--library", action="append", metavar="NAME|PATH")
    arguments = parser.parse_args()
    sizes = {"lanes": arguments.lanes, "outputs": arguments.outputs}
    size, products = f"{arguments.lanes} × {arguments.outputs}", arguments.lanes * arguments.outputs
    libraries = find_libraries(arguments.library)
    elements = {}
    for library in libraries:
        elements[library.name] = measure_all("pe", sizes, library)
        print_parts(f"{size}, {library.name}", elements[library.name], products)
    print_totals(f"{size}, totals", elements, products)
    print_ratios(size, elements)
    lanes = {"lanes": arguments.lanes}
    dots = {library.name: measure_all("dot", lanes, library) for library in libraries}
    print_totals(f"dot product, {arguments.lanes} lanes", dots, 1)


if __name__ == "__main__":
    main()
