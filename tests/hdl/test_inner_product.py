# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Const, Module
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8
from dintmac.golden.matmul import matmul
from dintmac.hdl.architectures import architectures_of
from dintmac.hdl.inner_product import InnerProduct
from dintmac.hdl.operands import Operands
from dintmac.hdl.pipeline import register

CASES = [(f, a) for f in (INT8, INT4, DINT4) for a in architectures_of(f)]


@pytest.mark.parametrize("lanes", [1, 5])
@pytest.mark.parametrize(("format", "architecture"), CASES, ids=lambda case: case.name)
@pytest.mark.slow
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
    stored = architecture.encode(format, weights)
    sums = []

    async def testbench(ctx):
        for i in range(count):
            for lane in range(lanes):
                ctx.set(operands.activations[lane], int(activations[i, lane]))
                ctx.set(component.weights[lane], int(stored[i, lane]))
            ctx.set(component.addend, architecture.as_added(addends[i] - correction[i]))
            sums.append(architecture.as_added(ctx.get(component.o)))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == expected


STAGED = [(f, a) for f, a in CASES if a.generator is not None and (f != INT8 or a.group == 2)]


@pytest.mark.parametrize("carry_save", [0, 1])
@pytest.mark.parametrize(("tree_register", "fast_adder"), [(0, 1), (2, 0), (5, 1), (99, 0)])
@pytest.mark.parametrize(("format", "architecture"), STAGED, ids=lambda case: case.name)
def test_equals_the_golden_model_with_every_kind_of_adder(
    format, architecture, tree_register, fast_adder, carry_save
):
    """Operands change with every cycle; addend and term come when the register has the products."""
    lanes, width, count = 3, format.accumulator_bits(64), 6
    component = InnerProduct(
        format=format,
        architecture=architecture,
        lanes=lanes,
        width=width,
        tree_register=tree_register,
        fast_adder=fast_adder,
        carry_save=carry_save,
    )
    operands = Operands(
        format=format, architecture=architecture, lanes=lanes, fast_adder=fast_adder
    )
    m = Module()
    # There is a clock in any case.
    m.domains.sync = ClockDomain()
    m.submodules += [component, operands]
    shared = operands.shared
    if tree_register:
        m.d.comb += component.enable.eq(1)
        shared = shared | {
            name: register(m, value, Const(1), name)
            for name, value in shared.items()
            if name == "term"
        }
    component.connect(m, shared)
    rng = np.random.default_rng(9)
    activations = rng.integers(-128, 128, (count, lanes)).astype(np.int8)
    weights = rng.integers(0, format.codes, (count, lanes)).astype(np.uint8)
    addends = rng.integers(-(1 << (width - 3)), 1 << (width - 3), count).tolist()
    products = np.diagonal(matmul(activations, weights, format))
    expected = products + architecture.correction(format, weights) + addends
    stored = architecture.encode(format, weights)
    sums = []

    async def testbench(ctx):
        for i in range(count):
            for lane in range(lanes):
                ctx.set(operands.activations[lane], int(activations[i, lane]))
                ctx.set(component.weights[lane], int(stored[i, lane]))
            if not tree_register:
                sums.append(read(ctx, addends[i]))
            await ctx.tick()
            if tree_register:
                sums.append(read(ctx, addends[i]))

    def read(ctx, addend):
        carry = int(rng.integers(0, 1 << (width - 2))) if carry_save else 0
        ctx.set(component.addend, wrap(architecture.as_added(addend) - carry))
        if not carry_save:
            return wrap(architecture.as_added(ctx.get(component.o)))
        ctx.set(component.addend_carry, carry)
        return wrap(architecture.as_added(ctx.get(component.o) + ctx.get(component.o_carry)))

    def wrap(value):
        half = 1 << (width - 1)
        return (value + half) % (2 * half) - half

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == [wrap(int(value)) for value in expected]
