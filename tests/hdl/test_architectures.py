# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

from dintmac.golden.formats import DINT4, INT4, INT8, dint, integer
from dintmac.hdl.architectures import ARCHITECTURES, architecture_for, architectures_of
from dintmac.hdl.inner_product import LanePartialProducts, behavioural_product

FORMATS = [integer(b) for b in range(2, 9)] + [dint(b) for b in range(3, 9)]
CASES = [(f, a) for f in FORMATS for a in architectures_of(f) if a.generator is not None]
#: Every activation at the widths that are synthesized, corners and a stride at the others.
ALL = range(-128, 128)
SOME = [-128, -127, -1, 0, 1, 126, 127, *range(-121, 128, 17)]


def run(module, testbench):
    simulator = Simulator(module)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("format", "architecture"), CASES, ids=lambda case: case.name)
def test_partial_products_add_up_to_every_product(format, architecture):
    lane = LanePartialProducts(format, architecture.generator)
    units = format.to_units(np.arange(format.codes, dtype=np.uint8)).tolist()
    activations = ALL if format in (INT8, INT4, DINT4) else SOME
    wrong = []

    async def testbench(ctx):
        for activation in activations:
            ctx.set(lane.activation, activation & 0xFF)
            for code in range(format.codes):
                ctx.set(lane.weight, code)
                bits = ctx.get(lane.bits)
                total = lane.constant
                for i, column in enumerate(lane.columns):
                    total += (bits >> i & 1) << column
                if total != units[code] * activation:
                    wrong.append((code, activation, total))

    run(lane, testbench)
    assert wrong == []


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_behavioural_product_is_every_product(format):
    m = Module()
    activation, weight = Signal(signed(8)), Signal(format.bits)
    product = Signal(signed(20))
    m.d.comb += product.eq(behavioural_product(format, activation, weight))
    units = format.to_units(np.arange(format.codes, dtype=np.uint8)).tolist()
    activations = ALL if format.bits == 4 else SOME
    wrong = []

    async def testbench(ctx):
        for a in activations:
            ctx.set(activation, a)
            for code in range(format.codes):
                ctx.set(weight, code)
                if ctx.get(product) != units[code] * a:
                    wrong.append((code, a))

    run(m, testbench)
    assert wrong == []


def test_dint4_needs_no_more_bits_than_its_half_steps():
    lane = LanePartialProducts(DINT4, ARCHITECTURES["digits"].generator)
    assert max(lane.columns) == DINT4.product_bits - 1
    assert len(lane.columns) == 21


@pytest.mark.parametrize(
    ("format", "default"), [(INT8, "booth"), (INT4, "digits"), (DINT4, "digits")]
)
def test_default_architecture_is_no_strawman(format, default):
    assert architecture_for(format).name == default


def test_an_unknown_architecture_is_named_with_those_that_exist():
    with pytest.raises(
        ValueError, match="architecture of dINT4 must be one of digits, behavioural, not 'booth'"
    ):
        architecture_for(DINT4, "booth")
