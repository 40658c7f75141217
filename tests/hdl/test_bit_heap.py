# amaranth: UnusedElaboratable=no
import itertools

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from dintmac.hdl.bit_heap import BitHeap


def evaluate(heap: BitHeap, inputs: list[Signal], vectors: list[list[int]]) -> list[int]:
    m = Module()
    result = Signal(heap.width)
    m.d.comb += result.eq(heap.reduce(m))
    sums = []

    async def testbench(ctx):
        for vector in vectors:
            for signal, value in zip(inputs, vector, strict=True):
                ctx.set(signal, value)
            sums.append(ctx.get(result))

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return sums


@pytest.mark.parametrize("seed", range(12))
def test_adds_random_heaps_modulo_its_width(seed):
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 14))
    heap = BitHeap(width)
    bits = [Signal(name=f"bit_{i}") for i in range(int(rng.integers(0, 30)))]
    columns = [int(c) for c in rng.integers(0, width + 2, len(bits))]
    constants = [int(c) for c in rng.integers(-5000, 5000, 3)]
    for bit, column in zip(bits, columns, strict=True):
        heap.add_bit(bit, column, arrival=int(rng.integers(0, 5)))
    for constant in constants:
        heap.add_constant(constant)
    vectors = rng.integers(0, 2, (40, len(bits))).tolist()
    vectors += [[0] * len(bits), [1] * len(bits)]

    expected = [
        (sum(b << c for b, c in zip(v, columns, strict=True)) + sum(constants)) % (1 << width)
        for v in vectors
    ]
    assert evaluate(heap, bits, vectors) == expected


@pytest.mark.parametrize("width", [3, 4, 5, 9])
def test_adds_signed_numbers_narrower_and_wider_than_itself(width):
    heap = BitHeap(width)
    numbers = [Signal(signed(4), name="a"), Signal(signed(4), name="b")]
    for number in numbers:
        heap.add_signed(number)
    vectors = [[a, b] for a in range(-8, 8) for b in range(-8, 8)]
    assert evaluate(heap, numbers, vectors) == [(a + b) % (1 << width) for a, b in vectors]


def test_an_empty_heap_is_its_constant():
    heap = BitHeap(8)
    heap.add_constant(-3)
    assert evaluate(heap, [], [[]]) == [253]


@pytest.mark.parametrize("width", [0, -1])
def test_refuses_a_width_that_is_not_positive(width):
    with pytest.raises(ValueError, match=f"width must be positive, not {width}"):
        BitHeap(width)


def test_refuses_bits_that_are_no_bits():
    heap = BitHeap(8)
    with pytest.raises(ValueError, match="a bit must be one bit wide, not 2"):
        heap.add_bit(Signal(2), 0)
    with pytest.raises(ValueError, match="column must not be negative, not -1"):
        heap.add_bit(Signal(), -1)


def test_refuses_to_compress_to_no_row():
    with pytest.raises(ValueError, match="rows must be positive, not 0"):
        BitHeap(8).compress(Module(), 0)


# What is left of a heap, in the three ways to its sum


@st.composite
def heaps(draw):
    """Width, columns of the bits, their arrivals, and a constant."""
    width = draw(st.integers(1, 12))
    bits = draw(st.lists(st.tuples(st.integers(0, width), st.integers(0, 9)), max_size=40))
    return width, bits, draw(st.integers(-(1 << 13), 1 << 13))


def build(width, bits, constant):
    heap = BitHeap(width)
    signals = [Signal(name=f"bit_{i}") for i in range(len(bits))]
    for signal, (column, arrival) in zip(signals, bits, strict=True):
        heap.add_bit(signal, column, arrival=arrival)
    heap.add_constant(constant)
    return heap, signals


def vectors_of(bits):
    rng = np.random.default_rng(len(bits))
    some = rng.integers(0, 2, (12, len(bits))).tolist()
    return [*some, [0] * len(bits), [1] * len(bits)]


def expected_sum(width, bits, constant, vector):
    total = sum(b << column for b, (column, _) in zip(vector, bits, strict=True))
    return (total + constant) % (1 << width)


@settings(max_examples=40, deadline=None)
@given(heaps(), st.sampled_from(["ripple", "fast", "rows"]), st.integers(0, 6), st.booleans())
def test_every_way_gives_the_same_sum(parts, way, rows, registered):
    """Also after the heap was compressed to some rows (none if 0), and with a register there."""
    width, bits, _ = parts
    heap, signals = build(*parts)
    m = Module()
    enable, total, clocked = Signal(), Signal(width), Signal()
    m.d.sync += clocked.eq(~clocked)
    if rows:
        heap.compress(m, rows)
    if registered:
        heap.register(m, enable=enable)
    if way == "rows":
        first, second = heap.reduce_to_rows(m)
        assert len(first) == len(second) == width
        m.d.comb += total.eq(first + second)
    else:
        m.d.comb += total.eq(heap.reduce(m, fast=way == "fast"))
    vectors = vectors_of(bits)
    sums, held = [], []

    async def testbench(ctx):
        for vector in vectors:
            for signal, value in zip(signals, vector, strict=True):
                ctx.set(signal, value)
            ctx.set(enable, 1)
            await ctx.tick()
            sums.append(ctx.get(total))
            ctx.set(enable, 0)
            for signal, value in zip(signals, vector, strict=True):
                ctx.set(signal, 1 - value)
            await ctx.tick()
            held.append(ctx.get(total))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == [expected_sum(*parts, vector) for vector in vectors]
    if registered:
        assert held == sums


@settings(max_examples=40, deadline=None)
@given(heaps(), st.integers(1, 5))
def test_a_compressed_heap_has_no_more_rows_than_asked_for(parts, rows):
    heap, _ = build(*parts)
    heap.compress(Module(), rows)
    left = [len(bits) + (heap._constant >> column & 1) for column, bits in enumerate(heap._columns)]
    assert max(left) <= rows


@settings(max_examples=20, deadline=None)
@given(heaps(), st.integers(0, 300))
def test_a_multiple_of_a_heap_has_the_multiple_of_its_sum(parts, factor):
    width, bits, _ = parts
    heap, signals = build(*parts)
    vectors = vectors_of(bits)
    expected = [factor * expected_sum(*parts, vector) % (1 << width) for vector in vectors]
    assert evaluate(heap.times(factor), signals, vectors) == expected


def test_refuses_a_negative_multiple():
    with pytest.raises(ValueError, match="factor must not be negative, not -2"):
        BitHeap(8).times(-2)


@pytest.mark.slow
def test_two_rows_take_logarithmic_depth():
    """32 rows of 16 bits: eight full adders deep, where a ripple passes all the columns."""

    def latest(rows):
        heap = BitHeap(24)
        for column, _ in itertools.product(range(16), range(32)):
            heap.add_bit(Signal(), column)
        heap.compress(Module(), rows)
        return max(arrival for bits in heap._columns for arrival, _, _ in bits)

    assert latest(2) <= 2 * 10
    assert latest(1) > 2 * 20


def test_rows_fed_back_make_an_accumulator():
    """The carry-save form across cycles: its two rows, added up, are the sum so far."""
    width = 9
    m = Module()
    number, total = Signal(signed(5)), Signal(width)
    rows = [Signal(width, name="sum"), Signal(width, name="carry")]
    heap = BitHeap(width)
    for value in (number, *rows):
        heap.add_signed(value)
    for row, following in zip(rows, heap.reduce_to_rows(m), strict=True):
        m.d.sync += row.eq(following)
    m.d.comb += total.eq(rows[0] + rows[1])
    numbers = np.random.default_rng(2).integers(-16, 16, 100).tolist()
    sums = []

    async def testbench(ctx):
        for value in numbers:
            ctx.set(number, value)
            await ctx.tick()
            sums.append(ctx.get(total))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sums == [s % (1 << width) for s in itertools.accumulate(numbers)]
