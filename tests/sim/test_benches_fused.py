"""The bench of the element for two precisions."""

import json
from types import SimpleNamespace

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.benches.fused import ModeChecker
from dintmac.sim.simulators import SIMULATORS
from dintmac.sim.streams import CheckError

SIZES = {"depth": 64, "lanes": 4, "outputs": 1}


@pytest.mark.needs("verilator")
@pytest.mark.slow
def test_passes_on_verilator():
    """65,536 INT8 products, for which Icarus takes minutes."""
    result = run_bench(Configuration("fused", DINT4, "", SIZES), SIMULATORS["verilator"], seed=7)
    failed = [f"{test.name}: {test.message}" for test in result.tests if not test.passed]
    assert not failed, "\n".join(failed)
    assert json.loads(json.dumps(result.to_json()))["passed"]
    assert len(result.tests) >= 12
    assert all(test.cycles > 0 for test in result.tests)


def test_another_mode_for_the_next_row_is_found():
    values = {"load": 1, "i_int8": 1, "o_int8": 0}
    checker = ModeChecker(SimpleNamespace(cycle=3, get=values.__getitem__))
    checker.sample()
    with pytest.raises(CheckError, match="o_int8 must be 1 in cycle 3"):
        checker.sample()
