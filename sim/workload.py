"""A matrix product cut into the passes of a tile, streamed through it and put together again.

A tile holds ``rows × lanes`` by ``columns × outputs`` weights. The product of activations (M, K)
and weights (N, K) takes one pass for each block of that size; what a pass gives goes in again as
the partial sums of the next block of K, so that the hardware itself adds up all of K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.matmul import matmul
from dintmac.golden.workload import Workload
from dintmac.hdl.designs import Configuration
from dintmac.sim.benches.tile import Bench
from dintmac.sim.handle import Handle
from dintmac.sim.simulators import Simulator, default_simulator
from dintmac.sim.streams import Payload, Stream, StreamMonitor, Transfer

__all__ = ["Plan", "WorkloadResult", "plan", "run_workload"]

#: Reports of progress in a run.
_REPORTS = 200


@dataclass(frozen=True, eq=False)
class Plan:
    """A matrix product in the passes of a tile.

    All blocks of outputs take a block of K before the next block of K begins, so that the partial
    sums of a pass are long there when they are due.

    Attributes
    ----------
    workload : Workload
    rows, columns, lanes, outputs : int
        Sizes of the tile.
    """

    workload: Workload
    rows: int
    columns: int
    lanes: int
    outputs: int

    @property
    def vectors(self) -> int:
        """Vectors in a pass, M."""
        return len(self.workload.activations)

    @property
    def block_depth(self) -> int:
        """Products that a pass adds to a sum."""
        return self.rows * self.lanes

    @property
    def block_outputs(self) -> int:
        """Sums that a pass works on."""
        return self.columns * self.outputs

    @property
    def depth_blocks(self) -> int:
        """Blocks of K."""
        return -(-self.workload.depth // self.block_depth)

    @property
    def output_blocks(self) -> int:
        """Blocks of N."""
        return -(-len(self.workload.weights) // self.block_outputs)

    @property
    def passes(self) -> int:
        """Weight sets that are loaded."""
        return self.depth_blocks * self.output_blocks

    @property
    def cycles(self) -> int:
        """Cycles that the vectors take if none has to wait."""
        return self.passes * self.vectors

    def activations(self, depth_block: int) -> NDArray[np.int8]:
        """Activations of a block of K, shape (M, rows, lanes); zeros beyond K."""
        start = depth_block * self.block_depth
        part = self.workload.activations[:, start : start + self.block_depth]
        padded = np.pad(part, ((0, 0), (0, self.block_depth - part.shape[1])))
        return padded.reshape(self.vectors, self.rows, self.lanes)

    def weights(self, depth_block: int, output_block: int) -> NDArray[np.uint8]:
        """Codes of a pass, shape (rows, columns, outputs, lanes); zeros beyond K and N."""
        row, column = output_block * self.block_outputs, depth_block * self.block_depth
        part = self.workload.weights[
            row : row + self.block_outputs, column : column + self.block_depth
        ]
        missing = (self.block_outputs - part.shape[0], self.block_depth - part.shape[1])
        padded = np.pad(part, ((0, missing[0]), (0, missing[1])))
        by_output = padded.reshape(self.columns, self.outputs, self.rows, self.lanes)
        return np.moveaxis(by_output, 2, 0)

    def assemble(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Outputs, shape (M, N), from the sums of the last block of K.

        Parameters
        ----------
        sums : int64 array, shape (output_blocks, M, columns, outputs)
        """
        rows = np.moveaxis(sums, 0, 1).reshape(self.vectors, -1)
        return rows[:, : len(self.workload.weights)]


def plan(workload: Workload, configuration: Configuration) -> Plan:
    """How a tile computes a workload.

    Raises
    ------
    ValueError
        If the design is no tile, has another format, or its depth is less than K.
    """
    if configuration.design != "tile":
        raise ValueError(f"a workload must run on a tile, not on a {configuration.design}")
    if configuration.format != workload.format:
        raise ValueError(
            f"format must be {workload.format.name} as in the workload, "
            f"not {configuration.format.name}"
        )
    sizes = configuration.parameters
    if sizes["depth"] < workload.depth:
        raise ValueError(
            f"depth must be at least {workload.depth}, the workload's inner axis, "
            f"not {sizes['depth']}"
        )
    names = ("rows", "columns", "lanes", "outputs")
    return Plan(workload, **{name: sizes[name] for name in names})


@dataclass(frozen=True, eq=False)
class WorkloadResult:
    """What a tile made of a workload.

    Attributes
    ----------
    outputs : int64 array, shape (M, N)
        In units of the format.
    mismatches : int
        Outputs that differ from :func:`dintmac.golden.matmul.matmul`.
    cycles : int
        From the first transfer into the tile to the last out of it.
    passes : int
        Weight sets that were loaded.
    latency : int
        Cycles from a vector to its partial sums.
    utilisation : float
        Products of the workload over what the tile's multipliers could do in ``cycles``, 0 … 1.
    simulator, version : str
    """

    outputs: NDArray[np.int64]
    mismatches: int
    cycles: int
    passes: int
    latency: int
    utilisation: float
    simulator: str
    version: str

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values, with the number of outputs in the place of their values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"outputs": self.outputs.size}


def run_workload(
    workload: Workload,
    configuration: Configuration,
    simulator: Simulator | None = None,
    *,
    waveform: Path | None = None,
    build: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> WorkloadResult:
    """Stream a workload through a simulated tile and compare every output with the golden model.

    Each transfer is compared as well, with what the input monitor saw.

    Parameters
    ----------
    workload : Workload
    configuration : Configuration
        A tile.
    simulator : Simulator, optional
        By default the one of :func:`default_simulator` for the cycles of the plan.
    waveform, build, progress
        As in :meth:`Simulator.run`.

    Raises
    ------
    ValueError
        As :func:`plan`.
    CheckError
        If the tile breaks the protocol, or a transfer is wrong; with its operands.
    SimulatorMissingError, SimulationError
        As :meth:`Simulator.run`.
    """
    cut = plan(workload, configuration)
    chosen = default_simulator(cut.cycles) if simulator is None else simulator
    sums, cycles, latency = chosen.run(
        configuration,
        stream,
        configuration,
        cut,
        waveform=waveform,
        build=build,
        progress=progress,
    )
    outputs = cut.assemble(sums)
    expected = matmul(workload.activations, workload.weights, workload.format)
    multipliers = cut.block_depth * cut.block_outputs
    return WorkloadResult(
        outputs=outputs,
        mismatches=int((outputs != expected).sum()),
        cycles=cycles,
        passes=cut.passes,
        latency=latency,
        utilisation=workload.products / (cycles * multipliers),
        simulator=chosen.name,
        version=chosen.version(),
    )


async def stream(
    handle: Handle, configuration: Configuration, cut: Plan
) -> tuple[NDArray[np.int64], int, int]:
    """Run all passes; sums of the last block of K, cycles and latency."""
    bench = Bench(handle, configuration, np.random.default_rng(0))
    await bench.reset()
    feedback = _Feedback(bench, cut)
    bench.add_sampler(StreamMonitor(handle, Stream.of(handle, "o"), feedback.receive))
    bench.i_weight.send(_weight_rows(bench, cut))
    bench.i.send(feedback.vectors())
    start = handle.cycle
    # Weights may take longer than the vectors; nothing takes longer than both in turn.
    longest = cut.passes * (cut.vectors + cut.rows + 2 * bench.latency) + 100
    await bench.finish(timeout=longest)
    last = bench.scoreboard.outputs[-1].cycle
    words = [word for block in feedback.sums for word in block]
    sums = bench.decode("o_partial_sums", words)
    shape = (cut.output_blocks, cut.vectors, cut.columns, cut.outputs)
    return sums.reshape(shape), last - start + 1, bench.latency


def _weight_rows(bench: Bench, cut: Plan) -> Iterator[Payload]:
    for depth_block in range(cut.depth_blocks):
        for output_block in range(cut.output_blocks):
            yield from bench.weight_set(cut.weights(depth_block, output_block))


def _start(bench: Bench, cut: Plan, output_block: int) -> NDArray[np.int64]:
    """Partial sums of the first pass, shape (1, columns, outputs): noughts, less corrections."""
    weights = [cut.weights(block, output_block) for block in range(cut.depth_blocks)]
    return bench.start(np.concatenate(weights), 0)[np.newaxis]


class _Feedback:
    """Keeps the sums of each block of outputs and puts them into its next pass, still packed."""

    def __init__(self, bench: Bench, cut: Plan) -> None:
        self.sums = [
            bench.pack("i_partial_sums", _start(bench, cut, block)) * cut.vectors
            for block in range(cut.output_blocks)
        ]
        self._bench = bench
        self._cut = cut
        self._received = 0

    def receive(self, transfer: Transfer) -> None:
        """Keep the sums of a vector; the ones in their place have gone in again long before."""
        turn, vector = divmod(self._received, self._cut.vectors)
        block = turn % self._cut.output_blocks
        self.sums[block][vector] = transfer.payload["partial_sums"]
        self._received += 1
        if self._received % max(self._cut.cycles // _REPORTS, 1) == 0:
            self._bench.handle.report(self._received / self._cut.cycles)

    def vectors(self) -> Iterator[Payload | None]:
        """Vectors of all passes; None while the partial sums of the next are under way."""
        cut = self._cut
        needed = -cut.output_blocks * cut.vectors
        for depth_block in range(cut.depth_blocks):
            words = self._bench.pack("i_activations", cut.activations(depth_block))
            for block in range(cut.output_blocks):
                for vector, word in enumerate(words):
                    needed += 1
                    while self._received < needed:
                        yield None
                    yield {
                        "activations": word,
                        "partial_sums": self.sums[block][vector],
                        "swap": int(vector == 0),
                    }
