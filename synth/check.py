"""Compares a mapped netlist with the behaviour of its design, in hundreds of copies at once.

Each copy has its own operands and its own pattern of stalls, and is reset once in mid-stream, after
which it starts anew. Every output that is known is compared in every cycle. Together the copies
meet every pair of a code and an activation in every lane, operands and partial sums at their
extremes, and, where the design accumulates, a sum of full depth. Registers hold random bits at
power-up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_MAX, ACTIVATION_MIN, Format
from dintmac.golden.registry import Registry
from dintmac.hdl.behaviour import Behaviour, Output
from dintmac.hdl.configuration import Configuration
from dintmac.synth.netlist import Netlist, Simulation
from dintmac.synth.records import Check

__all__ = ["CHECKS", "CheckError", "Operands", "Source", "Streams", "check"]

Integers = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]
Ports = dict[str, NDArray[Any]]

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


class Operands(ABC):
    """What a design is given while its netlist is checked.

    Attributes
    ----------
    copies : int
    resets : bool
        Whether each copy is reset once in mid-stream.
    limit : int
        Cycles after which the operands must have been taken.
    """

    copies: int
    limit: int
    resets = True

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether all of them have been taken."""

    @abstractmethod
    def inputs(self, rng: np.random.Generator) -> Ports:
        """Values of all input ports in the next cycle."""

    @abstractmethod
    def advance(self, inputs: Ports, outputs: Mapping[str, Output]) -> None:
        """See what was taken in a cycle; after a reset all starts anew."""


def check(netlist: Netlist, configuration: Configuration) -> Check:
    """Simulate a netlist beside the behaviour of its design.

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
        At the first output that differs, with the operands of the sum that is given then.
    """
    rng = np.random.default_rng(_SEED)
    vectors = cycles = 0
    for operands in CHECKS.find(configuration.design)(configuration, rng):
        behaviour = configuration.behaviour(operands.copies)
        cycles += _run(Simulation(netlist, operands.copies, rng), behaviour, operands, rng)
        if behaviour.unknown:
            raise CheckError(f"all sums must be compared, but {behaviour.unknown} are not known")
        vectors += behaviour.sums
    return Check("simulated", vectors, cycles)


def _run(
    sim: Simulation, behaviour: Behaviour, operands: Operands, rng: np.random.Generator
) -> int:
    """Cycles of all copies."""
    sim.set("rst", np.ones(sim.copies, dtype=np.uint8))
    sim.evaluate()
    sim.tick()
    reset_at = rng.integers(*_RESET_CYCLES, size=sim.copies)
    patience = _IDLE_CYCLES + behaviour.configuration.latency
    idle = 0
    while idle < patience:
        reset = np.equal(sim.cycles, reset_at) & operands.resets
        inputs: Ports = {**operands.inputs(rng), "rst": reset}
        for port, values in inputs.items():
            sim.set(port, values)
        sim.evaluate()
        outputs = behaviour.outputs(inputs)
        _compare(sim, behaviour, outputs)
        operands.advance(inputs, outputs)
        behaviour.tick(inputs)
        sim.tick()
        finished = operands.done and sim.cycles > _RESET_CYCLES[1]
        idle = idle + 1 if finished and not outputs["o_valid"].values.any() else 0
        if sim.cycles > operands.limit:
            raise CheckError(f"all operands must be taken within {operands.limit} cycles")
    return sim.cycles * sim.copies


def _compare(sim: Simulation, behaviour: Behaviour, outputs: Mapping[str, Output]) -> None:
    for port, (values, known) in outputs.items():
        expected = values.reshape(sim.copies, -1)
        signed = np.issubdtype(expected.dtype, np.signedinteger)
        got = sim.get(port, expected.shape[1], signed=signed)
        wrong = known & (got != expected).any(axis=1)
        if wrong.any():
            copy = int(wrong.argmax())
            raise CheckError(
                f"{port} must be {expected[copy].astype(int).tolist()}, not {got[copy].tolist()}, "
                f"for {behaviour.explain(copy)}"
            )


def _copies(format: Format) -> int:
    """A multiple of the number of codes that keeps the number of transfers small."""
    return max(256, 4 * format.codes)


def _extreme_codes(format: Format) -> Integers:
    """Codes of the least and the greatest value, and of the denormals."""
    codes = [int(format.half_steps.argmin()), int(format.half_steps.argmax())]
    return np.array([*codes, *(format.denormals or ())])


# Streams


class Source:
    """The valid side of a stream: once a transfer is offered it stays until it is taken.

    Parameters
    ----------
    name : str
        The stream's.
    payload : mapping of str to array, shape (copies, transfers, elements)
        By port.
    chances : float array, shape (copies,)
        Of an offer in a cycle.
    """

    def __init__(self, name: str, payload: Ports, chances: NDArray[np.float64]) -> None:
        self._name = name
        self._payload = payload
        self._chances = chances
        copies, self._transfers = next(iter(payload.values())).shape[:2]
        self._every = np.arange(copies)
        self._position = np.zeros(copies, dtype=np.int64)
        self._valid = np.zeros(copies, dtype=bool)

    @property
    def done(self) -> bool:
        return bool((self._position == self._transfers).all())

    def inputs(self, rng: np.random.Generator) -> Ports:
        offers = rng.random(len(self._every)) < self._chances
        self._valid = (self._valid | offers) & (self._position < self._transfers)
        at = np.minimum(self._position, self._transfers - 1)
        inputs: Ports = {f"{self._name}_valid": self._valid}
        for port, values in self._payload.items():
            now = values[self._every, at]
            # What is offered to nobody is noise.
            inputs[port] = np.where(self._valid[:, np.newaxis], now, rng.permuted(now, axis=0))
        return inputs

    def advance(self, outputs: Mapping[str, Output], reset: Flags) -> None:
        taken = self._valid & outputs[f"{self._name}_ready"].values
        self._position = np.where(reset, 0, self._position + taken)
        self._valid = self._valid & ~taken & ~reset


class Streams(Operands):
    """Operands of streams, and a side that takes the results.

    Parameters
    ----------
    sources : list of Source
    chances : float array, shape (copies,)
        That a result is taken in a cycle.
    limit : int
        Cycles after which all operands must have been taken.
    """

    def __init__(self, sources: list[Source], chances: NDArray[np.float64], limit: int) -> None:
        self.copies = len(chances)
        self.limit = limit
        self._sources = sources
        self._chances = chances

    @property
    def done(self) -> bool:
        return all(source.done for source in self._sources)

    def inputs(self, rng: np.random.Generator) -> Ports:
        ready = rng.random(self.copies) < self._chances
        inputs: Ports = {"o_ready": ready | self.done}
        for source in self._sources:
            inputs |= source.inputs(rng)
        return inputs

    def advance(self, inputs: Ports, outputs: Mapping[str, Output]) -> None:
        for source in self._sources:
            source.advance(outputs, inputs["rst"])


# MAC and dot product


def _of_dot_product(configuration: Configuration, rng: np.random.Generator) -> Iterator[Operands]:
    longest = configuration.sizes.depth // configuration.sizes.lanes
    yield _products(configuration, longest, rng)
    yield _sums_of_full_depth(configuration, longest, rng)


def _products(configuration: Configuration, longest: int, rng: np.random.Generator) -> Operands:
    """Every pair in every lane, in sums of random lengths up to ``longest`` transfers."""
    format, lanes = configuration.format, configuration.sizes.lanes
    copies, pairs = _copies(format), format.codes * 256
    transfers = max(pairs // copies, 16)
    index = np.arange(copies * transfers).reshape(copies, transfers, 1)
    pair = (index * _SPREAD + np.arange(lanes) * _LANE_STRIDE) % pairs
    last = rng.random((copies, transfers)) < 0.3
    last[:, -1] = True
    length = np.zeros(copies, dtype=np.int64)
    for transfer in range(transfers):
        length += 1
        last[:, transfer] |= length == longest
        length[last[:, transfer]] = 0
    chances = rng.choice(_CHANCES, (2, copies))
    codes, activations = pair % format.codes, pair // format.codes + ACTIVATION_MIN
    return _transfers(configuration, activations, codes, last, chances)


def _sums_of_full_depth(
    configuration: Configuration, transfers: int, rng: np.random.Generator
) -> Operands:
    """Without stalls: one extreme product throughout, or a random mixture of them."""
    extremes = _extreme_codes(configuration.format)
    limits = np.array([ACTIVATION_MIN, ACTIVATION_MAX])
    pure = np.stack(np.meshgrid(extremes, limits), axis=-1).reshape(-1, 2)
    copies = len(pure) + 8
    shape = (copies, transfers, configuration.sizes.lanes)
    codes, activations = rng.choice(extremes, shape), rng.choice(limits, shape)
    codes[: len(pure)] = pure[:, 0, np.newaxis, np.newaxis]
    activations[: len(pure)] = pure[:, 1, np.newaxis, np.newaxis]
    last = np.zeros((copies, transfers), dtype=bool)
    last[:, -1] = True
    operands = _transfers(configuration, activations, codes, last, np.ones((2, copies)))
    operands.resets = False
    return operands


def _transfers(
    configuration: Configuration,
    activations: Integers,
    codes: Integers,
    last: Flags,
    chances: NDArray[np.float64],
) -> Operands:
    payload: Ports = {
        "i_activations": activations,
        "i_weights": configuration.encode(codes.astype(np.uint8)),
        "i_first": np.roll(last, 1, axis=1)[..., np.newaxis],
        "i_last": last[..., np.newaxis],
    }
    source = Source("i", payload, chances[0])
    return Streams([source], chances[1], 20 * codes.shape[1] + 200)


# Processing elements and tile


@dataclass(frozen=True)
class _Set:
    """A set of weights and the vectors that it is to be multiplied by.

    Attributes
    ----------
    format : Format
    codes : (copies, sums, products)
    activations : (copies, vectors, products)
    """

    format: Format
    codes: NDArray[np.uint8]
    activations: NDArray[np.int8]


def _sets(configuration: Configuration, rng: np.random.Generator) -> list[_Set]:
    """Sets in which every lane meets every pair, and one of each format of extremes.

    With two formats there are all changes from one to the other.
    """
    formats = configuration.weight_formats
    usual = [formats[0]] * 2 if len(formats) == 1 else [formats[i] for i in (0, 1, 1, 0)]
    copies = max(map(_copies, formats))
    vectors = max(8, *(256 * f.codes // (copies * usual.count(f)) for f in formats))
    copy, vector = np.arange(copies).reshape(-1, 1, 1), np.arange(vectors).reshape(-1, 1)
    made = []
    for i, format in enumerate(usual):
        sums, products = configuration.sizes.sums, configuration.products(format)
        part, parts = usual[:i].count(format), usual.count(format)
        # In a chunk of copies a lane meets every code, and the chunks share out the activations.
        lane = np.arange(sums * products).reshape(sums, products)
        codes = (copy + 131 * part + 17 * lane) % format.codes
        index = (copy // format.codes * parts + part) * vectors + vector
        activations = (77 * index + 31 * np.arange(products)) % 256 + ACTIVATION_MIN
        made.append(_Set(format, codes.astype(np.uint8), activations.astype(np.int8)))
    return made + [_extremes(configuration, format, copies, vectors, rng) for format in formats]


def _extremes(
    configuration: Configuration,
    format: Format,
    copies: int,
    vectors: int,
    rng: np.random.Generator,
) -> _Set:
    """The same extreme code in all lanes of a sum, and the same activation."""
    sums, products = configuration.sizes.sums, configuration.products(format)
    codes = rng.choice(_extreme_codes(format), (copies, sums, 1)).repeat(products, axis=2)
    limits = rng.choice([ACTIVATION_MIN, ACTIVATION_MAX], (copies, vectors, 1))
    return _Set(format, codes.astype(np.uint8), limits.repeat(products, axis=2).astype(np.int8))


def _partial_sums(
    configuration: Configuration, copies: int, vectors: int, rng: np.random.Generator
) -> Integers:
    """Shape (copies, vectors, sums); a quarter of them at the ends of their width."""
    limit = 1 << (configuration.width - 1)
    shape = copies, vectors, configuration.sizes.sums
    ends = rng.choice([-limit, limit - 1], shape)
    return np.where(rng.random(shape) < 0.25, ends, rng.integers(-limit, limit, shape))


class _Element(Operands):
    """Sets that are loaded while the vectors of the one before go in, in every pattern of stalls.

    Partial sums are others in every cycle, whatever is in the pipeline.
    """

    def __init__(self, configuration: Configuration, rng: np.random.Generator) -> None:
        sets = _sets(configuration, rng)
        self.copies, self._vectors, _ = sets[0].activations.shape
        self._count = len(sets)
        self.limit = 40 * self._count * self._vectors + 200
        self._words = np.stack([configuration.encode(s.codes, s.format) for s in sets], axis=1)
        lanes = [configuration.lane_activations(s.activations, s.format) for s in sets]
        self._activations = np.concatenate(lanes, axis=1)
        self._partial_sums = _partial_sums(configuration, self.copies, self._vectors, rng)
        self._modes = np.array([s.format != configuration.format for s in sets])
        self._has_modes = bool(self._modes.any())
        self._double_buffered = bool(configuration.stages.double_buffered)
        # Weights that are loaded must not meet a vector that waits for those before.
        delay = configuration.stages.operand_register
        self._age_to_load = delay if self._double_buffered else 1 + delay
        self._chances = rng.choice(_CHANCES, (2, self.copies))
        self._every = np.arange(self.copies)
        self._position = np.zeros(self.copies, dtype=np.int64)
        self._loaded = np.full(self.copies, -1)
        #: Enabled cycles since the vector whose weights must stay.
        self._age = np.full(self.copies, self._age_to_load)

    @property
    def done(self) -> bool:
        return bool((self._position == self._count * self._vectors).all())

    def inputs(self, rng: np.random.Generator) -> Ports:
        copies, total = self.copies, self._count * self._vectors
        at = np.minimum(self._position, total - 1)
        set_, vector = np.divmod(at, self._vectors)
        starts = vector == 0
        wanted = (self._position < total) & (rng.random(copies) < self._chances[0])
        valid = wanted & (~starts | (self._loaded == set_))
        # The next set may come at any time after the swap to the one before.
        self._next = np.minimum(set_ + ~starts, self._count - 1)
        may = self._loaded != set_
        if self._double_buffered:
            may |= ~starts
        else:
            may &= starts
        load = may & (self._age >= self._age_to_load) & (rng.random(copies) < 0.3)
        activations = self._activations[self._every, at]
        offered = np.where(valid[:, np.newaxis], activations, rng.permuted(activations, axis=0))
        inputs: Ports = {
            "enable": (rng.random(copies) < self._chances[1]) | self.done,
            "load": load,
            "i_valid": valid,
            "i_swap": np.where(wanted, starts, rng.random(copies) < 0.5),
            "i_weights": self._words[self._every, self._next],
            "i_activations": offered,
            "i_partial_sums": self._partial_sums[self._every, rng.integers(self._vectors)],
        }
        if self._has_modes:
            noise = rng.random(copies) < 0.5
            inputs["i_int8"] = np.where(load, self._modes[self._next], noise)
        return inputs

    def advance(self, inputs: Ports, outputs: Mapping[str, Output]) -> None:
        reset, taken = inputs["rst"], inputs["enable"] & inputs["i_valid"]
        stays = taken & (inputs["i_swap"] | (not self._double_buffered))
        self._age = np.where(stays, 0, self._age + inputs["enable"])
        self._position = np.where(reset, 0, self._position + taken)
        loaded = np.where(inputs["load"], self._next, self._loaded)
        self._loaded = np.where(reset, -1, loaded)


def _of_element(configuration: Configuration, rng: np.random.Generator) -> Iterator[Operands]:
    yield _Element(configuration, rng)


def _of_tile(configuration: Configuration, rng: np.random.Generator) -> Iterator[Operands]:
    sizes, sets = configuration.sizes, _sets(configuration, rng)
    copies, vectors, _ = sets[0].activations.shape
    count = len(sets)
    # The last set is loaded anew for each of its vectors: swaps come faster than they pass.
    codes = np.stack([s.codes for s in sets] + [sets[-1].codes] * (vectors - 1), axis=1)
    swap = np.zeros((copies, count, vectors), dtype=bool)
    swap[:, :, 0] = swap[:, -1] = True
    # A set is shifted in from the last row to the first.
    weights = codes.reshape(copies, -1, sizes.sums, sizes.rows, sizes.lanes)[:, :, :, ::-1]
    by_row = configuration.encode(weights).transpose(0, 1, 3, 2, 4)
    payload: Ports = {
        "i_activations": np.concatenate([s.activations for s in sets], axis=1),
        "i_partial_sums": _partial_sums(configuration, copies, count * vectors, rng),
        "i_swap": swap.reshape(copies, -1, 1),
    }
    weight_payload = {"i_weight_weights": by_row.reshape(copies, -1, sizes.sums * sizes.lanes)}
    chances = rng.choice(_CHANCES, (3, copies))
    sources = [Source("i_weight", weight_payload, chances[0]), Source("i", payload, chances[1])]
    limit = 20 * count * vectors * (sizes.rows + sizes.columns) + 200
    yield Streams(sources, chances[2], limit)


#: With what operands the netlist of a design is checked.
CHECKS: Registry[Callable[[Configuration, np.random.Generator], Iterator[Operands]]] = Registry(
    "check",
    "checks",
    {
        "mac": _of_dot_product,
        "dot": _of_dot_product,
        "pe": _of_element,
        "tile": _of_tile,
        "fused": _of_element,
    }.items(),
)
