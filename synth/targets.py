"""Synthesis to a delay target: of many netlists the smallest that is fast enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dintmac.hdl.verilog import Export
from dintmac.synth.cells import Cells
from dintmac.synth.liberty import Library
from dintmac.synth.polarity import alternate_adders
from dintmac.synth.synthesis import Attempt, Mapped, Preparation, map_design, synthesize
from dintmac.synth.timing import Timing, boundary_of, find_sta

__all__ = ["synthesize_within"]

#: What is tried, from the smallest to the fastest. Full-adder cells are smaller than logic that
#: does the same, but no mapper sees through them: tight targets take logic alone, in one module.
_PREPARATIONS = (
    Preparation(flat=False, adders=True),
    Preparation(flat=True, adders=False),
)
_SCRIPTS = ("choices", "branching")

#: Each script runs so often: first with the target as its budget, then with its budget corrected
#: by what it missed the target by.
_ROUNDS = 3
#: What a budget is cut by beyond that, in parts of the target.
_MARGIN = 0.02

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
    for preparation in _PREPARATIONS:
        if best[1].delay_ns <= target_ns:
            break

        def run(attempts: list[Attempt], preparation: Preparation = preparation) -> list[_Result]:
            mapped = map_design(export, library, cells, attempts, preparation, boundary)
            return timed([Mapped(m.top, alternate_adders(m.modules, cells)) for m in mapped])

        attempts = [Attempt(script, target_ns) for script in _SCRIPTS]
        best = min([best, *_rounds(run, attempts, target_ns)], key=rank)
    return best


def _rounds(
    run: Callable[[list[Attempt]], list[_Result]], attempts: list[Attempt], target_ns: float
) -> Iterator[_Result]:
    """Results of attempts and of the same attempts with corrected budgets."""
    for _ in range(_ROUNDS):
        results = run(attempts)
        yield from results
        attempts = [
            corrected
            for attempt, (_, timing) in zip(attempts, results, strict=True)
            if (corrected := _corrected(attempt, target_ns - timing.delay_ns, target_ns)) != attempt
        ]
        if not attempts:
            return


def _corrected(attempt: Attempt, slack_ns: float, target_ns: float) -> Attempt:
    """What is left is given back; what was missed is cut, and a little more."""
    correction = slack_ns if slack_ns >= 0 else slack_ns - _MARGIN * target_ns
    return replace(attempt, budget_ns=max(0.0, attempt.budget_ns + correction))
