"""``dintmac prove``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from dintmac.cli import EXIT_FAILED, say
from dintmac.cli.console import print_json
from dintmac.cli.options import (
    LIBRARY_HELP,
    add_dont_use,
    add_parameters,
    libraries_of,
    parameters_of,
)

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.hdl.configuration import Configuration
    from dintmac.synth.liberty import Library
    from dintmac.synth.proof import Proof


#: What is proved if no format is named.
_FORMATS = ("int8", "int4", "dint4")

SUMMARY = (
    "map designs to cells and prove the netlists: products and sums of 4-bit weights by a SAT "
    "solver, products of wider weights one by one, the control logic by SymbiYosys"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    from dintmac.hdl.catalog import DESIGNS
    from dintmac.hdl.parameters import Stages

    verb.add_argument(
        "design",
        nargs="*",
        metavar="DESIGN",
        help=f"{', '.join(DESIGNS)} (all that suit if not given); of tile and fused, "
        "and with --carry-save, the control logic alone",
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
    verb.add_argument("--lanes", type=int, default=2, metavar="N", help="lanes of all but mac")
    add_parameters(verb, vars(Stages()))
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
    """Small designs of one output, with the lanes and stages that are asked for.

    What is named must suit; of designs and formats that are not named, those that do are taken.
    """
    from dintmac.golden.formats import parse
    from dintmac.hdl.catalog import DESIGNS
    from dintmac.hdl.configuration import Configuration
    from dintmac.synth.verify.control import CLAIMS, claims_of

    stages = {name: value for name, value in parameters_of(options).items() if name != "lanes"}
    every_format = [parse(name) for name in options.format or _FORMATS]

    def parameters(design: str) -> dict[str, int]:
        given = {"lanes": options.lanes, "outputs": 1}
        sizes = DESIGNS.find(design).sizes
        claims_of(design)
        return {name: given[name] for name in sizes if name in given} | stages

    def architectures(design: str, format: Format) -> list[str]:
        built = DESIGNS[design].built_architectures(format)
        every = [a.name for a in DESIGNS[design].architectures_of(format)]
        return [a for a in (built if stages else every) if options.architecture in (None, a)]

    def suiting(design: str) -> list[Format]:
        has_stages = stages.keys() <= set(DESIGNS.find(design).stages)
        return [f for f in every_format if has_stages and architectures(design, f)]

    def formats(design: str) -> list[Format]:
        all_named = options.design and options.format
        return every_format if all_named else suiting(design) or every_format

    designs = options.design or [d for d in CLAIMS if suiting(d)] or CLAIMS
    # What is wrong is said before anything is mapped.
    return [
        Configuration(design, format, architecture, chosen)
        for design in designs
        for chosen in [parameters(design)]
        for format in formats(design)
        for architecture in architectures(design, format) or [options.architecture or ""]
    ]
