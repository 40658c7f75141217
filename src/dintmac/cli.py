"""The command line: one verb a job, each a thin shell over the rooms.

Results go to standard output, progress and errors to standard error. Exit status: 0 success, 1 a
check failed, 2 wrong input or a missing tool, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac import __version__
from dintmac.console import HelpFormatter, Verbs, add_verb, bar, fraction, print_json
from dintmac.model_verbs import add_evaluate, add_quantize

if TYPE_CHECKING:
    from dintmac.golden.formats import Format
    from dintmac.golden.workload import Workload
    from dintmac.hdl.designs import Configuration
    from dintmac.sim.simulators import Simulator
    from dintmac.synth.liberty import Library

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130

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

_DESIGN_HELP = (
    "mac: multiply-accumulate unit; dot: dot product; pe: weight-stationary processing element; "
    "tile: systolic tile of processing elements; "
    "fused: processing element for 4-bit and for INT8 weights"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dintmac`` and return its exit status."""
    options = _parser().parse_args(arguments)
    # Whoever ends it is to find nothing half-written, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    except (ValueError, TypeError, OSError, RuntimeError, ModuleNotFoundError) as error:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dintmac",
        description="MAC units for 4-bit dINT weights and 8-bit activations: simulate them, "
        "export Verilog, measure what they cost against INT8, and quantize models for them.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dintmac {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_report(verbs)
    _add_simulate(verbs)
    _add_verilog(verbs)
    _add_prove(verbs)
    add_quantize(verbs)
    add_evaluate(verbs)
    _add_front(verbs)
    _add_doctor(verbs)
    return parser


# report


def _add_report(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "report",
        "measure the designs in every Liberty library found, check every netlist, and write "
        "report.json, report.md, report.html and plots",
        _report,
    )
    verb.add_argument(
        "--quick",
        action="store_true",
        help="measure in the bundled library alone, and the architectures that can be smallest",
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


def _report(options: argparse.Namespace) -> int:
    from dintmac.golden.files import check_folder
    from dintmac.reports.report import summary, write_report
    from dintmac.synth.check import CheckError
    from dintmac.synth.liberty import find_libraries
    from dintmac.synth.measure import measure_all, tools
    from dintmac.synth.ratios import ratios_of
    from dintmac.synth.selection import contenders, selected

    if options.jobs < 1:
        raise ValueError(f"jobs must be positive, not {options.jobs}")
    check_folder(options.output)
    names = options.library or (["ge"] if options.quick else None)
    libraries = find_libraries(names)
    formats = _report_formats(options.format)
    configurations = selected(
        options.design, formats, growth=options.growth, behavioural=options.behavioural
    )
    if options.quick:
        configurations = contenders(configurations)
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
        return _failed(error)
    report = write_report(records, ratios_of(records), tools(), options.output)
    print(report if options.json else summary(options.output))
    return 0


def _targets(target_delays: list[float] | None, library: Library) -> list[float | None]:
    """None, which stands for the smallest area, and the delays that are asked for."""
    from dintmac.synth.timing import has_delays

    return [None, *(target_delays or [])] if has_delays(library) else [None]


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
    from dintmac.golden.workload import load
    from dintmac.synth.stimuli import gaussian

    workloads = map(load, paths) if paths else map(gaussian, formats)
    return {workload.format.name: workload for workload in workloads}


# simulate


def _add_simulate(verbs: Verbs) -> None:
    verb = add_verb(
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

    with fraction("simulating") as progress:
        result = run_bench(
            _configuration(options),
            simulator,
            seed=options.seed,
            waveform=options.waveform,
            progress=progress,
        )
    if options.json:
        print_json(result.to_json())
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
    from dintmac.golden.workload import load
    from dintmac.sim.streams import CheckError
    from dintmac.sim.workload import run_workload

    workload = load(options.workload, None if options.format is None else parse(options.format))
    configuration = _configuration(options, workload.format)
    try:
        with fraction("streaming") as progress:
            result = run_workload(
                workload, configuration, simulator, waveform=options.waveform, progress=progress
            )
    except CheckError as error:
        return _failed(error)
    if options.json:
        print_json(result.to_json())
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


def _add_verilog(verbs: Verbs) -> None:
    verb = add_verb(
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
        help="Verilog file; the port map goes to FILE.json, of a device or pipe nowhere",
    )
    verb.add_argument(
        "--module",
        metavar="NAME",
        help="name of the top module and prefix of all others (the design's name if not given)",
    )


def _verilog(options: argparse.Namespace) -> int:
    from dintmac.golden.files import is_stream, write_files
    from dintmac.hdl.verilog import export

    output: Path = options.output
    if output.is_dir() or output.suffix == ".json":
        raise ValueError(f"output must be a Verilog file, not {str(output)!r}")
    exported = export(_configuration(options), options.module)
    if is_stream(output):
        # A device or pipe has no place for a second file, and may be standard output.
        write_files({output: exported.verilog})
        return 0
    port_map = output.with_suffix(".json")
    write_files({output: exported.verilog, port_map: exported.port_map()})
    print(f"{output}: module {exported.module}\n{port_map}: port map")
    return 0


# front


def _add_front(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "front",
        "join a report and an evaluation, and write which weight formats are on the Pareto front "
        "of accuracy against area and energy: front.md and front.png",
        _front,
    )
    verb.add_argument(
        "--report",
        type=Path,
        default=Path("build/report/report.json"),
        metavar="FILE",
        help="report.json of dintmac report --format macs",
    )
    verb.add_argument(
        "--evaluation",
        type=Path,
        default=Path("build/evaluate/evaluate.json"),
        metavar="FILE",
        help="evaluate.json of dintmac evaluate --format macs",
    )
    verb.add_argument(
        "--output", type=Path, default=Path("build/front"), metavar="FOLDER", help="where to write"
    )


def _front(options: argparse.Namespace) -> int:
    from dintmac.reports.evaluation import read_evaluation
    from dintmac.reports.front import summary, write_front
    from dintmac.reports.report import read_report

    records, evaluation = read_report(options.report).records, read_evaluation(options.evaluation)
    write_front(records, evaluation, options.output)
    print(f"{summary(records, evaluation)}\n\nWritten to {options.output}: front.md has it all.")
    return 0


# prove


def _add_prove(verbs: Verbs) -> None:
    verb = add_verb(
        verbs,
        "prove",
        "map designs to cells and prove the netlists: products and sums of 4-bit weights and the "
        "control logic by a SAT solver, products of wider weights one by one",
        _prove,
    )
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
    verb.add_argument(
        "--library", default="ge", metavar="NAME|PATH", help="library, by name or as a file"
    )
    verb.add_argument("--lanes", type=int, default=2, metavar="N", help="lanes of dot, pe and tile")
    verb.add_argument("--json", action="store_true", help="print the proofs as JSON")


def _prove(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from dintmac.synth.liberty import find_libraries
    from dintmac.synth.proof import ProofError, prove

    (library,) = find_libraries([options.library])
    found: list[dict[str, object]] = []
    status = 0
    for configuration in _prove_configurations(options):
        try:
            for proof in prove(configuration, library):
                found.append({"netlist": configuration.name, **asdict(proof)})
                if not options.json:
                    what = f"{configuration.name}: {proof.claim}"
                    print(f"proved  {proof.seconds:7.2f} s  {what} ({proof.method})", flush=True)
        except ProofError as error:
            status = _failed(error)
    if options.json:
        print_json(found)
    return status


def _prove_configurations(options: argparse.Namespace) -> list[Configuration]:
    """Small designs of one output, with the lanes that are asked for."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.architectures import architectures_of
    from dintmac.hdl.designs import DEFAULTS, RESIDENT, Configuration
    from dintmac.synth.properties import PROPERTIES

    def sizes(design: str) -> dict[str, int]:
        if design not in PROPERTIES:
            raise ValueError(f"design must be one of {', '.join(PROPERTIES)}, not {design!r}")
        given = {"lanes": options.lanes, "outputs": 1}
        return {name: given[name] for name in DEFAULTS[design] if name in given}

    def architectures(design: str, format: Format) -> list[str]:
        if options.architecture:
            return [options.architecture]
        return [a.name for a in architectures_of(format, resident=design in RESIDENT)]

    # What is wrong is said before anything is mapped.
    return [
        Configuration(design, format, architecture, chosen)
        for design in options.design or PROPERTIES
        for chosen in [sizes(design)]
        for format in map(parse, options.format or ("int8", "int4", "dint4"))
        for architecture in architectures(design, format)
    ]


# doctor


def _add_doctor(verbs: Verbs) -> None:
    verb = add_verb(
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
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            state = finding.found or f"missing; {finding.remedy}"
            print(f"{finding.name:20}  {state}  ({finding.purpose})")
    missing = any(finding.required and not finding.found for finding in findings)
    return EXIT_FAILED if missing else 0


# shared


def _add_configuration(verb: argparse.ArgumentParser) -> None:
    from dintmac.hdl.architectures import ARCHITECTURES
    from dintmac.hdl.designs import DEFAULTS, OPTIONS

    verb.add_argument("design", metavar="DESIGN", help=_DESIGN_HELP)
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


def _configuration(options: argparse.Namespace, format: Format | None = None) -> Configuration:
    """The configuration of the options; ``format`` overrides theirs."""
    from dintmac.golden.formats import parse
    from dintmac.hdl.designs import Configuration

    chosen = format or parse(options.format or "dint4")
    names = [option.replace("-", "_") for option in _PARAMETERS]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Configuration(options.design, chosen, options.architecture or "", given)
