"""Bench of the processing element, which has no streams: ``enable`` is its ready and its clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.pe import swap_delay
from dintmac.sim.benches.operands import (
    all_activations,
    extremes,
    random_activations,
    random_codes,
)
from dintmac.sim.handle import Handle
from dintmac.sim.models import ProcessingElementModel
from dintmac.sim.scoreboard import Scoreboard
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

T = TypeVar("T")

#: Seen as streams: a vector goes in, a vector goes on to the east, a set of weights is loaded.
_WEST = Stream("i", {"activations": "i_activations", "swap": "i_swap"}, "i_valid", "enable")
_EAST = Stream("o", {"activations": "o_activations", "swap": "o_swap"}, "o_valid", "enable")
_NORTH = Stream("i_weight", {"weights": "i_weights"}, "load", "load")


class Stages(Generic[T]):
    """What goes through a number of pipeline stages; call it once in each enabled cycle."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.reset()

    def reset(self) -> None:
        """Empty the stages."""
        self._held: deque[T | None] = deque([None] * self._count)

    def push(self, item: T | None) -> T | None:
        """Put in one and return the one that leaves."""
        self._held.append(item)
        return self._held.popleft()


class PartialSums:
    """Drives the partial sums of a vector ``delay`` enabled cycles after it.

    In other cycles the port carries the complement of the last partial sums.
    """

    def __init__(self, handle: Handle, scoreboard: Scoreboard, delay: int) -> None:
        self._handle = handle
        self._scoreboard = scoreboard
        self._stages = Stages[Transfer](delay - 1)
        self._mask = (1 << handle.ports["i_partial_sums"].width) - 1
        self._queue: deque[int] = deque()
        self._taken: Transfer | None = None
        self._due: Transfer | None = None
        self._last = 0

    @property
    def idle(self) -> bool:
        """Whether no partial sums wait for their cycle."""
        return not self._queue

    def send(self, words: Iterable[int]) -> None:
        """Partial sums of the next vectors."""
        self._queue.extend(words)

    def take(self, vector: Transfer) -> None:
        """A vector was taken in this cycle; its partial sums will be due."""
        self._taken = vector

    def reset(self) -> None:
        """Forget all partial sums."""
        self._queue.clear()
        self._stages.reset()
        self._taken = None
        self._due = None

    def drive(self) -> None:
        """Set the port for this cycle."""
        if self._due is not None:
            self._last = self._queue[0]
        self._handle.set("i_partial_sums", self._last ^ (0 if self._due else self._mask))

    def sample(self) -> None:
        """Tell the scoreboard when the element takes the partial sums."""
        if not self._handle.get("enable"):
            return
        if self._due is not None:
            self._queue.popleft()
            payload = {"partial_sums": self._handle.get("i_partial_sums")}
            self._scoreboard.observe("i_partial_sums", Transfer(self._due.cycle, payload))
        self._due, self._taken = self._stages.push(self._taken), None


class PartialSumMonitor:
    """Hands the partial sums that appear ``delay`` cycles after ``o_valid`` to ``receive``."""

    def __init__(self, handle: Handle, receive: Callable[[Transfer], None], delay: int) -> None:
        self._handle = handle
        self._receive = receive
        self._stages = Stages[int](delay - 1)
        self.reset()

    def reset(self) -> None:
        """Forget the sums under way."""
        self._stages.reset()
        self._fresh = False

    def sample(self) -> None:
        """See whether there are new partial sums in this cycle."""
        handle = self._handle
        if self._fresh:
            payload = {"partial_sums": handle.get("o_partial_sums")}
            self._receive(Transfer(handle.cycle, payload))
        self._fresh = bool(handle.get("enable") and self._stages.push(handle.get("o_valid")))


class VectorMonitor:
    """Hands a vector to ``receive`` when it takes the weights, ``delay`` enabled cycles after it.

    At once, ``taken`` gets it as well.
    """

    def __init__(
        self,
        handle: Handle,
        taken: Callable[[Transfer], None],
        receive: Callable[[Transfer], None],
        delay: int,
    ) -> None:
        self._handle = handle
        self._taken = taken
        self._receive = receive
        self._stages = Stages[Transfer](delay)
        self._monitor = StreamMonitor(handle, _WEST, self._take)
        self.reset()

    def reset(self) -> None:
        """Forget the vectors under way."""
        self._stages.reset()
        self._vector: Transfer | None = None

    def _take(self, vector: Transfer) -> None:
        self._taken(vector)
        self._vector = vector

    def sample(self) -> None:
        """See whether there is a vector in this cycle."""
        self._monitor.sample()
        if not self._handle.get("enable"):
            return
        vector = self._stages.push(self._vector)
        self._vector = None
        if vector is not None:
            self._receive(vector)


class NeighbourChecker:
    """Fails when the next column or the next row gets anything else than what came in."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._west = StreamMonitor(handle, _WEST, lambda t: self._vectors.append(t.payload))
        self._east = StreamMonitor(handle, _EAST, self._compare)
        self.reset()

    def reset(self) -> None:
        """Forget vectors under way; weights remain."""
        self._vectors: deque[Payload] = deque()
        self._shadow: int | None = None

    def sample(self) -> None:
        """Compare this cycle.

        Raises
        ------
        CheckError
        """
        self._east.sample()
        self._west.sample()
        handle = self._handle
        if self._shadow is not None and handle.get("o_weights") != self._shadow:
            raise CheckError(
                f"o_weights must be {self._shadow:#x} in cycle {handle.cycle}, "
                f"not {handle.get('o_weights'):#x}"
            )
        if handle.get("load"):
            self._shadow = handle.get("i_weights")

    def _compare(self, transfer: Transfer) -> None:
        expected = self._vectors.popleft() if self._vectors else None
        if transfer.payload != expected:
            raise CheckError(
                f"the next column must get {expected} in cycle {transfer.cycle}, "
                f"not {transfer.payload}"
            )


class HoldChecker:
    """Fails when an output changes after a cycle without ``enable``."""

    def __init__(self, handle: Handle, delay: int) -> None:
        self._handle = handle
        self._stages = Stages[int](delay - 1)
        self.reset()

    def reset(self) -> None:
        """In reset outputs may change, and before the first sum there is none to hold."""
        self._stages.reset()
        self._held: dict[str, int] | None = None
        self._has_sum = False

    def sample(self) -> None:
        """Compare this cycle with the one before.

        Raises
        ------
        CheckError
        """
        handle = self._handle
        ports = ["o_valid"]
        ports += ["o_swap", "o_activations"] if handle.get("o_valid") else []
        ports += ["o_partial_sums"] if self._has_sum else []
        values = {port: handle.get(port) for port in ports}
        if self._held is not None and values != self._held:
            changed = [port for port in ports if values[port] != self._held.get(port)]
            raise CheckError(f"{changed[0]} changed in cycle {handle.cycle} without enable")
        if handle.get("enable"):
            self._held = None
            self._has_sum |= bool(self._stages.push(handle.get("o_valid")))
        else:
            self._held = values


class Bench(Testbench):
    """Drives vectors, their partial sums, weights and ``enable``."""

    def __init__(
        self, handle: Handle, configuration: Configuration, rng: np.random.Generator
    ) -> None:
        super().__init__(handle, configuration, rng)
        self.lanes, self.outputs = configuration.sizes.lanes, configuration.sizes.outputs
        self.double_buffered = configuration.stages.double_buffered
        delay = self.latency - 1
        self.scoreboard = self.add_scoreboard(
            ProcessingElementModel(configuration, handle.ports), "o_partial_sums", "partial_sums"
        )
        self.vectors = StreamDriver(handle, _WEST)
        self.partial_sums = PartialSums(handle, self.scoreboard, delay)
        self.weights = StreamDriver(handle, _NORTH)
        self.enable = StreamSink(handle, _EAST)
        for driver in (self.vectors, self.weights, self.enable, self.partial_sums):
            self.add_driver(driver)
        self.valid_outputs.append(_EAST.valid)
        self.add_sampler(NeighbourChecker(handle))
        self.add_sampler(HoldChecker(handle, delay))
        # A vector sees the weights that were loaded before its cycle.
        self.add_sampler(
            VectorMonitor(
                handle,
                self.partial_sums.take,
                lambda t: self.scoreboard.observe("i", t),
                swap_delay(configuration),
            )
        )
        self.add_sampler(
            StreamMonitor(handle, _NORTH, lambda t: self.scoreboard.observe("i_weight", t))
        )
        self.add_sampler(PartialSumMonitor(handle, self.scoreboard.receive, delay))

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
