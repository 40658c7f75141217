"""Synthesis to a delay target: of many netlists the smallest that is fast enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dintmac.hdl.verilog import Export
from dintmac.synth.cells import Cells
from dintmac.synth.liberty import Library
from dintmac.synth.synthesis import Attempt, Mapped, Preparation, map_design, synthesize
from dintmac.synth.timing import Timing, boundary_of, find_sta

__all__ = ["synthesize_within"]

#: What is tried, from the smallest to the fastest. Full-adder cells are smaller than logic that
#: does the same, but no mapper sees through them: tight targets take logic alone, in one module.
_TRIALS = (
    (Preparation(flat=False, adders=True), ("compact", "shallow")),
    (Preparation(flat=True, adders=False), ("compact", "shallow", "branching")),
)

#: Each script runs so often: first with the target as its budget, then with its budget corrected by
#: what it missed the target by.
_ROUNDS = 3

_Result = tuple[Mapped, Timing]


def synthesize_within(
    target_ns: float, export: Export, library: Library, cells: Cells
) -> tuple[Mapped, Timing]:
    """Map a design for the smallest area at a clock period.

    Parameters
    ----------
    target_ns : float
        The clock period.
    export, library, cells
        As for :func:`dintmac.synth.synthesis.synthesize`.

    Returns
    -------
    Mapped, Timing
        The netlist for the smallest area if it is fast enough. Else the smallest of those that
        meet the target by OpenSTA, of the first preparation with any. Else the fastest.

    Raises
    ------
    YosysError, LibraryError, TimingError
        If a tool fails or the library cannot be used.
    """
    boundary, sta = boundary_of(library, cells), find_sta()

    def timed(netlists: list[Mapped]) -> list[_Result]:
        flat = [netlist.flat(cells) for netlist in netlists]
        return list(zip(netlists, sta.time(flat, library, cells, boundary), strict=True))

    def rank(result: _Result) -> tuple[bool, float]:
        netlist, timing = result
        missed = timing.delay_ns > target_ns
        return missed, timing.delay_ns if missed else netlist.area(cells)

    best = timed([synthesize(export, library, cells)])[0]
    for preparation, scripts in _TRIALS:
        if best[1].delay_ns <= target_ns:
            break

        def run(attempts: list[Attempt], preparation: Preparation = preparation) -> list[_Result]:
            return timed(map_design(export, library, cells, attempts, preparation, boundary))

        attempts = [Attempt(script, target_ns) for script in scripts]
        best = min([best, *_rounds(run, attempts, target_ns)], key=rank)
    return best


def _rounds(
    run: Callable[[list[Attempt]], list[_Result]], attempts: list[Attempt], target_ns: float
) -> Iterator[_Result]:
    """Results of attempts and of the same attempts with corrected budgets."""
    last: dict[str, float] = {}
    for _ in range(_ROUNDS):
        results = run(attempts) if attempts else []
        yield from results
        delays = {a.script: t.delay_ns for a, (_, t) in zip(attempts, results, strict=True)}
        # Where a second budget made no difference, a third will not.
        attempts = [
            replace(a, budget_ns=max(a.budget_ns + target_ns - delays[a.script], 0.0))
            for a in attempts
            if delays[a.script] != last.get(a.script)
        ]
        last = delays
