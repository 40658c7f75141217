"""The command line: one verb a job, each a thin shell over the rooms.

Results go to standard output, progress and errors to standard error. Exit status: 0 success, 1 a
check failed, 2 wrong input or a missing tool, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac import __version__

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dintmac.golden.formats import Format
    from dintmac.hdl.designs import Configuration
    from dintmac.sim.simulators import Simulator

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

#: Sizes of designs: option, and what it counts.
_SIZES = {
    "depth": "greatest number of products in a sum; fixes the accumulator's width",
    "lanes": "products that a dot product or processing element adds",
    "outputs": "sums of a processing element that share its activations",
    "rows": "processing elements that a partial sum passes",
    "columns": "processing elements that an activation passes",
}

_DESIGN_HELP = (
    "mac: multiply-accumulate unit; dot: dot product; pe: weight-stationary processing element; "
    "tile: systolic tile of processing elements; "
    "fused: processing element for 4-bit and for INT8 weights"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dintmac`` and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("dintmac: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has left; Python must not complain about it again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        if os.environ.get("DINTMAC_TRACEBACK"):
            raise
        print(f"dintmac: {_sentence(error)}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    return status


def _sentence(error: Exception) -> str:
    """One line that says what was wrong."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _failed(error: Exception) -> int:
    """Say that hardware and golden model differ, which is no fault of the input."""
    print(f"dintmac: {_sentence(error)}", file=sys.stderr)
    return EXIT_FAILED


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or isinstance(action.default, bool):
            return action.help
        return super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dintmac",
        description="MAC units for 4-bit dINT weights and 8-bit activations: simulate them, "
        "export Verilog, and measure what they cost against INT8.",
        formatter_class=_HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dintmac {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_report(verbs)
    _add_simulate(verbs)
    _add_verilog(verbs)
    _add_doctor(verbs)
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=summary, formatter_class=_HelpFormatter)
    verb.set_defaults(run=run)
    return verb


# report


def _add_report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(
        verbs,
        "report",
        "measure the designs in every Liberty library found, check every netlist, and write "
        "report.json, report.md, report.html and plots",
        _report,
    )
    verb.add_argument("--quick", action="store_true", help="measure in the bundled library alone")
    verb.add_argument(
        "--behavioural",
        action="store_true",
        help="measure what the synthesis tool makes of * and + as well",
    )
    verb.add_argument(
        "--library",
        action="append",
        metavar="NAME|PATH",
        help="a library by name or as a .lib or .lib.gz file; can be repeated "
        "(all that are found if not given)",
    )
    verb.add_argument(
        "--design",
        action="append",
        metavar="DESIGN",
        help=f"{_DESIGN_HELP}; can be repeated (all but fused if not given)",
    )
    verb.add_argument(
        "--output", type=Path, default=Path("build/report"), metavar="FOLDER", help="where to write"
    )
    verb.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="netlists measured side by side"
    )
    verb.add_argument("--json", action="store_true", help="print report.json instead of a table")


def _report(options: argparse.Namespace) -> int:
    from dintmac.reports.report import check_folder, summary, write_report
    from dintmac.synth.check import CheckError
    from dintmac.synth.liberty import find_libraries
    from dintmac.synth.measure import measure_all, tools
    from dintmac.synth.records import ratios_of

    if options.jobs < 1:
        raise ValueError(f"jobs must be positive, not {options.jobs}")
    check_folder(options.output)
    names = options.library or (["ge"] if options.quick else None)
    libraries = find_libraries(names)
    configurations = _report_configurations(options.design, behavioural=options.behavioural)
    jobs = [(c, library) for library in libraries for c in configurations]
    try:
        with _bar("measuring netlists", len(jobs)) as (bar, task):
            records = measure_all(
                jobs,
                workers=options.jobs,
                progress=lambda done, total, record: bar.update(task, completed=done),
            )
    except CheckError as error:
        return _failed(error)
    report = write_report(records, ratios_of(records), tools(), options.output)
    print(report if options.json else summary(options.output))
    return 0


def _report_configurations(designs: list[str] | None, *, behavioural: bool) -> list[Configuration]:
    """INT8, INT4 and dINT4 versions of the designs at equal sizes.

    ``fused`` takes INT8 in either version, and its sizes are not those of another design.
    """
    from dintmac.golden.formats import DINT4, INT4, INT8
    from dintmac.hdl.designs import DESIGNS, Configuration

    architectures = ("", "behavioural") if behavioural else ("",)
    single = [design for design in designs or DESIGNS if design != "fused"]
    configurations = [
        Configuration(design, format, architecture)
        for design in single
        for format in (INT8, INT4, DINT4)
        for architecture in architectures
    ]
    if designs and "fused" in designs:
        configurations += [Configuration("fused", format) for format in (INT4, DINT4)]
    return configurations


# simulate


def _add_simulate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(
        verbs,
        "simulate",
        "run the RTL bench of a design, or a real workload on the tile, against the golden model",
        _simulate,
    )
    _add_configuration(verb)
    verb.add_argument(
        "--workload",
        type=Path,
        metavar="FILE.npz",
        help="arrays 'activations' (int8, M×K) and 'weights' (uint8 codes, N×K), and 'format'",
    )
    verb.add_argument(
        "--simulator",
        metavar="NAME",
        help="icarus, verilator or amaranth (the quickest that is installed if not given)",
    )
    verb.add_argument(
        "--waveform", type=Path, metavar="FILE", help="write a waveform: .vcd or .fst"
    )
    verb.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")


def _simulate(options: argparse.Namespace) -> int:
    from dintmac.sim.simulators import find_simulator

    simulator = None if options.simulator is None else find_simulator(options.simulator)
    run = _simulate_bench if options.workload is None else _simulate_workload
    return run(options, simulator)


def _simulate_bench(options: argparse.Namespace, simulator: Simulator | None) -> int:
    from dintmac.sim.bench import run_bench

    with _fraction("simulating") as progress:
        result = run_bench(
            _configuration(options),
            simulator,
            seed=options.seed,
            waveform=options.waveform,
            progress=progress,
        )
    if options.json:
        _print_json(result.to_json())
    else:
        for test in result.tests:
            print(f"{'passed' if test.passed else 'FAILED'}  {test.cycles:8,} cycles  {test.name}")
            if not test.passed:
                print(f"        {test.message}")
        passed = sum(test.passed for test in result.tests)
        print(
            f"{result.configuration.name} on {result.simulator} {result.version}, "
            f"seed {result.seed}: {passed} of {len(result.tests)} tests passed, "
            f"{result.cycles:,} cycles"
        )
    return 0 if result.passed else EXIT_FAILED


def _simulate_workload(options: argparse.Namespace, simulator: Simulator | None) -> int:
    from dintmac.golden.formats import parse
    from dintmac.sim.streams import CheckError
    from dintmac.sim.workload import load, run_workload

    workload = load(options.workload, None if options.format is None else parse(options.format))
    configuration = _configuration(options, workload.format)
    try:
        with _fraction("streaming") as progress:
            result = run_workload(
                workload, configuration, simulator, waveform=options.waveform, progress=progress
            )
    except CheckError as error:
        return _failed(error)
    if options.json:
        _print_json(result.to_json())
    else:
        count = result.outputs.size
        rows, depth = workload.activations.shape
        print(
            f"{rows}×{depth} activations, {len(workload.weights)}×{depth} {workload.format.name} "
            f"weights on {configuration.name}, {result.simulator} {result.version}\n"
            f"{result.cycles:,} cycles in {result.passes:,} passes, "
            f"utilisation {result.utilisation:.2%}, latency {result.latency} cycles\n"
            f"{count - result.mismatches:,} of {count:,} outputs match the golden model"
        )
    return 0 if result.mismatches == 0 else EXIT_FAILED


# verilog


def _add_verilog(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(
        verbs,
        "verilog",
        "export a design as Verilog-2005, with its port map as JSON beside it",
        _verilog,
    )
    _add_configuration(verb)
    verb.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.v",
        help="Verilog file; the port map goes to FILE.json",
    )
    verb.add_argument(
        "--module",
        metavar="NAME",
        help="name of the top module and prefix of all others (the design's name if not given)",
    )


def _verilog(options: argparse.Namespace) -> int:
    from dintmac.hdl.verilog import export

    output: Path = options.output
    if output.is_dir() or output.suffix == ".json":
        raise ValueError(f"output must be a Verilog file, not {str(output)!r}")
    exported = export(_configuration(options), options.module)
    port_map = output.with_suffix(".json")
    _write(output, exported.verilog)
    _write(port_map, exported.port_map())
    print(f"{output}: module {exported.module}\n{port_map}: port map")
    return 0


def _write(path: Path, text: str) -> None:
    """Write a file that appears when it is complete."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


# doctor


def _add_doctor(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(
        verbs,
        "doctor",
        "show which tools and libraries are found and how to get the others",
        _doctor,
    )
    verb.add_argument("--json", action="store_true", help="print the findings as JSON")


def _doctor(options: argparse.Namespace) -> int:
    from dintmac.doctor import examine

    findings = examine()
    if options.json:
        _print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            state = finding.found or f"missing; {finding.remedy}"
            print(f"{finding.name:20}  {state}  ({finding.purpose})")
    missing = any(finding.required and not finding.found for finding in findings)
    return EXIT_FAILED if missing else 0


# shared


def _add_configuration(verb: argparse.ArgumentParser) -> None:
    from dintmac.hdl.designs import DEFAULTS

    verb.add_argument("design", metavar="DESIGN", help=_DESIGN_HELP)
    verb.add_argument(
        "--format",
        metavar="NAME",
        help="weight format: int2 to int8 or dint3 to dint8 "
        "(a workload's own, dint4 otherwise, if not given)",
    )
    verb.add_argument(
        "--architecture",
        metavar="NAME",
        help="booth (integers of more than 4 bits), digits (dINT and integers of up to 4 bits) "
        "or behavioural (the first that suits the format if not given)",
    )
    for size, meaning in _SIZES.items():
        defaults = ", ".join(f"{d} {sizes[size]}" for d, sizes in DEFAULTS.items() if size in sizes)
        verb.add_argument(
            f"--{size}", type=int, metavar="N", help=f"{meaning} (default: {defaults})"
        )


def _configuration(options: argparse.Namespace, format: Format | None = None) -> Configuration:
    """The configuration of the options; ``format`` overrides theirs."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.designs import Configuration

    chosen = format or parse(options.format or "dint4")
    sizes = {size: getattr(options, size) for size in _SIZES if getattr(options, size) is not None}
    return Configuration(options.design, chosen, options.architecture or "", sizes)


@contextlib.contextmanager
def _bar(what: str, total: float) -> Iterator[tuple[Progress, TaskID]]:
    """A progress bar on standard error, none where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar, bar.add_task(what, total=total)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


@contextlib.contextmanager
def _fraction(what: str) -> Iterator[Callable[[float], None]]:
    """A progress bar for what reports a fraction, 0 … 1."""
    with _bar(what, 1.0) as (bar, task):
        yield lambda fraction: bar.update(task, completed=fraction)
