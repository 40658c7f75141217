"""``dintmac report``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dintmac.cli import EXIT_FAILED, say
from dintmac.cli.console import counter
from dintmac.cli.options import LIBRARY_HELP, add_dont_use, design_help, format_help

SUMMARY = (
    "measure the designs in every Liberty library found, check every netlist, and write "
    "report.json, report.md, report.html and plots"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument(
        "--quick",
        action="store_true",
        help="measure mac, dot and pe in the bundled library alone, in the architectures that can "
        "be smallest there",
    )
    verb.add_argument(
        "--behavioural",
        action="store_true",
        help="measure what the synthesis tool makes of * and + as well",
    )
    verb.add_argument(
        "--library",
        action="append",
        metavar="NAME|PATH",
        help=f"{LIBRARY_HELP}; can be repeated (all that are found if not given)",
    )
    add_dont_use(verb)
    verb.add_argument(
        "--design",
        action="append",
        metavar="DESIGN",
        help=f"{design_help()}; can be repeated (all but fused if not given)",
    )
    verb.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help=f"{format_help()}, and macs for all that are compared by area; can be repeated (int8, "
        "int4 and dint4 if not given)",
    )
    verb.add_argument(
        "--growth",
        action="store_true",
        help="measure more sizes of dot product and processing element as well, without "
        "architectures that others beat in area and energy",
    )
    verb.add_argument(
        "--workload",
        action="append",
        type=Path,
        metavar="FILE.npz",
        help="what energy is measured on, a file for each format (examples/minilm_workload.py "
        "makes some); can be repeated (Gaussian data if not given)",
    )
    verb.add_argument(
        "--target-delay",
        action="append",
        type=float,
        metavar="NS",
        help="a clock period in ns to map for, beside the smallest area, in libraries that state "
        "delays; can be repeated",
    )
    verb.add_argument(
        "--output", type=Path, default=Path("build/report"), metavar="FOLDER", help="where to write"
    )
    verb.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="netlists measured side by side"
    )
    verb.add_argument("--json", action="store_true", help="print report.json instead of a table")


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    import dintmac
    from dintmac.reports.report import report_text, summary
    from dintmac.synth.check import CheckError

    given = {"formats": options.format} if options.format else {}
    try:
        with counter("measuring netlists") as progress:
            made = dintmac.report(
                options.output,
                designs=options.design,
                libraries=options.library,
                dont_use=options.dont_use,
                workloads=options.workload or (),
                target_delays_ns=options.target_delay or (),
                quick=options.quick,
                growth=options.growth,
                behavioural=options.behavioural,
                jobs=options.jobs,
                progress=lambda done, total, record: progress(done, total),
                note=say,
                **given,
            )
    except CheckError as error:
        say(error)
        return EXIT_FAILED
    if options.json:
        print(report_text(made), end="")
        return 0
    print(f"{summary(made)} Written to {options.output}: report.html has it all.")
    return 0
