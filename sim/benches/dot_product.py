"""Bench of the accumulating dot product, and of the MAC, which is one of a single lane."""

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
from dintmac.sim.streams import CheckError, Payload, random_stalls
from dintmac.sim.testbench import Testbench

__all__ = ["TESTS", "Bench"]


class Bench(Testbench):
    """Drives operands into ``i`` and takes sums from ``o``."""

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        super().__init__(handle, configuration, rng)
        self.lanes = configuration.sizes.lanes
        self.correction = configuration.correction
        self.i = self.add_input("i", lambda payload: payload["last"])
        self.o = self.add_output("o")

    def sums(
        self, activations: NDArray[np.int8], codes: NDArray[np.uint8], lengths: NDArray[np.int64]
    ) -> list[Payload]:
        """Transfers that make a sum of each run of ``lengths`` rows of the operands."""
        ends = np.cumsum(lengths)
        last = np.zeros(len(activations), dtype=np.int64)
        last[ends - 1] = 1
        weights = self.configuration.encode(codes)
        return self.payloads(
            "i", activations=activations, weights=weights, first=np.roll(last, 1), last=last
        )

    def random_sums(self, count: int) -> list[Payload]:
        """``count`` sums of one to nine transfers of random operands."""
        lengths = self.rng.integers(1, 10, count)
        total = int(lengths.sum())
        return self.sums(
            random_activations(self.rng, total, self.lanes),
            random_codes(self.rng, self.format, total, self.lanes),
            lengths,
        )


async def _random_sums(bench: Bench, *, input_stalls: float, output_stalls: float) -> None:
    bench.i.stalls = random_stalls(bench.rng, input_stalls)
    bench.o.stalls = random_stalls(bench.rng, output_stalls)
    bench.i.send(bench.random_sums(60))
    await bench.finish(timeout=8000)


async def test_adds_products_without_stalls(bench: Bench) -> None:
    await _random_sums(bench, input_stalls=0, output_stalls=0)


async def test_adds_products_while_the_input_stalls(bench: Bench) -> None:
    await _random_sums(bench, input_stalls=0.5, output_stalls=0)


async def test_adds_products_while_the_output_stalls(bench: Bench) -> None:
    await _random_sums(bench, input_stalls=0, output_stalls=0.7)


async def test_adds_products_while_both_sides_stall(bench: Bench) -> None:
    await _random_sums(bench, input_stalls=0.4, output_stalls=0.6)


async def test_gives_sums_to_a_consumer_that_waits_for_valid(bench: Bench) -> None:
    bench.o.waits_for_valid = True
    bench.i.send(bench.random_sums(40))
    await bench.finish(timeout=4000)


async def test_multiplies_every_weight_by_every_activation(bench: Bench) -> None:
    """Exhaustive: with 4-bit weights in every lane, with wider ones over all lanes together."""
    codes, activations = np.meshgrid(
        np.arange(bench.format.codes, dtype=np.uint8), all_activations(), indexing="ij"
    )
    pairs = np.stack([codes.ravel().astype(np.int64), activations.ravel()], axis=1)
    if bench.format.bits <= 4:
        lanes = [bench.rng.permutation(pairs) for _ in range(bench.lanes)]
    else:
        pairs = bench.rng.permutation(pairs)
        size = -(-len(pairs) // bench.lanes)
        lanes = [np.resize(pairs[lane * size :], (size, 2)) for lane in range(bench.lanes)]
    operands = np.stack(lanes, axis=1)
    count = len(operands)
    bench.i.send(
        bench.sums(
            operands[..., 1].astype(np.int8),
            operands[..., 0].astype(np.uint8),
            np.ones(count, dtype=np.int64),
        )
    )
    await bench.finish(timeout=count + 100)


async def test_reaches_the_bounds_of_the_accumulator(bench: Bench) -> None:
    """Sums of full depth of the least product, the greatest, and both in turn."""
    pairs = extremes(bench.format)
    length = bench.configuration.sizes.depth // bench.lanes
    corrections = []
    for first, second in ((0, 0), (-1, -1), (0, -1)):
        choice = np.where(np.arange(length) % 2, second, first)
        operands = np.repeat(np.array(pairs)[choice][:, np.newaxis], bench.lanes, axis=1)
        codes = operands[..., 1].astype(np.uint8)
        corrections.append(bench.correction(codes).sum())
        bench.i.send(bench.sums(operands[..., 0].astype(np.int8), codes, np.array([length])))
    await bench.finish(timeout=3 * length + 100)
    words = [transfer.payload["sum"] for transfer in bench.scoreboard.outputs]
    sums = bench.decode("o_sum", words) - np.array(corrections)
    low, high, _ = narrow(sums, bench.handle.ports["o_sum"].element_bits, Overflow.WRAP).tolist()
    products = length * bench.lanes
    bounds = tuple(products * bound for bound in bench.format.product_range())
    if (low, high) != bounds:
        raise CheckError(f"sums of {products} products must reach {bounds}, not {(low, high)}")


async def test_starts_afresh_after_a_reset_in_mid_stream(bench: Bench) -> None:
    bench.o.stalls = random_stalls(bench.rng, 0.5)
    for cycles in (1, 2, 3, 17):
        bench.i.send(bench.random_sums(20))
        await bench.run(cycles)
        await bench.reset()
    bench.i.send(bench.random_sums(20))
    await bench.finish(timeout=2000)


async def test_latency_is_as_documented(bench: Bench) -> None:
    bench.i.send(bench.random_sums(20))
    await bench.finish(timeout=1000)
    for last, output in zip(bench.scoreboard.inputs, bench.scoreboard.outputs, strict=True):
        if output.cycle - last != bench.latency:
            raise CheckError(f"latency must be {bench.latency}, not {output.cycle - last}")


async def test_takes_a_transfer_in_every_cycle(bench: Bench) -> None:
    """Sums of one transfer, back to back."""
    count = 50
    bench.i.send(
        bench.sums(
            random_activations(bench.rng, count, bench.lanes),
            random_codes(bench.rng, bench.format, count, bench.lanes),
            np.ones(count, dtype=np.int64),
        )
    )
    await bench.finish(timeout=200)
    cycles = bench.scoreboard.outputs[-1].cycle - bench.scoreboard.outputs[0].cycle + 1
    if cycles != count:
        raise CheckError(f"{count} sums must take {count} cycles, not {cycles}")


TESTS = (
    test_adds_products_without_stalls,
    test_adds_products_while_the_input_stalls,
    test_adds_products_while_the_output_stalls,
    test_adds_products_while_both_sides_stall,
    test_gives_sums_to_a_consumer_that_waits_for_valid,
    test_multiplies_every_weight_by_every_activation,
    test_reaches_the_bounds_of_the_accumulator,
    test_starts_afresh_after_a_reset_in_mid_stream,
    test_latency_is_as_documented,
    test_takes_a_transfer_in_every_cycle,
)
