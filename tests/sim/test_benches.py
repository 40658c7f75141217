"""Every bench on every simulator."""

import json

import pytest

from dintmac.golden.formats import DINT4, FP4, INT4, INT8
from dintmac.hdl.configuration import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import SIMULATORS

SIZES = {
    "mac": {"depth": 64},
    "dot": {"depth": 64, "lanes": 4},
    "pe": {"depth": 64, "lanes": 4, "outputs": 2},
    "tile": {"depth": 64, "lanes": 2, "outputs": 2, "rows": 2, "columns": 2},
}
FORMATS = {format.name: format for format in (DINT4, INT4, INT8, FP4)}


def check(design, name, architecture, simulator, *, seed=1, sizes=None, waveform=None):
    parameters = SIZES[design] | (sizes or {})
    configuration = Configuration(design, FORMATS[name], architecture, parameters)
    result = run_bench(configuration, SIMULATORS[simulator], seed=seed, waveform=waveform)
    failed = [f"{test.name}: {test.message}" for test in result.tests if not test.passed]
    assert not failed, "\n".join(failed)
    assert result.passed
    assert json.loads(json.dumps(result.to_json()))["passed"]
    assert len(result.tests) >= 10
    assert all(test.cycles > 0 for test in result.tests)


@pytest.mark.parametrize("design", SIZES)
@pytest.mark.slow
def test_passes_on_amaranth_as_behavioural(design):
    check(design, "dINT4", "behavioural", "amaranth")


@pytest.mark.parametrize("name", ["INT8", "FP4"])
@pytest.mark.slow
def test_passes_on_amaranth_with_other_formats(name):
    check("pe", name, "behavioural", "amaranth")


@pytest.mark.slow
def test_passes_on_amaranth():
    """The MAC alone: gates are slow there, and the inner product has tests of its own."""
    check("mac", "dINT4", "", "amaranth")


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_passes_on_icarus():
    check("tile", "dINT4", "", "icarus", seed=2)


@pytest.mark.needs("verilator")
@pytest.mark.slow
def test_passes_on_verilator_with_wide_weights(tmp_path):
    """65,536 products of Booth's digits, for which Icarus takes minutes, and a waveform of them."""
    few, waveform = {"lanes": 1, "outputs": 1}, tmp_path / "wave.vcd"
    check("tile", "INT8", "", "verilator", seed=3, sizes=few, waveform=waveform)
    assert waveform.read_bytes().startswith(b"$version")


@pytest.mark.needs("icarus")
@pytest.mark.parametrize(
    ("design", "name", "architecture"),
    [
        ("dot", "dINT4", "digits_folded"),
        ("pe", "dINT4", "nr4sd"),
        ("pe", "INT4", "pair_folded"),
        ("tile", "FP4", "shift_folded"),
    ],
)
@pytest.mark.slow
def test_passes_with_weights_that_leave_a_part_to_the_bias(design, name, architecture):
    """Odd lanes, so that a group of two is not full. Netlists of all architectures are checked."""
    few = {"lanes": 3} if design == "dot" else {"lanes": 3, "outputs": 1}
    check(design, name, architecture, "icarus", sizes=few)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (3, 1)])
@pytest.mark.slow
def test_passes_for_tiles_of_one_row_or_column(rows, columns):
    sizes = {"rows": rows, "columns": columns}
    check("tile", "dINT4", "behavioural", "amaranth", seed=5, sizes=sizes)


@pytest.mark.needs("icarus")
@pytest.mark.slow
def test_passes_with_the_default_sizes():
    check("dot", "dINT4", "behavioural", "icarus", seed=6, sizes={"depth": 4096, "lanes": 16})
