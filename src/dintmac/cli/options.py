"""Options that several verbs have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.hdl.designs import Configuration

__all__ = ["DESIGN_HELP", "add_configuration", "configuration_of"]

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
