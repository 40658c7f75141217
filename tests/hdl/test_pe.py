# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.dot_product import DotProduct
from dintmac.hdl.pe import ProcessingElement
from dintmac.hdl.tile import WeightStationaryTile

RESIDENT = [
    pytest.param(f, a.name, id=f"{f.name}-{a.name}")
    for f in (INT8, INT4, DINT4)
    for a in architectures_of(f, resident=True)
    if a.is_resident
]


@pytest.mark.parametrize("lanes", [3, 4])
@pytest.mark.parametrize(("format", "architecture"), RESIDENT)
def test_correction_in_the_bias_makes_sums_exact(format, architecture, lanes):
    pe = ProcessingElement(
        format=format, depth=64, lanes=lanes, outputs=2, architecture=architecture
    )
    rng = np.random.default_rng(11)
    weights = rng.integers(0, format.codes, (2, lanes)).astype(np.uint8)
    activations = rng.integers(-128, 128, (8, lanes)).astype(np.int8)
    bias = rng.integers(-500, 500, 2)
    first = (bias - pe.correction(weights)).tolist()
    expected = activations.astype(np.int64) @ format.to_units(weights).astype(np.int64).T + bias
    stored = pe.stored(weights)
    assert pe.restored(stored).tolist() == weights.tolist()
    sums = []

    async def testbench(ctx):
        for output in range(2):
            for lane in range(lanes):
                ctx.set(pe.i_weights[output][lane], int(stored[output, lane]))
        ctx.set(pe.load, 1)
        await ctx.tick()
        ctx.set(pe.load, 0)
        ctx.set(pe.enable, 1)
        ctx.set(pe.i_valid, 1)
        ctx.set(pe.i_swap, 1)
        for output in range(2):
            width = pe.i_partial_sums[output].shape().width
            wrapped = (first[output] + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
            ctx.set(pe.i_partial_sums[output], wrapped)
        for vector in activations:
            for lane in range(lanes):
                ctx.set(pe.i_activations[lane], int(vector[lane]))
            await ctx.tick().repeat(pe.latency)
            sums.append([ctx.get(pe.o_partial_sums[output]) for output in range(2)])

    simulator = Simulator(pe)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == expected.tolist()


def test_correction_of_a_tile_is_that_of_its_elements():
    sizes = {"format": INT8, "depth": 64, "lanes": 3, "outputs": 1, "architecture": "fip"}
    pe = ProcessingElement(**sizes)
    tile = WeightStationaryTile(rows=2, columns=1, **sizes)
    codes = np.random.default_rng(0).integers(0, 256, (5, 6)).astype(np.uint8)
    expected = pe.correction(codes[:, :3]) + pe.correction(codes[:, 3:])
    assert tile.correction(codes).tolist() == expected.tolist()


def test_correction_of_a_dot_product_is_that_of_an_element():
    sizes = {"format": DINT4, "depth": 64, "lanes": 3, "architecture": "digits_folded"}
    codes = np.random.default_rng(0).integers(0, 16, (5, 3)).astype(np.uint8)
    expected = ProcessingElement(outputs=1, **sizes).correction(codes)
    assert DotProduct(**sizes).correction(codes).tolist() == expected.tolist()
    assert not DotProduct(**{**sizes, "architecture": "digits"}).correction(codes).any()


def test_correction_refuses_another_number_of_lanes():
    codes = np.zeros((2, 5), dtype=np.uint8)
    sizes = {"format": DINT4, "depth": 64, "lanes": 2, "outputs": 1}
    with pytest.raises(ValueError, match="codes must be of 2 lanes, not 5"):
        DotProduct(format=DINT4, depth=64, lanes=2).correction(codes)
    with pytest.raises(ValueError, match="codes must be of 2 lanes, not 5"):
        ProcessingElement(**sizes).correction(codes)
    with pytest.raises(ValueError, match="codes must be of 4 lanes, not 5"):
        WeightStationaryTile(rows=2, columns=1, **sizes).correction(codes)
