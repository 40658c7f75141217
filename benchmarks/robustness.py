"""How far areas move with the order of cells in a library's file, and with another build of Yosys.

    pip install pyosys
    python benchmarks/robustness.py --library nangate45 --library sky130hd --library sg13g2

Maps MAC, dot product and processing element in three formats: with the library as it is, with its
cells in three other orders, and with the native Yosys of the package ``pyosys`` and its own ABC.
Prints each area over the first one; exits with 1 if one of them is off by more than 1 %.
"""

from __future__ import annotations

import argparse
import os
import random
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.hdl.yosys import find_yosys
from dintmac.synth.cells import cells_of
from dintmac.synth.liberty import Library, find_libraries
from dintmac.synth.synthesis import synthesize

SEEDS = (1, 2, 3)
TOLERANCE = 0.01

#: Takes what dintmac gives to Yosys: ``-V``, ``-p COMMAND`` or ``-q -l LOG -s SCRIPT``.
NATIVE = """\
#!{python}
import sys
from importlib.metadata import version
from pyosys import libyosys

if sys.argv[1] == "-V":
    print("Yosys", version("pyosys"))
elif sys.argv[1] == "-p":
    libyosys.Design().run_pass(sys.argv[2])
else:
    _, _, log, _, script = sys.argv[1:]
    libyosys.Design().run_pass(f"tee -q -o {{log}} script {{script}}")
"""


def area(configuration: Configuration, library: Library) -> float:
    cells = cells_of(library)
    return synthesize(export(configuration), library, cells).area(cells)


def shuffled(library: Library, folder: Path, seed: int) -> Library:
    """The library, read from a file with its cells in another order."""
    names = sorted(library.facts)
    random.Random(seed).shuffle(names)
    path = folder / f"{library.name}_{seed}.lib"
    path.write_text(library.text(names), "utf-8")
    return Library.read(path)


@contextmanager
def native_yosys(folder: Path) -> Iterator[None]:
    """Everything runs on the native Yosys meanwhile."""
    program = folder / "yosys"
    program.write_text(NATIVE.format(python=sys.executable), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    os.environ["DINTMAC_YOSYS"] = str(program)
    find_yosys.cache_clear()
    try:
        yield
    finally:
        del os.environ["DINTMAC_YOSYS"]
        find_yosys.cache_clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", action="append", required=True, metavar="NAME|PATH")
    parser.add_argument("--architecture", default="nr4sd", metavar="NAME")
    options = parser.parse_args()
    if find_spec("pyosys") is None:
        parser.error("the native Yosys is missing: pip install pyosys")
    worst = 0.0
    print("| library | design | area | shuffled 1 | 2 | 3 | native |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for library in find_libraries(options.library):
            others = [shuffled(library, folder, seed) for seed in SEEDS]
            for design in ("mac", "dot", "pe"):
                for format in (INT8, INT4, DINT4):
                    configuration = Configuration(design, format, options.architecture)
                    first = area(configuration, library)
                    areas = [area(configuration, other) for other in others]
                    with native_yosys(folder):
                        areas.append(area(configuration, library))
                    moved = [value / first - 1 for value in areas]
                    worst = max(worst, *map(abs, moved))
                    shown = " | ".join(f"{m:+.2%}" for m in moved)
                    print(
                        f"| {library.name} | {configuration.name} | {first:.1f} | {shown} |",
                        flush=True,
                    )
    print(f"\nThe greatest difference is {worst:.2%}; at most {TOLERANCE:.0%} is allowed.")
    return worst > TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
