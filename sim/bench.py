"""Runs all tests of a design's bench in one simulation."""

from __future__ import annotations

import traceback
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches import BENCHES, tests_of
from dintmac.sim.handle import Handle
from dintmac.sim.simulators import Simulator, default_simulator
from dintmac.sim.streams import CheckError

__all__ = ["BenchResult", "TestResult", "run_bench"]


@dataclass(frozen=True)
class TestResult:
    """What became of a test.

    Attributes
    ----------
    name : str
        A sentence with underscores.
    passed : bool
    message : str
        Why it failed, with the seed; empty if it passed.
    cycles : int
    """

    __test__ = False  # for pytest, which would take it for a class of tests

    name: str
    passed: bool
    message: str
    cycles: int


@dataclass(frozen=True)
class BenchResult:
    """What became of the tests of a bench.

    Attributes
    ----------
    configuration : Configuration
    simulator : str
    version : str
        Of the simulator.
    seed : int
    tests : tuple of TestResult
    """

    configuration: Configuration
    simulator: str
    version: str
    seed: int
    tests: tuple[TestResult, ...]

    @property
    def passed(self) -> bool:
        """Whether all tests passed."""
        return all(test.passed for test in self.tests)

    @property
    def cycles(self) -> int:
        """Cycles of all tests."""
        return sum(test.cycles for test in self.tests)

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "design": self.configuration.design,
            "format": self.configuration.format.name,
            "architecture": self.configuration.architecture,
            "parameters": self.configuration.parameters,
            "simulator": self.simulator,
            "version": self.version,
            "seed": self.seed,
            "passed": self.passed,
            "tests": [asdict(test) for test in self.tests],
        }


def run_bench(
    configuration: Configuration,
    simulator: Simulator | None = None,
    *,
    seed: int = 0,
    waveform: Path | None = None,
    build: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> BenchResult:
    """Run every test of the design's bench, in one simulation.

    Parameters
    ----------
    configuration : Configuration
    simulator : Simulator, optional
        By default the one of :func:`default_simulator` for a short run.
    seed : int
        Seed of all random operands and stalls, not negative.
    waveform, build, progress
        As in :meth:`Simulator.run`.

    Raises
    ------
    SimulatorMissingError, ValueError, SimulationError
        As :meth:`Simulator.run`. A test that fails raises nothing.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    chosen = default_simulator() if simulator is None else simulator
    tests = chosen.run(
        configuration,
        run_tests,
        configuration,
        seed,
        waveform=waveform,
        build=build,
        progress=progress,
    )
    return BenchResult(configuration, chosen.name, chosen.version(), seed, tuple(tests))


async def run_tests(handle: Handle, configuration: Configuration, seed: int) -> list[TestResult]:
    """Run the tests one after the other, each from a reset with random numbers of its own."""
    tests = tests_of(configuration)
    bench = BENCHES[configuration.design]
    results = []
    for number, test in enumerate(tests, start=1):
        name = test.__name__.removeprefix("test_")
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        start = handle.cycle
        try:
            testbench = bench.Bench(handle, configuration, rng)
            await testbench.reset()
            await test(testbench)
            message = ""
        except CheckError as failure:
            message = f"{failure} (seed {seed})"
        except Exception:
            message = f"{traceback.format_exc()} (seed {seed})"
        # A test may have broken off where inputs cannot be set.
        await handle.tick()
        results.append(TestResult(name, not message, message, handle.cycle - start))
        handle.report(number / len(tests))
    return results
