"""Bench of the weight-stationary tile."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches.operands import (
    all_activations,
    extremes,
    random_activations,
    random_codes,
)
from dintmac.sim.handle import Handle
from dintmac.sim.streams import CheckError, Payload, random_stalls
from dintmac.sim.testbench import Testbench

__all__ = ["DOUBLE_BUFFERED_TESTS", "TESTS", "Bench"]


class Bench(Testbench):
    """Drives weights into ``i_weight``, vectors into ``i`` and takes partial sums from ``o``."""

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        super().__init__(handle, configuration, rng)
        sizes = configuration.sizes
        self.rows, self.lanes = sizes.rows, sizes.lanes
        self.weights_shape = (sizes.rows, sizes.columns, sizes.outputs, sizes.lanes)
        self.sums_shape = (sizes.columns, sizes.outputs)
        self.i = self.add_input("i", lambda payload: True)
        self.i_weight = self.add_input("i_weight", lambda payload: False)
        self.o = self.add_output("o")

    def weight_set(self, codes: NDArray[np.uint8]) -> list[Payload]:
        """Transfers of a set of codes, shape ``weights_shape``: the last row first."""
        return self.payloads("i_weight", weights=self.configuration.encode(codes[::-1]))

    def start(self, codes: NDArray[np.uint8], value: ArrayLike) -> NDArray[np.int64]:
        """Partial sums, shape ``sums_shape``, that begin a sum at ``value``.

        That is less the correction of codes of shape (rows, columns, outputs, lanes), where a sum
        may have passed more rows than the tile has.
        """
        by_output = np.moveaxis(codes, 0, 2)
        blocks = by_output.reshape(*self.sums_shape, -1, self.rows * self.lanes)
        correction = self.configuration.correction(blocks).sum(axis=-1)
        width = self.handle.ports["i_partial_sums"].element_bits
        return narrow(np.asarray(value) - correction, width, Overflow.WRAP)

    def random_weight_set(self) -> list[Payload]:
        """A set of random codes."""
        return self.weight_set(random_codes(self.rng, self.format, *self.weights_shape))

    def vectors(
        self, activations: NDArray[np.int8], partial_sums: NDArray[np.int64]
    ) -> list[Payload]:
        """Vectors of which the first swaps."""
        count = len(activations)
        return self.payloads(
            "i",
            activations=activations.reshape(count, self.rows, self.lanes),
            partial_sums=partial_sums,
            swap=np.arange(count) == 0,
        )

    def random_vectors(self, count: int) -> list[Payload]:
        """Random vectors of which the first swaps, with all partial sums that leave room."""
        products = self.rows * self.lanes
        low, high = self.format.product_range()
        room = self.configuration.sizes.depth - products
        return self.vectors(
            random_activations(self.rng, count, products),
            self.rng.integers(room * low, room * high, (count, *self.sums_shape), endpoint=True),
        )

    def send_random_sets(self, lengths: Iterable[int]) -> None:
        """For each length a weight set and as many vectors."""
        for length in lengths:
            self.i_weight.send(self.random_weight_set())
            self.i.send(self.random_vectors(length))


async def _random_sets(
    bench: Bench, *, weight_stalls: float, input_stalls: float, output_stalls: float
) -> None:
    bench.i_weight.stalls = random_stalls(bench.rng, weight_stalls)
    bench.i.stalls = random_stalls(bench.rng, input_stalls)
    bench.o.stalls = random_stalls(bench.rng, output_stalls)
    bench.send_random_sets(bench.rng.integers(1, 25, 12))
    await bench.finish(timeout=8000)


async def test_adds_products_without_stalls(bench: Bench) -> None:
    await _random_sets(bench, weight_stalls=0, input_stalls=0, output_stalls=0)


async def test_adds_products_while_the_inputs_stall(bench: Bench) -> None:
    await _random_sets(bench, weight_stalls=0.3, input_stalls=0.5, output_stalls=0)


async def test_adds_products_while_weights_come_slowly(bench: Bench) -> None:
    await _random_sets(bench, weight_stalls=0.9, input_stalls=0, output_stalls=0)


async def test_adds_products_while_the_output_stalls(bench: Bench) -> None:
    await _random_sets(bench, weight_stalls=0, input_stalls=0, output_stalls=0.6)


async def test_adds_products_while_all_sides_stall(bench: Bench) -> None:
    await _random_sets(bench, weight_stalls=0.4, input_stalls=0.3, output_stalls=0.5)


async def test_gives_sums_to_a_consumer_that_waits_for_valid(bench: Bench) -> None:
    bench.o.waits_for_valid = True
    bench.send_random_sets([30, 2, 20])
    await bench.finish(timeout=2000)


async def test_multiplies_every_weight_by_every_activation(bench: Bench) -> None:
    """Exhaustive: with 4-bit weights in every lane, with wider ones over all lanes together."""
    positions = int(np.prod(bench.weights_shape))
    step = 1 if bench.format.bits <= 4 else positions
    offsets = np.arange(positions).reshape(bench.weights_shape)
    products = bench.rows * bench.lanes
    none = np.zeros((256, *bench.sums_shape), dtype=np.int64)
    for first in range(0, bench.format.codes, step):
        codes = ((first + offsets) % bench.format.codes).astype(np.uint8)
        # Each lane sees the activations in another order, so that equal errors do not cancel.
        orders = [bench.rng.permutation(all_activations()) for _ in range(products)]
        bench.i_weight.send(bench.weight_set(codes))
        bench.i.send(bench.vectors(np.stack(orders, axis=1), none))
    await bench.finish(timeout=256 * bench.format.codes + 1000)


async def test_reaches_the_bounds_of_the_accumulator(bench: Bench) -> None:
    """The least product, the greatest, and both in turn, on partial sums of the rest of depth."""
    pairs = np.array(extremes(bench.format))
    products = bench.rows * bench.lanes
    rest = bench.configuration.sizes.depth - products
    bounds = bench.format.product_range()
    for (activation, code), bound in zip(pairs[[0, -1]], bounds, strict=True):
        weights = np.full(bench.weights_shape, code, dtype=np.uint8)
        activations = np.full((2, products), activation, dtype=np.int8)
        sums = np.stack([bench.start(weights, rest * bound)] * 2)
        bench.i_weight.send(bench.weight_set(weights))
        bench.i.send(bench.vectors(activations, sums))
    mixed = np.where(np.arange(bench.lanes) % 2, pairs[0, 1], pairs[-1, 1]).astype(np.uint8)
    weights = np.broadcast_to(mixed, bench.weights_shape)
    sums = np.stack([bench.start(weights, rest * bounds[1])] * 2)
    bench.i_weight.send(bench.weight_set(weights))
    bench.i.send(bench.vectors(activations, sums))
    await bench.finish(timeout=500)
    words = [transfer.payload["partial_sums"] for transfer in bench.scoreboard.outputs]
    reached = bench.decode("o_partial_sums", words)
    expected = np.array(bounds) * bench.configuration.sizes.depth
    for row, bound in zip((0, 2), expected, strict=True):
        if (reached[row] != bound).any():
            raise CheckError(f"sums must reach {bound}, not {reached[row].tolist()}")


async def test_starts_afresh_after_a_reset_in_mid_stream(bench: Bench) -> None:
    bench.o.stalls = random_stalls(bench.rng, 0.4)
    for cycles in (1, bench.rows, bench.rows + 1, bench.rows + bench.latency, 40):
        bench.send_random_sets([10, 10, 10])
        await bench.run(cycles)
        await bench.reset()
    bench.send_random_sets([10, 10, 10])
    await bench.finish(timeout=1000)


async def test_a_reload_between_runs_takes_the_new_weights(bench: Bench) -> None:
    for _ in range(4):
        bench.send_random_sets([8])
        await bench.drain(timeout=500)
    await bench.finish(timeout=500)


async def test_a_reload_during_a_run_costs_no_cycle(bench: Bench) -> None:
    length = bench.rows + bench.latency + 4
    bench.send_random_sets([length] * 4)
    await bench.finish(timeout=1000)
    _check_no_gap(bench, 4 * length)


async def test_loaded_weights_wait_for_the_swap(bench: Bench) -> None:
    bench.send_random_sets([5])
    bench.i_weight.send(bench.random_weight_set())
    await bench.drain(timeout=500)
    payloads = bench.random_vectors(20)
    payloads[0]["swap"] = 0
    bench.i.send(payloads)
    await bench.drain(timeout=500)
    bench.i.send(bench.random_vectors(5))
    await bench.finish(timeout=500)


async def test_a_swap_waits_until_the_set_is_complete(bench: Bench) -> None:
    weights = bench.random_weight_set()
    bench.i.send(bench.random_vectors(6))
    bench.i_weight.send(weights[:-1])
    await bench.run(4 * bench.latency)
    if bench.scoreboard.inputs:
        raise CheckError("a swap was taken before its weights were complete")
    bench.i_weight.send(weights[-1:])
    await bench.finish(timeout=500)


async def test_a_second_swap_waits_for_a_second_set(bench: Bench) -> None:
    bench.i_weight.send(bench.random_weight_set())
    bench.i.send(bench.random_vectors(1))
    bench.i.send(bench.random_vectors(6))
    await bench.run(bench.rows + 4 * bench.latency)
    if len(bench.scoreboard.inputs) != 1:
        raise CheckError("a second swap was taken with one set loaded")
    bench.i_weight.send(bench.random_weight_set())
    await bench.finish(timeout=500)


async def test_latency_is_as_documented(bench: Bench) -> None:
    bench.send_random_sets([20])
    await bench.finish(timeout=500)
    for taken, output in zip(bench.scoreboard.inputs, bench.scoreboard.outputs, strict=True):
        if output.cycle - taken != bench.latency:
            raise CheckError(f"latency must be {bench.latency}, not {output.cycle - taken}")


async def test_takes_a_vector_in_every_cycle(bench: Bench) -> None:
    bench.send_random_sets([50])
    await bench.finish(timeout=500)
    _check_no_gap(bench, 50)


def _check_no_gap(bench: Bench, count: int) -> None:
    cycles = bench.scoreboard.outputs[-1].cycle - bench.scoreboard.outputs[0].cycle + 1
    if cycles != count:
        raise CheckError(f"{count} vectors must take {count} cycles, not {cycles}")


TESTS = (
    test_adds_products_without_stalls,
    test_adds_products_while_the_inputs_stall,
    test_adds_products_while_weights_come_slowly,
    test_adds_products_while_the_output_stalls,
    test_adds_products_while_all_sides_stall,
    test_gives_sums_to_a_consumer_that_waits_for_valid,
    test_multiplies_every_weight_by_every_activation,
    test_reaches_the_bounds_of_the_accumulator,
    test_starts_afresh_after_a_reset_in_mid_stream,
    test_a_reload_between_runs_takes_the_new_weights,
    test_a_swap_waits_until_the_set_is_complete,
    test_a_second_swap_waits_for_a_second_set,
    test_latency_is_as_documented,
    test_takes_a_vector_in_every_cycle,
)
DOUBLE_BUFFERED_TESTS = (
    test_a_reload_during_a_run_costs_no_cycle,
    test_loaded_weights_wait_for_the_swap,
)
