"""Every stage, adder and way to hold weights in the benches, in small designs."""

import pytest

from dintmac.golden.formats import parse
from dintmac.hdl.configuration import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import SIMULATORS

SIZES = {
    "mac": {"depth": 64},
    "dot": {"depth": 64, "lanes": 2},
    "pe": {"depth": 64, "lanes": 2, "outputs": 1},
    "tile": {"depth": 64, "lanes": 1, "outputs": 1, "rows": 2, "columns": 2},
}
STAGED = {"operand_register": 1, "tree_register": 2, "fast_adder": 1}


def check(design, format, architecture, simulator, **options):
    configuration = Configuration(design, parse(format), architecture, SIZES[design] | options)
    result = run_bench(configuration, SIMULATORS[simulator], seed=1)
    failed = [f"{test.name}: {test.message}" for test in result.tests if not test.passed]
    assert not failed, "\n".join(failed)
    assert len(result.tests) >= 9


@pytest.mark.needs("icarus")
@pytest.mark.parametrize(
    ("design", "format", "architecture", "options"),
    [
        ("mac", "dint4", "digits", {"carry_save": 1}),
        ("dot", "int4", "pair", STAGED | {"carry_save": 1}),
        ("pe", "dint4", "digits_folded", {"tree_register": 2, "fast_adder": 1}),
        ("pe", "int4", "pair", {"operand_register": 1, "double_buffered": 0}),
        ("tile", "int4", "r4n", STAGED | {"columns": 1}),
        ("tile", "dint4", "digits_folded", STAGED | {"double_buffered": 0}),
    ],
)
@pytest.mark.slow
def test_passes_on_icarus(design, format, architecture, options):
    check(design, format, architecture, "icarus", **options)


@pytest.mark.parametrize("design", ["mac", "dot", "pe", "tile"])
@pytest.mark.slow
def test_passes_on_amaranth_with_an_operand_register(design):
    check(design, "dint4", "behavioural", "amaranth", operand_register=1)


@pytest.mark.parametrize("operand_register", [0, 1])
@pytest.mark.parametrize("design", ["pe", "tile"])
@pytest.mark.slow
def test_passes_on_amaranth_with_one_set_of_weights(design, operand_register):
    options = {"operand_register": operand_register, "double_buffered": 0}
    check(design, "dint4", "behavioural", "amaranth", **options)
