"""Proofs of the sums of a mapped netlist: of ``mac``, ``dot`` and ``pe``.

What sums must be comes from the tables of :mod:`dintmac.golden.formats` and from products, not
from partial products. docs/synthesis.md says what is proved and how it fits together.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import ACTIVATION_BITS, ACTIVATION_MIN
from dintmac.hdl.configuration import Configuration
from dintmac.synth.logic import (
    Graph,
    Number,
    ProofError,
    add,
    constant,
    differ,
    join,
    product,
    replayed,
)
from dintmac.synth.netlist import Netlist

__all__ = ["SUMMED", "Enumerated", "Solved"]

#: Designs whose sums can be proved.
SUMMED = ("mac", "dot", "pe")


@dataclass(frozen=True)
class _Operands:
    """What is stored of each output's and lane's weight, and activations of each lane."""

    weights: list[list[Number]]
    activations: list[Number]


class _Transaction:
    """Operands on their way through a netlist, whatever its registers hold before.

    Inputs that are not the operands' are free in all cycles, if nothing is said about them:
    other vectors, other weights, other requests.

    Parameters
    ----------
    netlist : Netlist
    configuration : Configuration
    one : bit
    free : function
        Makes a number of free bits.
    """

    def __init__(
        self,
        netlist: Netlist,
        configuration: Configuration,
        one: Any,
        free: Callable[[int], Number],
    ) -> None:
        self._netlist = netlist
        self._one = one
        self._resident = configuration.design == "pe"
        self._latency = configuration.latency
        self._width = configuration.width
        # Whether what is loaded later would be multiplied.
        stages = configuration.stages
        self._loads_matter = bool(stages.operand_register or not stages.double_buffered)
        self._state = free(netlist.flip_flops)
        self._cycles = [
            {port: free(width) for port, width in netlist.inputs.items()} | {"rst": [0]}
            for _ in range(self._latency + 2)
        ]

    def sums(self, operands: _Operands, *, adds: bool) -> tuple[list[Number], list[Number]]:
        """The sum of each output, and what it is added to: zero if not ``adds``."""
        drive = self._drive_element if self._resident else self._drive_dot_product
        cycles = [dict(cycle) for cycle in self._cycles]
        drive(cycles, operands, adds=adds)
        port = "o_partial_sums" if self._resident else "o_sum"
        state, outputs = self._state, []
        for cycle in cycles:
            ports, state = self._netlist.cycle(cycle, state, self._one)
            outputs.append(self._split(ports[port]))
        if self._resident:
            return outputs[-1], self._split(cycles[self._latency]["i_partial_sums"])
        before = outputs[self._latency - 1] if adds else [[0] * self._width]
        return outputs[self._latency], before

    def _split(self, bits: Number) -> list[Number]:
        return [bits[i : i + self._width] for i in range(0, len(bits), self._width)]

    def _drive_element(
        self, cycles: list[dict[str, Number]], operands: _Operands, *, adds: bool
    ) -> None:
        """A weight set, then the vector that swaps it in, then the partial sums."""
        one = [self._one]
        cycles[0] |= {"load": one, "i_weights": join(map(join, operands.weights))}
        cycles[1] |= {"i_valid": one, "i_swap": one, "i_activations": join(operands.activations)}
        for cycle in cycles[1:]:
            cycle["enable"] = one
            cycle |= {"load": [0]} if self._loads_matter else {}
        if not adds:
            sums = cycles[self._latency]
            sums["i_partial_sums"] = [0] * len(sums["i_partial_sums"])

    def _drive_dot_product(
        self, cycles: list[dict[str, Number]], operands: _Operands, *, adds: bool
    ) -> None:
        """A transfer that continues a sum or begins one, while results are taken."""
        cycles[0] |= {
            "i_valid": [self._one],
            "i_first": [0] if adds else [self._one],
            "i_weights": join(operands.weights[0]),
            "i_activations": join(operands.activations),
        }
        for cycle in cycles:
            cycle["o_ready"] = [self._one]


class _Sums:
    """Sums of a configuration, and what they must be."""

    def __init__(self, netlist: Netlist, configuration: Configuration) -> None:
        self._netlist = netlist
        self._configuration = configuration
        self._format = configuration.format
        self._lanes = configuration.sizes.lanes
        self._outputs = configuration.sizes.outputs
        self._width = configuration.width
        self._architecture = configuration.multiplier

    def _units(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        return self._format.to_units(codes.astype(np.uint8)).astype(np.int64)

    def _correction(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        return self._architecture.correction(self._format, codes.astype(np.uint8))

    def _expected(self, codes: NDArray[Any], activations: NDArray[Any]) -> NDArray[np.int64]:
        """Of codes (…, lanes) and activations (…, lanes), without what is added."""
        total: NDArray[np.int64] = (self._units(codes) * activations).sum(axis=-1)
        return total + self._correction(codes)

    def _stored(self, codes: NDArray[Any]) -> NDArray[np.uint8]:
        return self._architecture.encode(self._format, codes.astype(np.uint8))

    def _refute(
        self, stored: NDArray[Any], activations: NDArray[Any], addend: int, got: int
    ) -> None:
        """Raise if a sum is wrong."""
        codes = self._architecture.decode(self._format, stored.astype(np.uint8))
        modulus = 1 << self._width
        expected = (int(self._expected(codes, activations)) + addend) % modulus
        if got != expected:
            raise ProofError(
                f"{self._configuration.name}: the sum must be {_signed(expected, self._width)}, "
                f"not {_signed(got, self._width)}, for activations {activations.tolist()}, codes "
                f"{codes.tolist()} and {_signed(addend, self._width)} before"
            )


def _signed(value: int, width: int) -> int:
    return value - (value >> (width - 1) << width)


class Solved(_Sums):
    """Proofs by a SAT solver, of differences between two sums each.

    Group by group of lanes codes are replaced by zeros, whatever the other lanes multiply; so all
    sums are right if each group adds its products, zeros add nothing, and what comes in is added.
    """

    def __init__(self, netlist: Netlist, configuration: Configuration) -> None:
        super().__init__(netlist, configuration)
        self._graph = graph = Graph()
        self._free: Number = []
        self._transaction = _Transaction(netlist, configuration, graph.one, self._make)
        weights = [graph.inputs(self._format.bits) for _ in range(self._outputs * self._lanes)]
        rows = [weights[i : i + self._lanes] for i in range(0, len(weights), self._lanes)]
        activations = [graph.inputs(ACTIVATION_BITS) for _ in range(self._lanes)]
        self._operands = _Operands(rows, activations)

    def _make(self, count: int) -> Number:
        bits = self._graph.inputs(count)
        self._free += bits
        return bits

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        size = self._architecture.group
        groups = [range(self._lanes)[i : i + size] for i in range(0, self._lanes, size)]
        for output in range(self._outputs):
            of = f" of output {output}" if self._outputs > 1 else ""
            yield f"what comes in{of}", functools.partial(self._prove_addend, output)
            for group in groups:
                lanes = f"lane{'s' * (len(group) > 1)} {', '.join(map(str, group))}"
                yield f"{lanes}{of}", functools.partial(self._prove_group, output, group)
            yield f"zeros{of}", functools.partial(self._prove_zeros, output)

    def _prove_addend(self, output: int) -> str:
        operands = self._operands
        sums, addends = self._transaction.sums(operands, adds=True)
        without, _ = self._transaction.sums(operands, adds=False)
        expected = add(without[output], addends[output])
        self._prove(output, sums[output], expected, [(operands, True), (operands, False)])
        return "SAT"

    def _prove_group(self, output: int, lanes: range) -> str:
        base = self._with_codes(output, lanes, [0] * len(lanes))
        without, _ = self._transaction.sums(base, adds=False)
        sets = list(itertools.product(range(self._format.codes), repeat=len(lanes)))
        for codes in sets:
            operands = self._with_codes(output, lanes, codes)
            sums, _ = self._transaction.sums(operands, adds=False)
            expected = without[output]
            for term in self._terms(lanes, codes):
                expected = add(expected, term)
            self._prove(output, sums[output], expected, [(operands, False), (base, False)])
        return f"SAT, {len(sets)} sets of codes"

    def _prove_zeros(self, output: int) -> str:
        lanes = range(self._lanes)
        operands = self._with_codes(output, lanes, [0] * len(lanes))
        sums, _ = self._transaction.sums(operands, adds=False)
        correction = int(self._correction(np.zeros(len(lanes), np.int64)))
        expected = constant(correction, self._width, self._graph.one)
        self._prove(output, sums[output], expected, [(operands, False)])
        return "SAT"

    def _with_codes(self, output: int, lanes: range, codes: Sequence[int]) -> _Operands:
        rows = [list(row) for row in self._operands.weights]
        for lane, stored in zip(lanes, self._stored(np.array(codes)).tolist(), strict=True):
            rows[output][lane] = constant(stored, self._format.bits, self._graph.one)
        return _Operands(rows, self._operands.activations)

    def _terms(self, lanes: range, codes: Sequence[int]) -> Iterator[Number]:
        """What codes add that zeros do not: products, and a part of the correction."""
        one, width = self._graph.one, self._width
        row = np.zeros(self._lanes, np.int64)
        zeros = int(self._correction(row))
        row[lanes] = codes
        yield constant(int(self._correction(row)) - zeros, width, one)
        for lane in lanes:
            unit = int(self._units(row)[lane])
            yield product(unit, self._operands.activations[lane], width, one)

    def _prove(
        self, output: int, got: Number, expected: Number, cases: list[tuple[_Operands, bool]]
    ) -> None:
        """Prove that two numbers are equal, or show by simulation which of the cases is wrong."""
        model = self._graph.distinguish(got, expected)
        if model is None:
            return
        free = replayed(model.values(self._free))
        replay = _Transaction(self._netlist, self._configuration, 1, free)
        for operands, adds in cases:
            weights = [[model.values(number) for number in row] for row in operands.weights]
            activations = [model.values(number) for number in operands.activations]
            sums, addends = replay.sums(_Operands(weights, activations), adds=adds)
            self._refute(
                np.array([_integer(number) for number in weights[output]]),
                np.array([_signed(_integer(a), ACTIVATION_BITS) for a in activations]),
                _integer(addends[output]),
                _integer(sums[output]),
            )
        raise AssertionError("simulation must confirm what the solver found")


def _integer(bits: Sequence[int]) -> int:
    return sum(bit << i for i, bit in enumerate(bits))


class Enumerated(_Sums):
    """All products of a lane, simulated; the other operands are random."""

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        for lane in range(self._lanes):
            yield f"lane {lane}", functools.partial(self._prove_lane, lane)

    def _prove_lane(self, lane: int) -> str:
        bits, copies = self._format.bits, self._format.codes << ACTIVATION_BITS
        rng = np.random.default_rng(lane)
        codes = rng.integers(0, self._format.codes, (self._outputs, self._lanes, copies))
        activations = rng.integers(0, 1 << ACTIVATION_BITS, (self._lanes, copies)) + ACTIVATION_MIN
        index = np.arange(copies)
        codes[:, lane] = index >> ACTIVATION_BITS
        activations[lane] = (index & (1 << ACTIVATION_BITS) - 1) + ACTIVATION_MIN
        operands = _Operands(
            [[_planes(values, bits) for values in row] for row in self._stored(codes)],
            [_planes(values, ACTIVATION_BITS) for values in activations],
        )
        one = (1 << copies) - 1

        def free(count: int) -> Number:
            return [int.from_bytes(rng.bytes(copies // 8), "little") for _ in range(count)]

        transaction = _Transaction(self._netlist, self._configuration, one, free)
        sums, addends = transaction.sums(operands, adds=True)
        for output in range(self._outputs):
            terms = self._expected(codes[output].T, activations.T)
            expected = add(_planes(terms, self._width), addends[output])
            wrong = differ(sums[output], expected)
            if wrong:
                # The first copy that is wrong.
                at = (wrong & -wrong).bit_length() - 1
                got, addend = (
                    _integer([plane >> at & 1 for plane in number])
                    for number in (sums[output], addends[output])
                )
                self._refute(self._stored(codes[output, :, at]), activations[:, at], addend, got)
        return f"exhaustive, {copies:,} products"


def _planes(values: NDArray[np.int64], width: int) -> Number:
    bits = (values >> np.arange(width)[:, np.newaxis] & 1).astype(np.uint8)
    return [int.from_bytes(row.tobytes(), "little") for row in np.packbits(bits, 1, "little")]
