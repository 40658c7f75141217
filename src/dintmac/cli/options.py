"""Options that several verbs have."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dintmac.cli import say

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.hdl.configuration import Configuration
    from dintmac.synth.liberty import Library

__all__ = [
    "LIBRARY_HELP",
    "add_configuration",
    "add_dont_use",
    "add_parameters",
    "configuration_of",
    "design_help",
    "format_help",
    "libraries_of",
    "parameters_of",
]

LIBRARY_HELP = (
    "a library by name, as a .lib or .lib.gz file, or as the files or the folder that make up one: "
    "a.lib,b.lib, FOLDER, or with a name NAME=a.lib,b.lib, NAME=FOLDER"
)


def format_help() -> str:
    """What the weight formats are."""
    from dintmac.golden.formats import FORMATS, named

    return f"weight format: {named(FORMATS.values())}"


def design_help() -> str:
    """What the designs are."""
    from dintmac.hdl.catalog import DESIGNS

    return "; ".join(f"{name}: {design.summary}" for name, design in DESIGNS.items())


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
    from dintmac.hdl.parameters import PARAMETERS

    verb.add_argument("design", metavar="DESIGN", help=design_help())
    verb.add_argument(
        "--format",
        metavar="NAME",
        help=f"{format_help()} (a workload's own, dint4 otherwise, if not given)",
    )
    verb.add_argument(
        "--architecture",
        metavar="NAME",
        help=f"how products are made: {', '.join(ARCHITECTURES)} (the first that suits the format "
        "if not given)",
    )
    add_parameters(verb, PARAMETERS)


def add_parameters(verb: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Parameters of designs, with the default of each design."""
    from dintmac.hdl.catalog import DESIGNS
    from dintmac.hdl.parameters import PARAMETERS

    for name in names:
        defaults = {design: d.defaults[name] for design, d in DESIGNS.items() if name in d.defaults}
        said = ", ".join(f"{design} {default}" for design, default in defaults.items())
        verb.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            metavar="N",
            help=f"{PARAMETERS[name].summary} (default: {said})",
        )


def parameters_of(options: argparse.Namespace) -> dict[str, int]:
    """The parameters of designs that are given."""
    from dintmac.hdl.parameters import PARAMETERS

    values = {name: getattr(options, name, None) for name in PARAMETERS}
    return {name: value for name, value in values.items() if value is not None}


def configuration_of(options: argparse.Namespace, format: Format | None = None) -> Configuration:
    """The configuration of the options; ``format`` overrides theirs."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.configuration import Configuration

    chosen = format or parse(options.format or "dint4")
    parameters = parameters_of(options)
    return Configuration(options.design, chosen, options.architecture or "", parameters)
