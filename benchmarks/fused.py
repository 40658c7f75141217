"""Area of the element for two precisions against elements for INT8, from fresh syntheses.

    python benchmarks/fused.py --pairs 16 --outputs 4 [--library NAME|PATH ...]

Pairs of lanes are compared with as many INT8 lanes: equal INT8 throughput. Areas are for each INT8
product. Throughput per area of 4-bit weights is twice the inverse ratio of areas. Netlists are not
checked here; ``dintmac report --design fused`` checks what it measures.
"""

from __future__ import annotations

import argparse

from architectures import Row, measure, print_parts

from dintmac.golden.formats import DINT4, INT4, INT8, Format
from dintmac.hdl.designs import Configuration
from dintmac.synth.cache import Cache
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import Library, find_libraries

#: Elements for INT8 alone.
BASELINES = ("booth_folded", "nr4sd")
#: What a fused element is made of, without the mode.
PURE = "nr4sd"


def rows_of(library: Library, pairs: int, outputs: int) -> tuple[list[Row], list[Row], list[Row]]:
    """INT8 elements, fused ones, and pure 4-bit ones of as many lanes as these."""
    cells = cells_of(library, Cache())

    def row(design: str, format: Format, architecture: str, lanes: int) -> Row:
        sizes = {"lanes": lanes, "outputs": outputs}
        return measure(Configuration(design, format, architecture, sizes), library, cells)

    baselines = [row("pe", INT8, architecture, pairs) for architecture in BASELINES]
    fused = [row("fused", format, "", 2 * pairs) for format in (DINT4, INT4)]
    pure = [row("pe", format, PURE, 2 * pairs) for format in (DINT4, INT4)]
    return baselines, fused, pure


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--outputs", type=int, default=4)
    parser.add_argument("--library", action="append", metavar="NAME|PATH")
    arguments = parser.parse_args()
    products = arguments.pairs * arguments.outputs
    for library in find_libraries(arguments.library):
        baselines, fused, pure = rows_of(library, arguments.pairs, arguments.outputs)
        title = f"{library.name}, {arguments.pairs} pairs × {arguments.outputs}"
        print_parts(title, baselines + fused + pure, products)
        for candidate in fused + pure:
            name = f"{candidate.format.name} {candidate.architecture}"
            for baseline in baselines:
                ratio = candidate.total / baseline.total
                print(
                    f"{name} / INT8 {baseline.architecture}: area {ratio:.3f}, "
                    f"{candidate.format.name} throughput per area {2 / ratio:.3f}"
                )


if __name__ == "__main__":
    main()
