"""Matrix products on simulated tiles."""

import json

import numpy as np
import pytest

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.golden.workload import Workload
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.configuration import Configuration
from dintmac.sim.passes import plan
from dintmac.sim.simulators import SIMULATORS
from dintmac.sim.workload import run_workload

AMARANTH = SIMULATORS["amaranth"]


def random_workload(vectors, depth, outputs, format=DINT4):
    rng = np.random.default_rng([vectors, depth, outputs])
    return Workload(
        rng.integers(-128, 128, (vectors, depth), dtype=np.int8),
        rng.integers(0, format.codes, (outputs, depth), dtype=np.uint8),
        format,
    )


def tile(format=DINT4, *, rows=2, columns=2, lanes=3, outputs=2, depth=64):
    sizes = {"rows": rows, "columns": columns, "lanes": lanes, "outputs": outputs, "depth": depth}
    return Configuration("tile", format, "behavioural", sizes)


@pytest.mark.parametrize("format", [DINT4, INT4, INT8], ids=lambda format: format.name)
@pytest.mark.parametrize(
    ("vectors", "depth", "outputs"),
    [(1, 1, 1), (1, 20, 1), (1, 13, 9), (3, 6, 4), (5, 7, 5), (9, 25, 3), (20, 12, 8)],
)
def test_equals_the_golden_product(vectors, depth, outputs, format):
    workload = random_workload(vectors, depth, outputs, format)
    result = run_workload(workload, tile(format), AMARANTH)
    expected = matmul(workload.activations, workload.weights, format)
    np.testing.assert_array_equal(result.outputs, expected)
    assert result.mismatches == 0
    assert result.passes == -(-depth // 6) * -(-outputs // 4)
    assert result.latency == 4
    assert json.loads(json.dumps(result.to_json()))["mismatches"] == 0
    assert result.utilisation == pytest.approx(vectors * depth * outputs / (result.cycles * 24))


@pytest.mark.parametrize("name", ["icarus", "verilator"])
@pytest.mark.slow
def test_equals_the_golden_product_on_other_simulators(name, need, tmp_path):
    need(name)
    workload = random_workload(11, 40, 21)
    reports, waveform = [], tmp_path / "wave.fst"
    if name == "verilator":
        need("lz4")
    result = run_workload(
        workload, tile(), SIMULATORS[name], waveform=waveform, progress=reports.append
    )
    assert waveform.read_bytes().startswith(b"\x00")
    assert result.mismatches == 0
    assert all(0 <= fraction <= 1 for fraction in reports)


@pytest.mark.parametrize(
    ("format", "architecture"),
    [(f, a.name) for f in (DINT4, INT4, INT8) for a in architectures_of(f) if a.is_folded],
    ids=str,
)
@pytest.mark.slow
def test_the_first_partial_sums_make_up_for_corrections(format, architecture):
    """Also of weights that only fill up a block."""
    sizes = {"rows": 2, "columns": 1, "lanes": 3, "outputs": 1, "depth": 64}
    folded = Configuration("tile", format, architecture, sizes)
    assert run_workload(random_workload(3, 8, 2, format), folded, AMARANTH).mismatches == 0


def test_extremes_accumulate_over_all_passes():
    workload = Workload(
        np.full((4, 64), -128, dtype=np.int8), np.full((5, 64), 7, dtype=np.uint8), DINT4
    )
    result = run_workload(workload, tile(), AMARANTH)
    assert (result.outputs == -128 * 14 * 64).all()


def test_long_passes_hide_the_loading_of_weights():
    """Beside the vectors there are the first set, the last latency and nothing else."""
    workload = random_workload(30, 12, 8)
    result = run_workload(workload, tile(), AMARANTH)
    assert result.cycles == 4 * 30 + 2 + 4
    assert result.utilisation > 0.9


def test_a_plan_covers_every_product_once():
    workload = random_workload(2, 13, 9)
    cut = plan(workload, tile())
    total = np.zeros((2, 12), dtype=np.int64)
    for depth_block in range(cut.depth_blocks):
        activations = cut.activations(depth_block).reshape(2, -1)
        for block in range(cut.output_blocks):
            codes = np.moveaxis(cut.weights(depth_block, block), 0, 2).reshape(4, 6)
            total[:, block * 4 : block * 4 + 4] += matmul(activations, codes, DINT4)
    expected = matmul(workload.activations, workload.weights, DINT4)
    np.testing.assert_array_equal(total[:, :9], expected)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (Configuration("mac", DINT4), "a workload must run on a tile, not on a mac"),
        (tile(INT4), "format must be dINT4 as in the workload, not INT4"),
        (tile(depth=12), "depth must be at least 13, the workload's inner axis, not 12"),
    ],
)
def test_a_configuration_that_does_not_suit_is_refused(configuration, message):
    with pytest.raises(ValueError, match=message):
        run_workload(random_workload(2, 13, 9), configuration, AMARANTH)
