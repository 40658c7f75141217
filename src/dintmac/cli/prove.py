"""``dintmac prove``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from dintmac.cli import EXIT_FAILED, say
from dintmac.cli.console import print_json
from dintmac.cli.options import LIBRARY_HELP, add_dont_use, libraries_of

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.hdl.configuration import Configuration
    from dintmac.synth.liberty import Library
    from dintmac.synth.proof import Proof


SUMMARY = (
    "map designs to cells and prove the netlists: products and sums of 4-bit weights and the "
    "control logic by a SAT solver, products of wider weights one by one"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument(
        "design",
        nargs="*",
        metavar="DESIGN",
        help="mac, dot, pe or tile (all of them if not given); of a tile the control logic alone",
    )
    verb.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="weight format; can be repeated (int8, int4 and dint4 if not given)",
    )
    verb.add_argument(
        "--architecture",
        metavar="NAME",
        help="how products are made (all architectures of the design and format if not given)",
    )
    verb.add_argument("--library", default="ge", metavar="NAME|PATH", help=LIBRARY_HELP)
    add_dont_use(verb)
    verb.add_argument("--lanes", type=int, default=2, metavar="N", help="lanes of dot, pe and tile")
    verb.add_argument("--json", action="store_true", help="print the proofs as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dataclasses import asdict

    from dintmac.synth.workers import share_out

    (library,) = libraries_of([options.library], options)
    configurations = _configurations(options)
    found: list[dict[str, object]] = []
    failures: list[str] = []

    def finish(index: int, outcome: tuple[list[Proof], str]) -> None:
        name, (proofs, failure) = configurations[index].name, outcome
        for proof in proofs:
            found.append({"netlist": name, **asdict(proof)})
            if not options.json:
                what = f"{name}: {proof.claim} ({proof.method})"
                print(f"proved  {proof.seconds:7.2f} s  {what}", flush=True)
        if failure:
            say(failure)
            failures.append(failure)

    # In a process of its own, which can be killed: a solver that is busy hears no signal.
    share_out(partial(_prove, library=library), configurations, 1, finish)
    if options.json:
        print_json(found)
    return EXIT_FAILED if failures else 0


def _prove(configuration: Configuration, library: Library) -> tuple[list[Proof], str]:
    """What was proved of a netlist, and what failed then."""
    from dintmac.synth.proof import ProofError, prove

    proofs: list[Proof] = []
    try:
        for proof in prove(configuration, library):
            proofs.append(proof)
    except ProofError as error:
        return proofs, str(error)
    return proofs, ""


def _configurations(options: argparse.Namespace) -> list[Configuration]:
    """Small designs of one output, with the lanes that are asked for."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.catalog import DESIGNS
    from dintmac.hdl.configuration import Configuration
    from dintmac.synth.properties import PROPERTIES

    def sizes(design: str) -> dict[str, int]:
        if design not in PROPERTIES:
            raise ValueError(f"design must be one of {', '.join(PROPERTIES)}, not {design!r}")
        given = {"lanes": options.lanes, "outputs": 1}
        return {name: given[name] for name in DESIGNS[design].sizes if name in given}

    def architectures(design: str, format: Format) -> list[str]:
        if options.architecture:
            return [options.architecture]
        return [a.name for a in DESIGNS[design].architectures_of(format)]

    # What is wrong is said before anything is mapped.
    return [
        Configuration(design, format, architecture, chosen)
        for design in options.design or PROPERTIES
        for chosen in [sizes(design)]
        for format in map(parse, options.format or ("int8", "int4", "dint4"))
        for architecture in architectures(design, format)
    ]
