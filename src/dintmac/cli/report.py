"""``dintmac report``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac.cli import EXIT_FAILED, say
from dintmac.cli.console import bar
from dintmac.cli.options import DESIGN_HELP, LIBRARY_HELP, add_dont_use, libraries_of

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.golden.workload import Workload
    from dintmac.synth.liberty import Library


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
        help=f"{DESIGN_HELP}; can be repeated (all but fused if not given)",
    )
    verb.add_argument(
        "--format",
        action="append",
        metavar="NAME",
        help="weight format: int2 to int8, dint3 to dint8, fp4, or macs for int8, dint8 to dint3, "
        "int4 and fp4; can be repeated (int8, int4 and dint4 if not given)",
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
    from dintmac.golden.files import check_folder
    from dintmac.reports.report import summary, write_report
    from dintmac.synth.check import CheckError
    from dintmac.synth.measure import measure_all, tools
    from dintmac.synth.ratios import ratios_of
    from dintmac.synth.selection import contenders, selected

    if options.jobs < 1:
        raise ValueError(f"jobs must be positive, not {options.jobs}")
    check_folder(options.output)
    if options.quick and options.library:
        raise ValueError("--quick measures the bundled library alone; give it without --library")
    if options.quick and options.growth:
        raise ValueError("--quick measures the default sizes alone; give it without --growth")
    designs = options.design and list(dict.fromkeys(options.design))
    names = options.library or (["ge"] if options.quick else None)
    libraries = libraries_of(names, options)
    formats = _report_formats(options.format)
    if options.quick:
        configurations = contenders(designs, formats, behavioural=options.behavioural)
    else:
        configurations = selected(
            designs, formats, growth=options.growth, behavioural=options.behavioural
        )
    data = _report_data(options.workload, formats)
    targets = {library: _targets(options.target_delay, library) for library in libraries}
    if options.target_delay and not any(len(t) > 1 for t in targets.values()):
        raise ValueError(
            "target delay must go with a library that states delays, "
            f"but {', '.join(library.name for library in libraries)} does not"
        )
    jobs = [
        (c, library, target)
        for library in libraries
        for c in configurations
        for target in targets[library]
    ]
    try:
        with bar("measuring netlists", len(jobs)) as (progress, task):
            records = measure_all(
                jobs,
                data=data,
                workers=options.jobs,
                progress=lambda done, total, record: progress.update(task, completed=done),
            )
    except CheckError as error:
        say(error)
        return EXIT_FAILED
    report = write_report(records, ratios_of(records), tools(), options.output)
    print(report if options.json else summary(options.output))
    return 0


def _targets(target_delays: list[float] | None, library: Library) -> list[float | None]:
    """None, which stands for the smallest area, and the delays that are asked for."""
    from dintmac.synth.timing import has_delays

    return [None, *dict.fromkeys(target_delays or [])] if has_delays(library) else [None]


def _report_formats(names: list[str] | None) -> list[Format]:
    """The formats of these names, or those of the paper's comparison."""
    from dintmac.golden.formats import DINT4, INT4, INT8, parse
    from dintmac.golden.variants import MAC_FORMATS

    if names is None:
        return [INT8, INT4, DINT4]
    named = [one for name in names for one in (MAC_FORMATS if name == "macs" else [name])]
    return list(dict.fromkeys(map(parse, named)))


def _report_data(paths: list[Path] | None, formats: list[Format]) -> dict[str, Workload]:
    """Workloads by the name of their format: those of files, or Gaussian ones."""
    from dintmac.golden.formats import INT8
    from dintmac.golden.workload import load
    from dintmac.synth.stimuli import gaussian

    if not paths:
        return {format.name: gaussian(format) for format in formats}
    # INT8 is a mode of fused as well.
    measured = {INT8.name, *(format.name for format in formats)}
    found: dict[str, Path] = {}
    data: dict[str, Workload] = {}
    for path in paths:
        workload = load(path)
        name = workload.format.name
        if name not in measured:
            raise ValueError(f"workload {path} is of {name}, which is not measured")
        if name in found:
            raise ValueError(f"workloads {found[name]} and {path} are both of {name}")
        found[name], data[name] = path, workload
    return data
