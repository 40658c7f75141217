import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator

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
