# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.inner_product import InnerProduct
from dintmac.hdl.operands import Operands

CASES = [(f, a) for f in (INT8, INT4, DINT4) for a in architectures_of(f, resident=True)]


@pytest.mark.parametrize("lanes", [1, 5])
@pytest.mark.parametrize(("format", "architecture"), CASES, ids=lambda case: case.name)
def test_equals_the_golden_model(format, architecture, lanes):
    width = format.accumulator_bits(64)
    component = InnerProduct(format=format, architecture=architecture, lanes=lanes, width=width)
    operands = Operands(format=format, architecture=architecture, lanes=lanes)
    m = Module()
    m.submodules += [component, operands]
    component.connect(m, operands.shared)
    rng = np.random.default_rng(7)
    count = 60
    activations = rng.integers(-128, 128, (count, lanes)).astype(np.int8)
    weights = rng.integers(0, format.codes, (count, lanes)).astype(np.uint8)
    activations[:4] = np.array([-128, -128, 127, 127])[:, None]
    extremes = [int(format.half_steps.argmin()), int(format.half_steps.argmax())]
    weights[:4] = np.array(extremes * 2)[:, None]
    addends = rng.integers(-(1 << (width - 3)), 1 << (width - 3), count).tolist()
    expected = [
        int(matmul(activations[i : i + 1], weights[i : i + 1], format)[0, 0]) + addends[i]
        for i in range(count)
    ]
    correction = architecture.correction(format, weights).tolist()
    sums = []

    async def testbench(ctx):
        for i in range(count):
            for lane in range(lanes):
                ctx.set(operands.activations[lane], int(activations[i, lane]))
                ctx.set(component.weights[lane], int(weights[i, lane]))
            ctx.set(component.addend, architecture.as_added(addends[i] - correction[i]))
            sums.append(architecture.as_added(ctx.get(component.o)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == expected
