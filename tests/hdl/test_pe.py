# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.configuration import Configuration

FOLDED = [
    pytest.param(f, a.name, id=f"{f.name}-{a.name}")
    for f in (INT8, INT4, DINT4)
    for a in architectures_of(f)
    if a.is_folded
]


@pytest.mark.parametrize("lanes", [3, 4])
@pytest.mark.parametrize(("format", "architecture"), FOLDED)
@pytest.mark.slow
def test_correction_in_the_bias_makes_sums_exact(format, architecture, lanes):
    sizes = {"depth": 64, "lanes": lanes, "outputs": 2}
    configuration = Configuration("pe", format, architecture, sizes)
    pe = configuration.create()
    rng = np.random.default_rng(11)
    weights = rng.integers(0, format.codes, (2, lanes)).astype(np.uint8)
    activations = rng.integers(-128, 128, (8, lanes)).astype(np.int8)
    bias = rng.integers(-500, 500, 2)
    first = (bias - configuration.correction(weights)).tolist()
    expected = activations.astype(np.int64) @ format.to_units(weights).astype(np.int64).T + bias
    stored = configuration.encode(weights)
    assert configuration.decode(stored).tolist() == weights.tolist()
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
            await ctx.tick().repeat(configuration.latency)
            sums.append([ctx.get(pe.o_partial_sums[output]) for output in range(2)])

    simulator = Simulator(pe)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == expected.tolist()


def test_correction_of_a_tile_is_that_of_its_elements():
    sizes = {"depth": 64, "lanes": 3, "outputs": 1}
    pe = Configuration("pe", INT8, "fip", sizes)
    tile = Configuration("tile", INT8, "fip", sizes | {"rows": 2, "columns": 1})
    codes = np.random.default_rng(0).integers(0, 256, (5, 6)).astype(np.uint8)
    expected = pe.correction(codes[:, :3]) + pe.correction(codes[:, 3:])
    assert tile.correction(codes).tolist() == expected.tolist()


def test_correction_of_a_dot_product_is_that_of_an_element():
    sizes = {"depth": 64, "lanes": 3}
    codes = np.random.default_rng(0).integers(0, 16, (5, 3)).astype(np.uint8)
    expected = Configuration("pe", DINT4, "digits_folded", sizes).correction(codes)
    dot = Configuration("dot", DINT4, "digits_folded", sizes)
    assert dot.correction(codes).tolist() == expected.tolist()
    assert not dot.replace(architecture="digits").correction(codes).any()


def test_correction_refuses_another_number_of_lanes():
    codes = np.zeros((2, 5), dtype=np.uint8)
    for design in ("dot", "pe"):
        with pytest.raises(ValueError, match="codes must be of 2 dINT4 products, not 5"):
            Configuration(design, DINT4, "", {"lanes": 2}).correction(codes)
    with pytest.raises(ValueError, match="codes must be of 4 dINT4 products, not 5"):
        Configuration("tile", DINT4, "", {"lanes": 2, "rows": 2}).correction(codes)
