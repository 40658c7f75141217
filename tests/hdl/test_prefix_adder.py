# amaranth: UnusedElaboratable=no
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from dintmac.hdl.prefix_adder import prefix_sum


def add(width: int, pairs: list[tuple[int, int]]) -> list[int]:
    m = Module()
    a, b, total = (Signal(width, name=name) for name in ("a", "b", "total"))
    m.d.comb += total.eq(prefix_sum(m, a, b))
    sums = []

    async def testbench(ctx):
        for left, right in pairs:
            ctx.set(a, left)
            ctx.set(b, right)
            sums.append(ctx.get(total))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return sums


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_adds_every_pair_of_small_numbers(width):
    numbers = range(1 << width)
    pairs = [(a, b) for a in numbers for b in numbers]
    assert add(width, pairs) == [(a + b) % (1 << width) for a, b in pairs]


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_adds_numbers_of_any_width(data):
    width = data.draw(st.integers(6, 40))
    number = st.integers(0, (1 << width) - 1)
    pairs = data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=20))
    pairs += [((1 << width) - 1, 1), ((1 << width) - 1, (1 << width) - 1)]
    assert add(width, pairs) == [(a + b) % (1 << width) for a, b in pairs]


def test_refuses_summands_of_different_widths():
    with pytest.raises(ValueError, match="both summands must have one width, not 3 and 4"):
        prefix_sum(Module(), Signal(3), Signal(4))
