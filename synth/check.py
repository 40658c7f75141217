"""Compares a mapped netlist with the golden model, in hundreds of copies at once.

Each copy has its own operands and its own pattern of stalls, and is reset once in mid-stream, after
which it starts anew. Together the copies meet every pair of a code and an activation in every lane,
operands and partial sums at their extremes, and, where the design accumulates, a sum of full depth.
Registers hold random bits at power-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN, INT8, Format
from dintmac.golden.registry import Registry
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.pe import swap_delay
from dintmac.synth.netlist import Netlist, Simulation
from dintmac.synth.records import Check

__all__ = ["CHECKS", "CheckError", "check"]

Integers = NDArray[np.integer[Any]]

#: Odd numbers that spread consecutive indices over operands: modulo a power of two they permute.
_SPREAD = 40503
_LANE_STRIDE = 977

#: Chances that a side is ready in a cycle; a copy draws one for each side.
_CHANCES = (1.0, 0.75, 0.5)
#: Each copy is reset once, in one of these cycles.
_RESET_CYCLES = (4, 24)
#: Cycles in which nothing may come any more.
_IDLE_CYCLES = 8

_SEED = 1


class CheckError(RuntimeError):
    """A netlist differs from the golden model."""


def check(netlist: Netlist, configuration: Configuration) -> Check:
    """Simulate a netlist against the golden model.

    Parameters
    ----------
    netlist : Netlist
        Mapped from the export of ``configuration``.
    configuration : Configuration

    Returns
    -------
    Check
        With the number of results compared and of cycles simulated.

    Raises
    ------
    CheckError
        At the first result that differs, with its operands, or if results are missing.
    """
    rng = np.random.default_rng(_SEED)
    return CHECKS.find(configuration.design)(netlist, configuration, rng)


def _units(format: Format, codes: Integers) -> Integers:
    return format.to_units(codes.astype(np.uint8)).astype(np.int64)


def _copies(format: Format) -> int:
    """A multiple of the number of codes that keeps the number of transfers small."""
    return max(256, 4 * format.codes)


def _extreme_codes(format: Format) -> Integers:
    """Codes of the least and the greatest value, and of the denormals."""
    codes = [int(format.half_steps.argmin()), int(format.half_steps.argmax())]
    return np.array([*codes, *(format.denormals or ())])


# Streams


class _Source:
    """Drives a stream: once a transfer is offered it stays until it is taken.

    ``payload`` has shape (copies, transfers, elements) for each port.
    """

    def __init__(
        self, name: str, payload: Mapping[str, Integers], chances: NDArray[np.float64]
    ) -> None:
        self._name = name
        self._payload = payload
        self._chances = chances
        copies, self._transfers = next(iter(payload.values())).shape[:2]
        self._every = np.arange(copies)
        self.position = np.zeros(copies, dtype=np.int64)
        self._valid = np.zeros(copies, dtype=bool)

    @property
    def done(self) -> bool:
        return bool((self.position == self._transfers).all())

    def drive(self, sim: Simulation, rng: np.random.Generator) -> None:
        ready = rng.random(sim.copies) < self._chances
        self._valid = (self._valid | ready) & (self.position < self._transfers)
        at = np.minimum(self.position, self._transfers - 1)
        sim.set(f"{self._name}_valid", self._valid.astype(np.uint8))
        for port, values in self._payload.items():
            now = values[self._every, at]
            # What is offered to nobody is noise.
            noise = rng.permuted(now, axis=0)
            sim.set(port, np.where(self._valid[:, np.newaxis], now, noise))

    def advance(self, sim: Simulation, reset: NDArray[np.bool_]) -> None:
        taken = self._valid & (sim.get(f"{self._name}_ready")[:, 0] == 1)
        self.position += taken
        self._valid &= ~taken
        self.position[reset] = 0
        self._valid[reset] = False


class _Sink:
    """Takes a stream and compares it.

    ``expected`` has shape (copies, most results, elements); copy i gives ``results[i]`` of them.
    """

    def __init__(
        self,
        port: str,
        expected: Integers,
        results: NDArray[np.int64],
        chances: NDArray[np.float64],
        describe: Callable[[int, int], str],
    ) -> None:
        self._port = port
        self._expected = expected
        self._chances = chances
        self._describe = describe
        self._results = results
        copies, self._limit, self._elements = expected.shape
        self._every = np.arange(copies)
        self._ready = np.zeros(copies, dtype=bool)
        self.position = np.zeros(copies, dtype=np.int64)
        self.count = 0

    @property
    def done(self) -> bool:
        return bool((self.position == self._results).all())

    def drive(self, sim: Simulation, rng: np.random.Generator) -> None:
        self._ready = rng.random(sim.copies) < self._chances
        sim.set("o_ready", self._ready.astype(np.uint8))

    def advance(self, sim: Simulation, reset: NDArray[np.bool_]) -> None:
        taken = self._ready & (sim.get("o_valid")[:, 0] == 1) & ~reset
        if (taken & (self.position == self._results)).any():
            raise CheckError(f"{self._port} must give as many results as asked for, not one more")
        at = np.minimum(self.position, self._limit - 1)
        got = sim.get(self._port, self._elements, signed=True)
        wrong = taken & (got != self._expected[self._every, at]).any(axis=1)
        if wrong.any():
            copy = int(wrong.argmax())
            index = int(at[copy])
            raise CheckError(
                f"{self._port} must be {self._expected[copy, index].tolist()}, "
                f"not {got[copy].tolist()}, for {self._describe(copy, index)}"
            )
        self.position += taken
        self.count += int(taken.sum()) * self._elements
        self.position[reset] = 0


def _run_streams(
    netlist: Netlist,
    sources: list[_Source],
    sink: _Sink,
    rng: np.random.Generator,
    *,
    resets: bool,
    limit: int,
) -> Check:
    copies = len(sink.position)
    sim = Simulation(netlist, copies, rng)
    reset_at = rng.integers(*_RESET_CYCLES, size=copies) if resets else np.zeros(copies, np.int64)
    idle = 0
    while idle < _IDLE_CYCLES:
        # All start from a reset at power-up.
        reset = (reset_at == sim.cycles) | (sim.cycles == 0)
        sim.set("rst", reset.astype(np.uint8))
        for source in sources:
            source.drive(sim, rng)
        sink.drive(sim, rng)
        sim.evaluate()
        sink.advance(sim, reset)
        for source in sources:
            source.advance(sim, reset)
        sim.tick()
        finished = sink.done and all(source.done for source in sources)
        idle = idle + 1 if finished and sim.cycles > _RESET_CYCLES[1] else 0
        if sim.cycles > limit:
            raise CheckError(f"all results must come within {limit} cycles, but some do not")
    return Check("simulated", sink.count, sim.cycles * copies)


def _sum(first: Check, second: Check) -> Check:
    return Check(first.method, first.vectors + second.vectors, first.cycles + second.cycles)


# MAC and dot product


def _check_dot_product(
    netlist: Netlist, configuration: Configuration, rng: np.random.Generator
) -> Check:
    lanes = configuration.sizes.lanes
    longest = configuration.sizes.depth // lanes
    products = _check_products(netlist, configuration, lanes, longest, rng)
    return _sum(products, _check_depth(netlist, configuration, lanes, longest, rng))


def _check_products(
    netlist: Netlist,
    configuration: Configuration,
    lanes: int,
    longest: int,
    rng: np.random.Generator,
) -> Check:
    """Every pair in every lane, in sums of random lengths up to ``longest`` transfers."""
    format = configuration.format
    copies = _copies(format)
    pairs = format.codes * 256
    transfers = max(pairs // copies, 16)
    index = np.arange(copies * transfers).reshape(copies, transfers, 1)
    pair = (index * _SPREAD + np.arange(lanes) * _LANE_STRIDE) % pairs
    codes, activations = pair % format.codes, pair // format.codes + ACTIVATION_MIN
    last = rng.random((copies, transfers)) < 0.3
    last[:, -1] = True
    length = np.zeros(copies, dtype=np.int64)
    for transfer in range(transfers):
        length += 1
        last[:, transfer] |= length == longest
        length[last[:, transfer]] = 0
    return _run_dot_product(netlist, configuration, activations, codes, last, rng, resets=True)


def _check_depth(
    netlist: Netlist,
    configuration: Configuration,
    lanes: int,
    transfers: int,
    rng: np.random.Generator,
) -> Check:
    """Sums of full depth: one extreme product throughout, or a random mixture of them."""
    extremes = _extreme_codes(configuration.format)
    limits = np.array([ACTIVATION_MIN, ACTIVATION_MAX])
    pure = np.stack(np.meshgrid(extremes, limits), axis=-1).reshape(-1, 2)
    copies = len(pure) + 8
    shape = (copies, transfers, lanes)
    codes, activations = rng.choice(extremes, shape), rng.choice(limits, shape)
    codes[: len(pure)] = pure[:, 0, np.newaxis, np.newaxis]
    activations[: len(pure)] = pure[:, 1, np.newaxis, np.newaxis]
    last = np.zeros((copies, transfers), dtype=bool)
    last[:, -1] = True
    return _run_dot_product(netlist, configuration, activations, codes, last, rng, resets=False)


def _run_dot_product(
    netlist: Netlist,
    configuration: Configuration,
    activations: Integers,
    codes: Integers,
    last: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    resets: bool,
) -> Check:
    copies, format = len(codes), configuration.format
    sums = np.einsum("ctl,ctl->ct", activations, _units(format, codes))
    sums = (sums + configuration.correction(codes.astype(np.uint8))).cumsum(axis=1)
    first = np.roll(last, 1, axis=1)
    results = last.sum(axis=1)
    # The transfer that ends each sum, in each copy; shorter lists repeat the last.
    ends = np.full((copies, results.max()), codes.shape[1] - 1)
    for copy, row in enumerate(last):
        ends[copy, : results[copy]] = np.flatnonzero(row)
    expected = np.diff(np.take_along_axis(sums, ends, axis=1), axis=1, prepend=0)
    # Sums of products fit; what a correction adds to them may wrap.
    expected = narrow(expected, configuration.width, Overflow.WRAP)

    def describe(copy: int, index: int) -> str:
        start = int(ends[copy, index - 1]) + 1 if index else 0
        operands = slice(start, int(ends[copy, index]) + 1)
        return _describe(format, activations[copy, operands], codes[copy, operands])

    chance = (lambda: rng.choice(_CHANCES, copies)) if resets else (lambda: np.ones(copies))
    payload = {
        "i_activations": activations.astype(np.int8),
        "i_weights": configuration.encode(codes.astype(np.uint8)),
        "i_first": first[..., np.newaxis].astype(np.uint8),
        "i_last": last[..., np.newaxis].astype(np.uint8),
    }
    source = _Source("i", payload, chance())
    sink = _Sink("o_sum", expected[..., np.newaxis], results, chance(), describe)
    limit = 20 * codes.shape[1] + 200
    return _run_streams(netlist, [source], sink, rng, resets=resets, limit=limit)


def _describe(format: Format, activations: Integers, codes: Integers) -> str:
    """Operands, decoded; of a long sum only the last ones."""
    shown = slice(max(0, len(codes) - 4), None)
    return (
        f"activations {activations[shown].tolist()} and {format.name} codes "
        f"{codes[shown].tolist()} (units {_units(format, codes[shown]).tolist()})"
    )


# Processing element and tile


@dataclass(frozen=True)
class _Sets:
    """Operands of resident weights: set after set, each with its vectors.

    Attributes
    ----------
    codes : (copies, sets, outputs, lanes)
    activations : (copies, sets, vectors, lanes)
    partial_sums : (copies, sets, vectors, outputs)
    expected : as partial_sums
        With the correction of folded architectures, modulo the width of partial sums.
    """

    format: Format
    codes: Integers
    activations: Integers
    partial_sums: Integers
    expected: Integers

    def describe(self, copy: int, index: int) -> str:
        set_, vector = divmod(index, self.activations.shape[2])
        operands = self.activations[copy, set_, vector], self.codes[copy, set_]
        return (
            f"{_describe(self.format, *operands)} "
            f"and partial sums {self.partial_sums[copy, set_, vector].tolist()}"
        )


def _resident_sets(
    configuration: Configuration, outputs: int, lanes: int, rng: np.random.Generator
) -> _Sets:
    """Two sets in which every lane meets every pair, and a third with operands at the extremes."""
    format, depth = configuration.format, configuration.sizes.depth
    copies = _copies(format)
    chunks = 2 * copies // format.codes
    vectors = max(256 // chunks, 8)
    copy = np.arange(copies).reshape(-1, 1, 1, 1)
    set_ = np.arange(2).reshape(-1, 1, 1)
    # In each chunk of copies a lane meets every code, and the chunks share out the activations.
    lane = np.arange(outputs * lanes).reshape(outputs, lanes)
    codes = (copy + 131 * set_ + 17 * lane) % format.codes
    index = (copy // format.codes * 2 + set_) * vectors + np.arange(vectors).reshape(-1, 1)
    activations = (77 * index + 31 * np.arange(lanes)) % 256 + ACTIVATION_MIN
    extreme_codes = rng.choice(_extreme_codes(format), (copies, 1, outputs, 1))
    extreme_activations = rng.choice([ACTIVATION_MIN, ACTIVATION_MAX], (copies, 1, vectors, 1))
    codes = np.concatenate([codes, np.broadcast_to(extreme_codes, codes[:, :1].shape)], axis=1)
    activations = np.concatenate(
        [activations, np.broadcast_to(extreme_activations, activations[:, :1].shape)], axis=1
    )
    low, high = (bound * (depth - lanes) for bound in format.product_range())
    shape = (copies, 3, vectors, outputs)
    limits = rng.choice([low, high], shape)
    at_limit = rng.random(shape) < 0.25
    partial_sums = np.where(at_limit, limits, rng.integers(low, high, shape, endpoint=True))
    products = np.einsum("csvl,csol->csvo", activations, _units(format, codes))
    correction = configuration.correction(codes.astype(np.uint8))
    sums = partial_sums + products + correction[:, :, np.newaxis]
    expected = narrow(sums, configuration.width, Overflow.WRAP)
    return _Sets(format, codes, activations, partial_sums, expected)


def _check_tile(netlist: Netlist, configuration: Configuration, rng: np.random.Generator) -> Check:
    sizes = configuration.sizes
    rows, lanes, columns, all_outputs = sizes.rows, sizes.lanes, sizes.columns, sizes.sums
    sets = _resident_sets(configuration, all_outputs, rows * lanes, rng)
    copies, count, vectors, _ = sets.activations.shape
    # The last set is loaded anew for each of its vectors: swaps come faster than they pass.
    codes = np.concatenate([sets.codes, *[sets.codes[:, -1:]] * (vectors - 1)], axis=1)
    swap = np.zeros((copies, count, vectors, 1), dtype=np.uint8)
    swap[:, :, 0] = swap[:, -1] = 1
    # A set is shifted in from the last row to the first.
    weights = codes.reshape(copies, -1, all_outputs, rows, lanes)[:, :, :, ::-1].astype(np.uint8)
    by_row = configuration.encode(weights).transpose(0, 1, 3, 2, 4)

    def stream(values: Integers) -> Integers:
        return values.reshape(copies, count * vectors, -1)

    payload = {
        "i_activations": stream(sets.activations).astype(np.int8),
        "i_partial_sums": stream(sets.partial_sums),
        "i_swap": stream(swap),
    }
    weight_payload = {"i_weight_weights": by_row.reshape(copies, -1, all_outputs * lanes)}
    sources = [
        _Source("i_weight", weight_payload, rng.choice(_CHANCES, copies)),
        _Source("i", payload, rng.choice(_CHANCES, copies)),
    ]
    chances = rng.choice(_CHANCES, copies)
    results = np.full(copies, count * vectors)
    sink = _Sink("o_partial_sums", stream(sets.expected), results, chances, sets.describe)
    limit = 20 * count * vectors * (rows + columns) + 200
    return _run_streams(netlist, sources, sink, rng, resets=True, limit=limit)


class _ElementModel:
    """A processing element, cycle by cycle, as its documentation describes it.

    Registers that nothing has written yet are not known and not compared.
    """

    def __init__(self, configuration: Configuration, copies: int) -> None:
        outputs, lanes = configuration.sizes.outputs, configuration.sizes.lanes
        self._configuration = configuration
        self._format = configuration.format
        self._swap_delay = swap_delay(configuration)
        self.double_buffered = bool(configuration.stages.double_buffered)
        self.shadow = np.zeros((copies, outputs, lanes), dtype=np.int64)
        self.resident = np.zeros_like(self.shadow) if self.double_buffered else self.shadow
        self._correction = configuration.correction(self._codes())
        self.swap = np.zeros(copies, dtype=bool)
        #: Whether there is a vector: in each stage before the last.
        self._waiting = np.zeros((configuration.latency - 1, copies), dtype=bool)
        #: Activations of the stages before the products.
        self._operands = np.zeros((1 + self._swap_delay, copies, lanes), dtype=np.int64)
        self._tree_register = bool(configuration.stages.tree_register)
        self._products = np.zeros((copies, outputs), dtype=np.int64)
        self.partial_sums = np.zeros((copies, outputs), dtype=np.int64)
        self.known = {
            name: np.zeros(copies, dtype=bool)
            for name in ("o_weights", "o_activations", "o_valid", "o_swap", "o_partial_sums")
        }

    @property
    def activations(self) -> Integers:
        """Activations that the next column gets."""
        activations: Integers = self._operands[0]
        return activations

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Whether the next column gets a vector."""
        valid: NDArray[np.bool_] = self._waiting[0]
        return valid

    @property
    def loadable(self) -> NDArray[np.bool_]:
        """Whether no vector under way would get the weights that are loaded now."""
        if not self.double_buffered:
            return np.logical_not(self._waiting[: len(self._operands)].any(axis=0))
        if self._swap_delay:
            return ~(self.valid & self.swap)
        return np.ones_like(self.valid)

    def compare(self, sim: Simulation) -> None:
        outputs = {
            "o_weights": (self.shadow, False),
            "o_activations": (self.activations, True),
            "o_valid": (self.valid, False),
            "o_swap": (self.swap, False),
            "o_partial_sums": (self.partial_sums, True),
        }
        for port, (values, signed) in outputs.items():
            expected = values.reshape(sim.copies, -1).astype(np.int64)
            got = sim.get(port, expected.shape[1], signed=signed)
            wrong = self.known[port] & (got != expected).any(axis=1)
            if wrong.any():
                copy = int(wrong.argmax())
                operands = _describe(self._format, self.activations[copy], self._codes()[copy])
                raise CheckError(
                    f"{port} must be {expected[copy].tolist()}, not {got[copy].tolist()}, "
                    f"after {operands}"
                )

    def _codes(self) -> NDArray[np.uint8]:
        codes: NDArray[np.uint8] = self._configuration.decode(self.resident.astype(np.uint8))
        return codes

    def tick(self, drive: _ElementInputs) -> int:
        """One cycle; the number of copies that computed sums."""
        takes = drive.enable & drive.valid
        moves = drive.enable & self._waiting
        swaps = moves[0] & self.swap if self._swap_delay else takes & drive.swap

        codes = self._codes()
        products = np.einsum("cl,col->co", self._operands[-1], _units(self._format, codes))
        products += self._correction
        if self._tree_register:
            self._products, products = (
                np.where(moves[-2][:, np.newaxis], products, self._products),
                self._products,
            )
        sums = narrow(drive.partial_sums + products, self._configuration.width, Overflow.WRAP)
        self.partial_sums[moves[-1]] = sums[moves[-1]]
        self.known["o_partial_sums"] |= moves[-1]

        if self.double_buffered:
            self.resident[swaps] = self.shadow[swaps]
        if self._swap_delay:
            self._operands[1, moves[0]] = self._operands[0, moves[0]]
        self._operands[0, takes] = drive.activations[takes]
        self.swap[takes] = drive.swap[takes]
        self.known["o_activations"] |= takes
        self.known["o_swap"] |= takes
        entered = np.concatenate([drive.valid[np.newaxis], self._waiting[:-1]])
        self._waiting = np.where(drive.enable, entered, self._waiting) & ~drive.reset
        self.known["o_valid"] |= drive.enable | drive.reset
        self.shadow[drive.load] = drive.weights[drive.load]
        self.known["o_weights"] |= drive.load
        changed = swaps if self.double_buffered else drive.load
        if changed.any():
            self._correction[changed] = self._configuration.correction(self._codes()[changed])
        return int(moves[-1].sum())


@dataclass(frozen=True)
class _ElementInputs:
    """Inputs of a cycle, for each copy."""

    reset: NDArray[np.bool_]
    enable: NDArray[np.bool_]
    load: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    swap: NDArray[np.bool_]
    weights: Integers
    activations: Integers
    partial_sums: Integers

    def apply(self, sim: Simulation) -> None:
        sim.set("rst", self.reset.astype(np.uint8))
        sim.set("enable", self.enable.astype(np.uint8))
        sim.set("load", self.load.astype(np.uint8))
        sim.set("i_valid", self.valid.astype(np.uint8))
        sim.set("i_swap", self.swap.astype(np.uint8))
        sim.set("i_weights", self.weights.astype(np.uint8))
        sim.set("i_activations", self.activations.astype(np.int8))
        sim.set("i_partial_sums", self.partial_sums)


def _check_processing_element(
    netlist: Netlist, configuration: Configuration, rng: np.random.Generator
) -> Check:
    sizes = configuration.sizes
    sets = _resident_sets(configuration, sizes.outputs, sizes.lanes, rng)
    copies, count, vectors, _ = sets.activations.shape
    model = _ElementModel(configuration, copies)
    stored = configuration.encode(sets.codes.astype(np.uint8)).astype(np.int64)
    sim = Simulation(netlist, copies, rng)
    every = np.arange(copies)
    enable_chance, valid_chance = rng.choice(_CHANCES, copies), rng.choice(_CHANCES, copies)
    reset_at = rng.integers(*_RESET_CYCLES, size=copies)
    position = np.zeros(copies, dtype=np.int64)
    loaded = np.full(copies, -1)
    compared = idle = 0
    while idle < _IDLE_CYCLES:
        set_, vector = np.divmod(np.minimum(position, count * vectors - 1), vectors)
        enable = rng.random(copies) < enable_chance
        wanted = (position < count * vectors) & (rng.random(copies) < valid_chance)
        starts = vector == 0
        inputs = _ElementInputs(
            reset=(reset_at == sim.cycles) | (sim.cycles == 0),
            enable=enable,
            # The next set is loaded at any time after the swap to the one before, or after all
            # vectors of that one where weights are not double-buffered.
            load=(rng.random(copies) < 0.3)
            & model.loadable
            & ((~starts & model.double_buffered) | (loaded != set_)),
            valid=wanted & (~starts | (loaded == set_)),
            swap=np.where(wanted, starts, rng.random(copies) < 0.5),
            weights=stored[every, np.minimum(set_ + ~starts, count - 1)],
            activations=sets.activations[every, set_, vector],
            # Partial sums follow their activations, whatever is in the pipeline.
            partial_sums=sets.partial_sums[every, set_, vector],
        )
        inputs.apply(sim)
        sim.evaluate()
        model.compare(sim)
        compared += model.tick(inputs) * sizes.outputs
        sim.tick()
        loaded = np.where(inputs.load, np.minimum(set_ + ~starts, count - 1), loaded)
        position += inputs.enable & inputs.valid
        position[inputs.reset] = 0
        loaded[inputs.reset] = -1
        finished = bool((position == count * vectors).all())
        idle = idle + 1 if finished and sim.cycles > _RESET_CYCLES[1] else 0
        if sim.cycles > 40 * count * vectors + 200:
            raise CheckError("the stimulus must end, but some copies never do")
    return Check("simulated", compared, sim.cycles * copies)


# Fused processing element


@dataclass(frozen=True)
class _FusedSets:
    """Weight sets of both modes, one after the other, and their vectors.

    Attributes
    ----------
    formats : list of Format
        Of each set.
    codes : list of (copies, outputs, products)
    nibbles : (copies, sets, outputs, lanes)
    activations : (copies, sets, vectors, lanes)
    sums : (copies, sets, vectors, outputs)
        Products and correction, in units of the hardware.
    """

    formats: list[Format]
    codes: list[NDArray[np.uint8]]
    nibbles: Integers
    activations: Integers
    sums: Integers

    def describe(self, copy: int, index: int) -> str:
        set_, vector = divmod(index, self.activations.shape[2])
        format, codes = self.formats[set_], self.codes[set_][copy]
        step = self.activations.shape[3] // codes.shape[-1]
        return _describe(format, self.activations[copy, set_, vector, ::step], codes)


def _fused_sets(configuration: Configuration, rng: np.random.Generator) -> _FusedSets:
    """All changes of mode; every pair of a code and an activation in every lane or pair of lanes.

    The last two sets have operands at the extremes.
    """
    narrow_format, outputs = configuration.format, configuration.sizes.outputs
    formats = [narrow_format, INT8, INT8, narrow_format, narrow_format, INT8]
    copies = _copies(INT8)
    vectors = 256 * INT8.codes // copies // formats[:4].count(INT8)
    copy = np.arange(copies).reshape(-1, 1, 1)
    codes, activations, sums = [], [], []
    for i, format in enumerate(formats):
        products = configuration.products(format)
        lane = np.arange(outputs * products).reshape(outputs, products)
        part = formats[:i].count(format)
        # A chunk of copies meets every code in each lane, and the chunks share out the activations.
        index = (copy // format.codes * 2 + part) * vectors + np.arange(vectors).reshape(-1, 1)
        some = (copy + 131 * part + 17 * lane) % format.codes
        vector = (77 * index + 31 * np.arange(products)) % 256 + ACTIVATION_MIN
        if i >= 4:
            some = rng.choice(_extreme_codes(format), (copies, outputs, 1)).repeat(products, axis=2)
            vector = rng.choice([ACTIVATION_MIN, ACTIVATION_MAX], (copies, vectors, 1))
            vector = vector.repeat(products, axis=2)
        chosen = some.astype(np.uint8)
        units = configuration.units // format.units_per_step
        exact = np.einsum("cvl,col->cvo", vector, _units(format, chosen)) * units
        codes.append(chosen)
        activations.append(configuration.lane_activations(vector.astype(np.int8), format))
        sums.append(exact + configuration.correction(chosen, format)[:, np.newaxis])
    nibbles = [configuration.encode(c, f) for f, c in zip(formats, codes, strict=True)]
    stacked = (np.stack(arrays, axis=1) for arrays in (nibbles, activations, sums))
    return _FusedSets(formats, codes, *stacked)


class _FusedModel:
    """The element cycle by cycle, in terms of sets and vectors; −1 is what is not known."""

    def __init__(self, configuration: Configuration, sets: _FusedSets) -> None:
        self._sets = sets
        self._width = configuration.width
        copies, count, vectors, outputs = sets.sums.shape
        self._every = np.arange(copies)
        self._modes = np.array([format == INT8 for format in sets.formats])
        self._by_vector = sets.sums.reshape(copies, count * vectors, outputs)
        self._activations = sets.activations.reshape(copies, count * vectors, -1)
        self.shadow = np.full(copies, -1)
        self.vector = np.full(copies, -1)
        self.summed = np.full(copies, -1)
        self.valid = np.zeros(copies, dtype=bool)
        self.swap = np.zeros(copies, dtype=bool)
        self.partial_sums = np.zeros((copies, outputs), dtype=np.int64)

    def compare(self, sim: Simulation) -> None:
        every, shadow, vector = self._every, self.shadow, self.vector
        self._compare(sim, "o_weights", self._sets.nibbles[every, shadow], shadow >= 0)
        self._compare(sim, "o_int8", self._modes[shadow], shadow >= 0)
        self._compare(sim, "o_activations", self._activations[every, vector], vector >= 0)
        self._compare(sim, "o_swap", self.swap, vector >= 0)
        self._compare(sim, "o_valid", self.valid, every >= 0 if sim.cycles else every < 0)
        self._compare(sim, "o_partial_sums", self.partial_sums, self.summed >= 0)

    def _compare(
        self, sim: Simulation, port: str, values: NDArray[Any], known: NDArray[np.bool_]
    ) -> None:
        expected = values.reshape(sim.copies, -1).astype(np.int64)
        signed = port in ("o_activations", "o_partial_sums")
        got = sim.get(port, expected.shape[1], signed=signed)
        wrong = known & (got != expected).any(axis=1)
        if wrong.any():
            copy = int(wrong.argmax())
            operands = self._sets.describe(copy, max(int(self.summed[copy]), 0))
            raise CheckError(
                f"{port} must be {expected[copy].tolist()}, not {got[copy].tolist()}, "
                f"after {operands}"
            )

    def tick(self, inputs: _FusedInputs) -> int:
        """One cycle; the number of copies that computed sums."""
        computes = inputs.enable & self.valid
        sums = inputs.partial_sums + self._by_vector[self._every, self.vector]
        sums = narrow(sums, self._width, Overflow.WRAP)
        self.partial_sums[computes] = sums[computes]
        self.summed[computes] = self.vector[computes]
        takes = inputs.enable & inputs.valid
        self.vector[takes] = inputs.vector[takes]
        self.swap[takes] = inputs.swap[takes]
        self.valid = np.where(inputs.enable, inputs.valid, self.valid) & ~inputs.reset
        self.shadow[inputs.load] = inputs.set_[inputs.load]
        return int(computes.sum())


@dataclass(frozen=True)
class _FusedInputs:
    """Inputs of a cycle, for each copy: ``set_`` is loaded, ``vector`` offered."""

    reset: NDArray[np.bool_]
    enable: NDArray[np.bool_]
    load: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    swap: NDArray[np.bool_]
    set_: NDArray[np.int64]
    vector: NDArray[np.int64]
    partial_sums: Integers

    def apply(self, sim: Simulation, sets: _FusedSets, rng: np.random.Generator) -> None:
        every = np.arange(sim.copies)
        modes = np.array([format == INT8 for format in sets.formats])
        # What nobody takes is noise.
        mode = np.where(self.load, modes[self.set_], rng.random(sim.copies) < 0.5)
        activations = sets.activations.reshape(sim.copies, -1, sets.activations.shape[3])
        offered = np.where(self.valid, self.vector, rng.integers(activations.shape[1]))
        for port, flags in (
            ("rst", self.reset),
            ("enable", self.enable),
            ("load", self.load),
            ("i_valid", self.valid),
            ("i_swap", self.swap),
            ("i_int8", mode),
        ):
            sim.set(port, flags.astype(np.uint8))
        sim.set("i_weights", sets.nibbles[every, self.set_])
        sim.set("i_activations", activations[every, offered])
        sim.set("i_partial_sums", self.partial_sums)


def _check_fused(netlist: Netlist, configuration: Configuration, rng: np.random.Generator) -> Check:
    sets = _fused_sets(configuration, rng)
    copies, count, vectors, outputs = sets.sums.shape
    model = _FusedModel(configuration, sets)
    sim = Simulation(netlist, copies, rng)
    limit = 1 << (configuration.width - 1)
    enable_chance, valid_chance = rng.choice(_CHANCES, copies), rng.choice(_CHANCES, copies)
    reset_at = rng.integers(*_RESET_CYCLES, size=copies)
    position = np.zeros(copies, dtype=np.int64)
    loaded = np.full(copies, -1)
    compared = idle = 0
    while idle < _IDLE_CYCLES:
        set_, vector = np.divmod(np.minimum(position, count * vectors - 1), vectors)
        wanted = (position < count * vectors) & (rng.random(copies) < valid_chance)
        starts = vector == 0
        next_set = np.minimum(set_ + ~starts, count - 1)
        inputs = _FusedInputs(
            reset=(reset_at == sim.cycles) | (sim.cycles == 0),
            enable=rng.random(copies) < enable_chance,
            # The next set is loaded at any time after the swap to the one before.
            load=(rng.random(copies) < 0.3) & (~starts | (loaded != set_)),
            valid=wanted & (~starts | (loaded == set_)),
            swap=np.where(wanted, starts, rng.random(copies) < 0.5),
            set_=next_set,
            vector=set_ * vectors + vector,
            partial_sums=rng.integers(-limit, limit, (copies, outputs)),
        )
        inputs.apply(sim, sets, rng)
        sim.evaluate()
        model.compare(sim)
        compared += model.tick(inputs) * outputs
        sim.tick()
        loaded = np.where(inputs.load, next_set, loaded)
        position += inputs.enable & inputs.valid
        position[inputs.reset] = 0
        loaded[inputs.reset] = -1
        finished = bool((position == count * vectors).all())
        idle = idle + 1 if finished and sim.cycles > _RESET_CYCLES[1] else 0
        if sim.cycles > 40 * count * vectors + 200:
            raise CheckError("the stimulus must end, but some copies never do")
    return Check("simulated", compared, sim.cycles * copies)


#: How the netlist of a design is checked: the operands are random, of a generator that is given.
CHECKS: Registry[Callable[[Netlist, Configuration, np.random.Generator], Check]] = Registry(
    "check",
    "checks",
    {
        "mac": _check_dot_product,
        "dot": _check_dot_product,
        "pe": _check_processing_element,
        "tile": _check_tile,
        "fused": _check_fused,
    }.items(),
)
