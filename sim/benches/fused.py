"""Bench of the processing element for two precisions.

Ports and timing are those of :mod:`pe`; weight sets of both modes follow each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN, INT8, Format
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
    Stream,
    StreamDriver,
    StreamMonitor,
    StreamSink,
    Transfer,
    random_stalls,
)
from dintmac.sim.testbench import Testbench

__all__ = ["TESTS", "Bench"]

_WEST = Stream("i", {"activations": "i_activations", "swap": "i_swap"}, "i_valid", "enable")
_EAST = Stream("o", {"activations": "o_activations", "swap": "o_swap"}, "o_valid", "enable")
_NORTH = Stream("i_weight", {"weights": "i_weights", "int8": "i_int8"}, "load", "load")


class Bench(Testbench):
    """Drives vectors, their partial sums, weights of both modes and ``enable``."""

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        super().__init__(handle, configuration, rng)
        self.outputs = configuration.sizes.outputs
        self.vectors = StreamDriver(handle, _WEST)
        delay = self.latency - 1
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

    def send_weights(self, format: Format, codes: NDArray[np.uint8]) -> None:
        """Send one set of codes, shape (outputs, products)."""
        words = self.pack("i_weights", self.configuration.encode(codes, format)[np.newaxis])
        self.weights.send({"weights": w, "int8": int(format == INT8)} for w in words)

    def send_random_weights(self, format: Format) -> None:
        """Send one random set."""
        shape = self.outputs, self.configuration.products(format)
        self.send_weights(format, random_codes(self.rng, format, *shape))

    async def load(self, format: Format, codes: NDArray[np.uint8]) -> None:
        """Send one set and wait for it."""
        self.send_weights(format, codes)
        await self.run_until(lambda: self.weights.idle, timeout=100)

    async def load_random(self, format: Format) -> None:
        """Send one random set and wait for it."""
        self.send_random_weights(format)
        await self.run_until(lambda: self.weights.idle, timeout=100)

    def send_vectors(
        self,
        format: Format,
        activations: NDArray[np.int8],
        partial_sums: NDArray[np.int64],
        *,
        swap: bool,
    ) -> None:
        """Send vectors for weights of a format; with ``swap`` the first takes the loaded set."""
        lanes = self.configuration.lane_activations(activations, format)
        words = self.pack("i_activations", lanes)
        self.vectors.send(
            {"activations": word, "swap": int(swap and i == 0)} for i, word in enumerate(words)
        )
        self.partial_sums.send(self.pack("i_partial_sums", partial_sums))

    def send_random_vectors(self, format: Format, count: int, *, swap: bool) -> None:
        """Send random vectors with random partial sums."""
        limit = 1 << (self.handle.ports["i_partial_sums"].element_bits - 1)
        activations = random_activations(self.rng, count, self.configuration.products(format))
        sums = self.rng.integers(-limit, limit, (count, self.outputs))
        self.send_vectors(format, activations, sums, swap=swap)

    async def swap(self, format: Format) -> None:
        """Send a random vector that swaps, and wait until it is taken."""
        self.send_random_vectors(format, 1, swap=True)
        await self.run_until(lambda: self.vectors.idle, timeout=100)


async def _random_run(
    bench: Bench, *, load_stalls: float, input_stalls: float, enable_stalls: float
) -> None:
    """Sets of random modes; the next one is loaded while the vectors of one stream."""
    formats = [bench.format, INT8, INT8, bench.format, bench.format]
    formats += [INT8 if mode else bench.format for mode in bench.rng.integers(0, 2, 12)]
    await bench.load_random(formats[0])
    bench.weights.stalls = random_stalls(bench.rng, load_stalls)
    bench.vectors.stalls = random_stalls(bench.rng, input_stalls)
    bench.enable.stalls = random_stalls(bench.rng, enable_stalls)
    for format, following in itertools.pairwise(formats):
        await bench.swap(format)
        bench.send_random_vectors(format, 8, swap=False)
        bench.send_random_weights(following)
        await bench.run_until(lambda: bench.vectors.idle and bench.weights.idle, timeout=400)
    await bench.finish(timeout=400)


async def test_adds_products_without_stalls(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0, input_stalls=0, enable_stalls=0)


async def test_adds_products_while_the_input_stalls(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.6, input_stalls=0.5, enable_stalls=0)


async def test_holds_everything_while_not_enabled(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.6, input_stalls=0, enable_stalls=0.6)


async def test_adds_products_while_all_sides_stall(bench: Bench) -> None:
    await _random_run(bench, load_stalls=0.7, input_stalls=0.4, enable_stalls=0.4)


async def _multiply_all(bench: Bench, format: Format, sets: Sequence[int]) -> None:
    """Sets of consecutive codes, each by every activation in an order of its own in every lane."""
    shape = bench.outputs, bench.configuration.products(format)
    offsets = np.arange(shape[0] * shape[1]).reshape(shape)
    none = np.zeros((256, bench.outputs), dtype=np.int64)
    for first in sets:
        await bench.load(format, ((first + offsets) % format.codes).astype(np.uint8))
        orders = [bench.rng.permutation(all_activations()) for _ in range(shape[1])]
        bench.send_vectors(format, np.stack(orders, axis=1), none, swap=True)
        await bench.run_until(lambda: bench.vectors.idle, timeout=300)
    await bench.finish(timeout=100)


async def test_multiplies_every_narrow_weight_by_every_activation(bench: Bench) -> None:
    """Exhaustive in every lane."""
    await _multiply_all(bench, bench.format, range(bench.format.codes))


async def test_multiplies_every_int8_weight_by_every_activation(bench: Bench) -> None:
    """Exhaustive over all pairs of lanes together."""
    step = bench.outputs * bench.configuration.products(INT8)
    await _multiply_all(bench, INT8, range(0, INT8.codes, step))


async def test_reaches_the_bounds_of_sums_in_both_modes(bench: Bench) -> None:
    """The least and the greatest product, on partial sums of the rest of the depth."""
    expected = []
    for format in (INT8, bench.format, INT8):
        pairs = extremes(format)
        products = bench.configuration.products(format)
        units = bench.format.units_per_step // format.units_per_step
        for (activation, code), bound in zip(
            (pairs[0], pairs[-1]), format.product_range(), strict=True
        ):
            codes = np.full((bench.outputs, products), code, dtype=np.uint8)
            await bench.load(format, codes)
            rest = (bench.configuration.sizes.depth - products) * bound * units
            width = bench.handle.ports["i_partial_sums"].element_bits
            start = narrow(
                rest - bench.configuration.correction(codes, format), width, Overflow.WRAP
            )
            activations = np.full((1, products), activation, dtype=np.int8)
            bench.send_vectors(format, activations, start[np.newaxis], swap=True)
            await bench.drain(timeout=100)
            expected.append([bound * units * bench.configuration.sizes.depth] * bench.outputs)
    await bench.finish(timeout=100)
    words = [transfer.payload["partial_sums"] for transfer in bench.scoreboard.outputs]
    reached = bench.decode("o_partial_sums", words).tolist()
    if reached != expected:
        raise CheckError(f"sums must reach {expected}, not {reached}")


async def test_multiplies_the_ends_of_int8_in_every_combination(bench: Bench) -> None:
    """Weights and activations −128, −1, 0, 1 and 127."""
    ends = np.array([ACTIVATION_MIN, -1, 0, 1, ACTIVATION_MAX], dtype=np.int8)
    products = bench.configuration.products(INT8)
    for weight in ends:
        codes = np.full((bench.outputs, products), weight, dtype=np.int8).view(np.uint8)
        await bench.load(INT8, codes)
        activations = np.stack([np.roll(ends, i) for i in range(products)], axis=1)
        sums = np.zeros((len(ends), bench.outputs), dtype=np.int64)
        bench.send_vectors(INT8, activations, sums, swap=True)
        await bench.run_until(lambda: bench.vectors.idle, timeout=100)
    await bench.finish(timeout=100)


async def test_modes_change_without_a_bubble(bench: Bench) -> None:
    """Vectors go in back to back, and each comes out after the latency."""
    formats = [bench.format, INT8, bench.format, INT8, INT8, bench.format]
    count = 8
    await bench.load_random(formats[0])
    for format, following in zip(formats, [*formats[1:], None], strict=True):
        bench.send_random_vectors(format, count, swap=True)
        if following is None:
            break
        # The swap is taken in the first cycle, the next set is loaded in the second.
        await bench.run(1)
        bench.send_random_weights(following)
        await bench.run(count - 1)
    await bench.finish(timeout=200)
    inputs, outputs = bench.scoreboard.inputs, bench.scoreboard.outputs
    for taken, output in zip(inputs, outputs, strict=True):
        if output.cycle - taken != bench.latency:
            raise CheckError(f"latency must be {bench.latency}, not {output.cycle - taken}")
    if inputs[-1] - inputs[0] != len(formats) * count - 1:
        raise CheckError(f"{len(formats) * count} vectors must take as many cycles")


async def test_a_loaded_mode_waits_for_the_swap(bench: Bench) -> None:
    for format, other in ((bench.format, INT8), (INT8, bench.format)):
        await bench.load_random(format)
        await bench.swap(format)
        await bench.load_random(other)
        bench.send_random_vectors(format, 10, swap=False)
        await bench.drain(timeout=100)
        await bench.swap(other)
        await bench.drain(timeout=100)
    await bench.finish(timeout=100)


async def test_starts_afresh_after_a_reset_in_mid_stream(bench: Bench) -> None:
    for cycles, format in zip((1, 2, 3, 12), (INT8, bench.format) * 2, strict=True):
        await bench.load_random(format)
        bench.send_random_vectors(format, 20, swap=True)
        await bench.run(cycles)
        await bench.reset()
    await bench.load_random(INT8)
    bench.send_random_vectors(INT8, 20, swap=True)
    await bench.finish(timeout=200)


async def test_loads_weights_while_not_enabled(bench: Bench) -> None:
    bench.enable.stalls = lambda: True
    await bench.load_random(INT8)
    bench.enable.stalls = random_stalls(bench.rng, 0)
    bench.send_random_vectors(INT8, 10, swap=True)
    await bench.finish(timeout=100)


TESTS = (
    test_adds_products_without_stalls,
    test_adds_products_while_the_input_stalls,
    test_holds_everything_while_not_enabled,
    test_adds_products_while_all_sides_stall,
    test_multiplies_every_narrow_weight_by_every_activation,
    test_multiplies_every_int8_weight_by_every_activation,
    test_reaches_the_bounds_of_sums_in_both_modes,
    test_multiplies_the_ends_of_int8_in_every_combination,
    test_modes_change_without_a_bubble,
    test_a_loaded_mode_waits_for_the_swap,
    test_starts_afresh_after_a_reset_in_mid_stream,
    test_loads_weights_while_not_enabled,
)
