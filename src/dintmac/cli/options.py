"""Options that several verbs have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dintmac.cli import say

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.hdl.designs import Configuration
    from dintmac.synth.liberty import Library

__all__ = [
    "DESIGN_HELP",
    "LIBRARY_HELP",
    "add_configuration",
    "add_dont_use",
    "configuration_of",
    "libraries_of",
]

#: Parameters of designs: option, and what it means.
_PARAMETERS = {
    "depth": "greatest number of products in a sum; fixes the accumulator's width",
    "lanes": "products that a dot product or processing element adds",
    "outputs": "sums of a processing element that share its activations",
    "rows": "processing elements that a partial sum passes",
    "columns": "processing elements that an activation passes",
    "operand-register": "1: a stage for what depends on activations alone",
    "tree-register": "rows of the register amid the adder tree, such as 2 before the last adder; "
    "0: none",
    "fast-adder": "1: the last adder is a parallel-prefix adder; 0: a ripple",
    "carry-save": "1: the carries of the accumulator are resolved at the end of a sum",
    "double-buffered": "1: weights can be loaded while others are in use",
}

DESIGN_HELP = (
    "mac: multiply-accumulate unit; dot: dot product; pe: weight-stationary processing element; "
    "tile: systolic tile of processing elements; "
    "fused: processing element for 4-bit and for INT8 weights"
)

LIBRARY_HELP = (
    "a library by name, as a .lib or .lib.gz file, or as the files or the folder that make up one: "
    "a.lib,b.lib, FOLDER, or with a name NAME=a.lib,b.lib, NAME=FOLDER"
)


def add_dont_use(verb: argparse.ArgumentParser) -> None:
    """Cells to do without."""
    verb.add_argument(
        "--dont-use",
        action="append",
        default=[],
        metavar="PATTERN",
        help="names of cells to do without, with *, ? and [...] as in a shell; can be repeated",
    )


def libraries_of(names: Sequence[str] | None, options: argparse.Namespace) -> list[Library]:
    """The libraries of these names, without what :func:`add_dont_use` bars.

    Standard error gets the names of cells that are left alone in them.
    """
    from dintmac.synth.liberty import find_libraries

    libraries = find_libraries(names, options.dont_use)
    for library in libraries:
        if library.left_alone:
            say(f"{library.name}: {library.left_alone}")
    return libraries


def add_configuration(verb: argparse.ArgumentParser) -> None:
    """A design with all that fixes its hardware."""
    from dintmac.hdl.architectures import ARCHITECTURES
    from dintmac.hdl.designs import DEFAULTS, OPTIONS

    verb.add_argument("design", metavar="DESIGN", help=DESIGN_HELP)
    verb.add_argument(
        "--format",
        metavar="NAME",
        help="weight format: int2 to int8, dint3 to dint8 or fp4 "
        "(a workload's own, dint4 otherwise, if not given)",
    )
    verb.add_argument(
        "--architecture",
        metavar="NAME",
        help=f"how products are made: {', '.join(ARCHITECTURES)} (the first that suits the format "
        "if not given)",
    )
    for option, meaning in _PARAMETERS.items():
        known = {d: DEFAULTS[d] | OPTIONS[d] for d in DEFAULTS}
        name = option.replace("-", "_")
        defaults = ", ".join(f"{d} {known[d][name]}" for d in known if name in known[d])
        verb.add_argument(
            f"--{option}", type=int, metavar="N", help=f"{meaning} (default: {defaults})"
        )


def configuration_of(options: argparse.Namespace, format: Format | None = None) -> Configuration:
    """The configuration of the options; ``format`` overrides theirs."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.designs import Configuration

    chosen = format or parse(options.format or "dint4")
    names = [option.replace("-", "_") for option in _PARAMETERS]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Configuration(options.design, chosen, options.architecture or "", given)
