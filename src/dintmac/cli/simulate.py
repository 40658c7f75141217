"""``dintmac simulate``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac.cli import EXIT_FAILED, say
from dintmac.cli.console import fraction, print_json
from dintmac.cli.options import add_configuration, configuration_of

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration
    from dintmac.sim.simulators import Simulator


SUMMARY = "run the RTL bench of a design, or a real workload on the tile, against the golden model"


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_configuration(verb)
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
    verb.add_argument("--seed", type=int, help="seed of all random choices of the bench (0)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.sim.simulators import find_simulator

    simulator = None if options.simulator is None else find_simulator(options.simulator)
    if options.workload is None:
        return _simulate_bench(options, simulator)
    if options.seed is not None:
        raise ValueError("seed is that of the bench; a workload has no random choices")
    return _simulate_workload(options, simulator)


def _architecture(options: argparse.Namespace, configuration: Configuration) -> str:
    """Which architecture was taken, and whether that was asked for."""
    default = "" if options.architecture else f", the default of {configuration.format.name}"
    return f"architecture {configuration.architecture}{default}"


def _simulate_bench(options: argparse.Namespace, simulator: Simulator | None) -> int:
    from dintmac.sim.bench import run_bench

    with fraction("simulating") as progress:
        result = run_bench(
            configuration_of(options),
            simulator,
            seed=options.seed or 0,
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
            f"{result.configuration.name}, {_architecture(options, result.configuration)}, "
            f"on {result.simulator} {result.version}, seed {result.seed}: "
            f"{passed} of {len(result.tests)} tests passed, {result.cycles:,} cycles"
        )
    return 0 if result.passed else EXIT_FAILED


def _simulate_workload(options: argparse.Namespace, simulator: Simulator | None) -> int:
    from dintmac.golden.formats import parse
    from dintmac.golden.workload import load
    from dintmac.sim.streams import CheckError
    from dintmac.sim.workload import run_workload

    workload = load(options.workload, None if options.format is None else parse(options.format))
    configuration = configuration_of(options, workload.format)
    try:
        with fraction("streaming") as progress:
            result = run_workload(
                workload, configuration, simulator, waveform=options.waveform, progress=progress
            )
    except CheckError as error:
        say(error)
        return EXIT_FAILED
    if options.json:
        print_json(result.to_json())
    else:
        count = result.outputs.size
        rows, depth = workload.activations.shape
        print(
            f"{rows}×{depth} activations, {len(workload.weights)}×{depth} {workload.format.name} "
            f"weights on {configuration.name}, {_architecture(options, configuration)}, "
            f"{result.simulator} {result.version}\n"
            f"{result.cycles:,} cycles in {result.passes:,} passes, "
            f"utilisation {result.utilisation:.2%}, latency {result.latency} cycles\n"
            f"{count - result.mismatches:,} of {count:,} outputs match the golden model"
        )
    return 0 if result.mismatches == 0 else EXIT_FAILED
