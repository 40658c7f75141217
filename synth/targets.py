"""Synthesis to a delay target: of many netlists the smallest that is fast enough."""

from __future__ import annotations

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


def synthesize_within(target_ns: float, export: Export, library: Library, cells: Cells) -> Mapped:
    """Map a design for the smallest area at a clock period.

    Parameters
    ----------
    target_ns : float
        The clock period.
    export, library, cells
        As for :func:`dintmac.synth.synthesis.synthesize`.

    Returns
    -------
    Mapped
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

    results = timed([synthesize(export, library, cells)])
    for preparation in _PREPARATIONS:
        attempts = [Attempt(script, target_ns) for script in _SCRIPTS]
        if any(timing.delay_ns <= target_ns for _, timing in results):
            break
        for _ in range(_ROUNDS):
            mapped = map_design(export, library, cells, attempts, preparation, boundary)
            found = timed([Mapped(m.top, alternate_adders(m.modules, cells)) for m in mapped])
            results += found
            slacks = [target_ns - timing.delay_ns for _, timing in found]
            corrected = [
                _corrected(attempt, slack, target_ns)
                for attempt, slack in zip(attempts, slacks, strict=True)
            ]
            attempts = [new for new, old in zip(corrected, attempts, strict=True) if new != old]
            if not attempts:
                break
    return min(results, key=rank)[0]


def _corrected(attempt: Attempt, slack_ns: float, target_ns: float) -> Attempt:
    """What is left is given back; what was missed is cut, and a little more."""
    correction = slack_ns if slack_ns >= 0 else slack_ns - _MARGIN * target_ns
    return replace(attempt, budget_ns=max(0.0, attempt.budget_ns + correction))
