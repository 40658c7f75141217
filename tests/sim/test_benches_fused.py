"""The bench of the element for two precisions."""

import json

import pytest

from dintmac.golden.formats import DINT4
from dintmac.hdl.configuration import Configuration
from dintmac.sim.bench import run_bench
from dintmac.sim.simulators import SIMULATORS

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
