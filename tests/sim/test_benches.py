"""Every bench on every simulator."""

import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.designs import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import SIMULATORS, SimulatorMissingError

SIZES = {
    "mac": {"depth": 64},
    "dot": {"depth": 64, "lanes": 4},
    "pe": {"depth": 64, "lanes": 4, "outputs": 2},
    "tile": {"depth": 64, "lanes": 2, "outputs": 2, "rows": 2, "columns": 2},
}
FORMATS = {format.name: format for format in (DINT4, INT4, INT8)}


def check(design, name, architecture, simulator, *, seed=1, sizes=None):
    try:
        SIMULATORS[simulator].version()
    except SimulatorMissingError as missing:
        pytest.skip(str(missing))
    parameters = SIZES[design] | (sizes or {})
    configuration = Configuration(design, FORMATS[name], architecture, parameters)
    result = run_bench(configuration, SIMULATORS[simulator], seed=seed)
    failed = [f"{test.name}: {test.message}" for test in result.tests if not test.passed]
    assert not failed, "\n".join(failed)
    assert result.passed
    assert len(result.tests) >= 10
    assert all(test.cycles > 0 for test in result.tests)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("design", SIZES)
def test_passes_on_icarus(design, name):
    check(design, name, "", "icarus")


@pytest.mark.parametrize("design", SIZES)
def test_passes_on_verilator(design):
    check(design, "dINT4", "", "verilator")


@pytest.mark.parametrize("name", ["dINT4", "INT4"])
@pytest.mark.parametrize("design", SIZES)
def test_passes_on_amaranth(design, name):
    check(design, name, "", "amaranth")


@pytest.mark.parametrize("design", ["dot", "pe", "tile"])
def test_passes_on_amaranth_with_wide_weights(design):
    """Without the MAC, whose 65,536 products take one cycle each and minutes in all."""
    sizes = {"tile": {"rows": 3, "columns": 1}, "pe": {"lanes": 5}, "dot": {"lanes": 16}}
    check(design, "INT8", "behavioural", "amaranth", sizes=sizes[design])


@pytest.mark.parametrize("design", ["dot", "tile"])
def test_passes_with_the_behavioural_architecture(design):
    check(design, "dINT4", "behavioural", "icarus", seed=2)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 3), (3, 1)])
def test_passes_for_tiles_of_one_row_or_column(rows, columns):
    check("tile", "dINT4", "behavioural", "icarus", sizes={"rows": rows, "columns": columns})
