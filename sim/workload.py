"""A matrix product streamed through a tile in passes and put together again.

What a pass gives goes in again as the partial sums of the next block of K, so that the hardware
itself adds up all of K.
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
from dintmac.hdl.configuration import Configuration
from dintmac.sim.benches.tile import Bench
from dintmac.sim.handle import Handle
from dintmac.sim.passes import Plan, plan
from dintmac.sim.simulators import Simulator, default_simulator
from dintmac.sim.streams import Payload, Stream, StreamMonitor, Transfer

__all__ = ["WorkloadResult", "run_workload"]

#: Reports of progress in a run.
_REPORTS = 200


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

    Every output is compared with the behaviour of the tile in every cycle as well.

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
        If the design is no tile, or as :func:`dintmac.sim.passes.plan`.
    CheckError
        If the tile breaks the protocol, or a transfer is wrong; with its operands.
    SimulatorMissingError, SimulationError
        As :meth:`Simulator.run`.
    """
    if configuration.design != "tile":
        raise ValueError(f"a workload must run on a tile, not on a {configuration.design}")
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
    longest = cut.passes * (cut.vectors + cut.sizes.rows + 2 * bench.latency) + 100
    await bench.finish(timeout=longest)
    last = bench.scoreboard.outputs[-1].cycle
    words = [word for block in feedback.sums for word in block]
    sums = bench.decode("o_partial_sums", words)
    shape = (cut.output_blocks, cut.vectors, cut.sizes.columns, cut.sizes.outputs)
    return sums.reshape(shape), last - start + 1, bench.latency


def _weight_rows(bench: Bench, cut: Plan) -> Iterator[Payload]:
    for depth_block in range(cut.depth_blocks):
        for output_block in range(cut.output_blocks):
            yield from bench.weight_set(cut.weights(depth_block, output_block))


def _start(bench: Bench, cut: Plan, output_block: int) -> NDArray[np.int64]:
    """Partial sums of the first pass, shape (1, columns, outputs): zeros, less corrections."""
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
