"""Bench of the processing element, which has no streams: ``enable`` is its ready and its clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches.operands import (
    all_activations,
    extremes,
    random_activations,
    random_codes,
)
from dintmac.sim.handle import Handle
from dintmac.sim.partial_sums import PartialSumMonitor, PartialSums
from dintmac.sim.streams import (
    CheckError,
    Payload,
    Stream,
    StreamDriver,
    StreamMonitor,
    StreamSink,
    Transfer,
    random_stalls,
)
from dintmac.sim.testbench import Testbench

__all__ = ["DOUBLE_BUFFERED_TESTS", "TESTS", "Bench"]

#: Seen as streams: a vector goes in, a vector goes on to the east, a set of weights is loaded.
_WEST = Stream("i", {"activations": "i_activations", "swap": "i_swap"}, "i_valid", "enable")
_EAST = Stream("o", {"activations": "o_activations", "swap": "o_swap"}, "o_valid", "enable")
_NORTH = Stream("i_weight", {"weights": "i_weights"}, "load", "load")


class Bench(Testbench):
    """Drives vectors, their partial sums, weights and ``enable``."""

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        super().__init__(handle, configuration, rng)
        self.lanes, self.outputs = configuration.sizes.lanes, configuration.sizes.outputs
        self.double_buffered = configuration.stages.double_buffered
        delay = self.latency - 1
        self.vectors = StreamDriver(handle, _WEST)
        self.partial_sums = PartialSums(handle, delay)
        self.weights = StreamDriver(handle, _NORTH)
        self.enable = StreamSink(handle, _EAST)
        for driver in (self.vectors, self.weights, self.enable, self.partial_sums):
            self.add_driver(driver)
        self.valid_outputs.append(_EAST.valid)
        self.add_sampler(StreamMonitor(handle, _WEST, self._take))
        self.add_sampler(PartialSumMonitor(handle, self.scoreboard.receive, delay))

    def _take(self, vector: Transfer) -> None:
        self.scoreboard.owe(vector)
        self.partial_sums.take()

    def send_vectors(
        self,
        activations: NDArray[np.int8],
        partial_sums: NDArray[np.int64],
        swap: NDArray[np.bool_],
    ) -> None:
        """Send vectors with their partial sums; those with ``swap`` take the loaded weights."""
        words = self.pack("i_activations", activations)
        self.vectors.send(
            {"activations": word, "swap": int(flag)} for word, flag in zip(words, swap, strict=True)
        )
        self.partial_sums.send(self.pack("i_partial_sums", partial_sums))

    def send_random_vectors(self, count: int, *, swaps: float = 0) -> None:
        """Random vectors of which the first swaps, and others with a probability."""
        low, high = self.format.product_range()
        room = self.configuration.sizes.depth - self.lanes
        swap = self.rng.random(count) < swaps
        swap[0] = True
        self.send_vectors(
            random_activations(self.rng, count, self.lanes),
            self.rng.integers(room * low, room * high, (count, self.outputs), endpoint=True),
            swap,
        )

    def start(self, codes: NDArray[np.uint8], value: int) -> NDArray[np.int64]:
        """Partial sums that begin a sum at ``value``: less the correction of all its codes."""
        width = self.handle.ports["i_partial_sums"].element_bits
        return narrow(value - self.configuration.correction(codes), width, Overflow.WRAP)

    def random_weights(self, count: int) -> list[Payload]:
        """``count`` sets of random codes."""
        codes = random_codes(self.rng, self.format, count, self.outputs, self.lanes)
        return self._loads(codes)

    def _loads(self, codes: NDArray[np.uint8]) -> list[Payload]:
        """What loads sets of codes, shape (sets, outputs, lanes)."""
        words = self.pack("i_weights", self.configuration.encode(codes))
        return [{"weights": word} for word in words]

    async def load(self, codes: NDArray[np.uint8]) -> None:
        """Load one set of codes, shape (outputs, lanes), and wait for it.

        Where weights are not double-buffered, it waits for vectors under way before.
        """
        if not self.double_buffered:
            await self.drain(timeout=1000)
        self.weights.send(self._loads(codes[np.newaxis]))
        await self.run_until(lambda: self.weights.idle, timeout=100)

    async def load_random(self) -> None:
        """Load one random set and wait for it."""
        await self.load(random_codes(self.rng, self.format, self.outputs, self.lanes))


async def _random_run(
    bench: Bench, *, load_stalls: float, input_stalls: float, enable_stalls: float
) -> None:
    """Swaps and loads in any order; a swap takes whatever was loaded last.

    Where weights are not double-buffered, loads and vectors take turns.
    """
    await bench.load_random()
    bench.weights.stalls = random_stalls(bench.rng, load_stalls)
    bench.vectors.stalls = random_stalls(bench.rng, input_stalls)
    bench.enable.stalls = random_stalls(bench.rng, enable_stalls)
    if bench.double_buffered:
        bench.weights.send(bench.random_weights(30))
        bench.send_random_vectors(120, swaps=0.2)
    else:
        for _ in range(6):
            bench.send_random_vectors(20, swaps=0.2)
            await bench.load_random()
        bench.send_random_vectors(20)
    await bench.finish(timeout=4000)


async def test_adds_products_without_stalls(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0, input_stalls=0, enable_stalls=0)


async def test_adds_products_while_the_input_stalls(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.6, input_stalls=0.5, enable_stalls=0)


async def test_holds_everything_while_not_enabled(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.6, input_stalls=0, enable_stalls=0.6)


async def test_adds_products_while_all_sides_stall(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.7, input_stalls=0.4, enable_stalls=0.4)


async def test_multiplies_every_weight_by_every_activation(bench: Bench) -> None:
    """Exhaustive: with 4-bit weights in every lane, with wider ones over all lanes together."""
    positions = bench.outputs * bench.lanes
    step = 1 if bench.format.bits <= 4 else positions
    offsets = np.arange(positions).reshape(bench.outputs, bench.lanes)
    none = np.zeros((256, bench.outputs), dtype=np.int64)
    for first in range(0, bench.format.codes, step):
        await bench.load(((first + offsets) % bench.format.codes).astype(np.uint8))
        # Each lane sees the activations in another order, so that equal errors do not cancel.
        orders = [bench.rng.permutation(all_activations()) for _ in range(bench.lanes)]
        bench.send_vectors(np.stack(orders, axis=1), none, np.arange(256) == 0)
        await bench.run_until(lambda: bench.vectors.idle, timeout=300)
    await bench.finish(timeout=100)


async def test_reaches_the_bounds_of_the_accumulator(bench: Bench) -> None:
    """The least product and the greatest, on partial sums of the rest of the depth."""
    pairs = extremes(bench.format)
    rest = bench.configuration.sizes.depth - bench.lanes
    bounds = bench.format.product_range()
    for (activation, code), bound in zip((pairs[0], pairs[-1]), bounds, strict=True):
        codes = np.full((bench.outputs, bench.lanes), code, dtype=np.uint8)
        await bench.load(codes)
        bench.send_vectors(
            np.full((1, bench.lanes), activation, dtype=np.int8),
            bench.start(codes, rest * bound)[np.newaxis],
            np.array([True]),
        )
        await bench.drain(timeout=100)
    await bench.finish(timeout=100)
    words = [transfer.payload["partial_sums"] for transfer in bench.scoreboard.outputs]
    expected = [[bound * bench.configuration.sizes.depth] * bench.outputs for bound in bounds]
    reached = bench.decode("o_partial_sums", words).tolist()
    if reached != expected:
        raise CheckError(f"sums must reach {expected}, not {reached}")


async def test_starts_afresh_after_a_reset_in_mid_stream(bench: Bench) -> None:
    for cycles in (1, 2, 3, 12):
        await bench.load_random()
        bench.send_random_vectors(20)
        await bench.run(cycles)
        await bench.reset()
    await bench.load_random()
    bench.send_random_vectors(20)
    await bench.finish(timeout=200)


async def test_loaded_weights_wait_for_the_swap(bench: Bench) -> None:
    await bench.load_random()
    bench.send_random_vectors(10)
    bench.weights.send(bench.random_weights(3))
    await bench.drain(timeout=100)
    bench.send_random_vectors(10)
    await bench.finish(timeout=100)


async def test_loads_weights_while_not_enabled(bench: Bench) -> None:
    bench.enable.stalls = lambda: True
    await bench.load_random()
    bench.enable.stalls = random_stalls(bench.rng, 0)
    bench.send_random_vectors(10)
    await bench.finish(timeout=100)


async def test_latency_is_as_documented_in_every_cycle(bench: Bench) -> None:
    """Vectors go in back to back, and each comes out after the latency."""
    await bench.load_random()
    count = 30
    bench.send_random_vectors(count)
    await bench.finish(timeout=200)
    inputs, outputs = bench.scoreboard.inputs, bench.scoreboard.outputs
    for taken, output in zip(inputs, outputs, strict=True):
        if output.cycle - taken != bench.latency:
            raise CheckError(f"latency must be {bench.latency}, not {output.cycle - taken}")
    if inputs[-1] - inputs[0] != count - 1:
        raise CheckError(f"{count} vectors must take {count} cycles")


TESTS = (
    test_adds_products_without_stalls,
    test_adds_products_while_the_input_stalls,
    test_holds_everything_while_not_enabled,
    test_adds_products_while_all_sides_stall,
    test_multiplies_every_weight_by_every_activation,
    test_reaches_the_bounds_of_the_accumulator,
    test_starts_afresh_after_a_reset_in_mid_stream,
    test_loads_weights_while_not_enabled,
    test_latency_is_as_documented_in_every_cycle,
)
DOUBLE_BUFFERED_TESTS = (test_loaded_weights_wait_for_the_swap,)
