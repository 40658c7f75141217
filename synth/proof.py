"""Proves mapped netlists: sums of products, and the control logic around them.

For sums the netlist's own simulation runs on symbols (:mod:`dintmac.synth.logic`) or on planes of
copies; what they must be comes from the tables of :mod:`dintmac.golden.formats` and from products,
not from partial products. docs/synthesis.md says what is proved and how it fits together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dintmac.hdl.configuration import Configuration
from dintmac.hdl.verilog import export
from dintmac.synth.cache import Cache
from dintmac.synth.cells import Cells, cells_of
from dintmac.synth.liberty import Library
from dintmac.synth.logic import ProofError, find_solver
from dintmac.synth.netlist import Netlist
from dintmac.synth.sums import SUMMED, Enumerated, Solved
from dintmac.synth.synthesis import Mapped, synthesize
from dintmac.synth.verify.control import claims_of, find_symbiyosys, prove_control

__all__ = ["Proof", "ProofError", "prove", "prove_mapped"]

#: Widest weights whose products are left to the solver; those of others are enumerated.
_SOLVED_BITS = 4


@dataclass(frozen=True)
class Proof:
    """What was proved of a netlist.

    Attributes
    ----------
    claim : str
    method : str
        ``SAT``, ``exhaustive`` or ``PDR`` (property-directed reachability), with the number of
        cases or of claims.
    seconds : float
    """

    claim: str
    method: str
    seconds: float


def prove(
    configuration: Configuration, library: Library, store: Cache | None = None
) -> Iterator[Proof]:
    """Map a design for the smallest area and prove all that can be proved of the netlist.

    Parameters
    ----------
    configuration : Configuration
        As for :func:`prove_mapped`. Proofs of sums take the longer the more lanes there are.
    library : Library
    store : Cache, optional
        Keeps what is known of the library; the user's cache folder by default.

    Yields
    ------
    Proof
        As each is finished.

    Raises
    ------
    ValueError, ProofError, SolverError, YosysError
        As :func:`prove_mapped`.
    LibraryError
        If the library cannot be used.
    """
    claims_of(configuration.design)
    find_solver()
    find_symbiyosys()
    cells = cells_of(library, store)
    mapped = synthesize(export(configuration), library, cells)
    yield from prove_mapped(mapped, cells, configuration)


def prove_mapped(mapped: Mapped, cells: Cells, configuration: Configuration) -> Iterator[Proof]:
    """Prove all that can be proved of a netlist.

    Parameters
    ----------
    mapped : Mapped
        From the export of ``configuration``.
    cells : Cells
        What it is made of.
    configuration : Configuration
        Of a ``tile`` and of ``fused`` the control logic alone is proved, and so it is where the
        accumulator is kept in two rows (``carry_save``).

    Yields
    ------
    Proof
        As each is finished.

    Raises
    ------
    ValueError
        If nothing is claimed of the design.
    ProofError
        With a counterexample; or if the control logic is not decided.
    SolverError
        If there is no SAT solver.
    YosysError
        If SymbiYosys is missing, or a step of it fails.
    """
    steps: list[tuple[str, Callable[[], str]]] = []
    if configuration.design in SUMMED and not configuration.stages.carry_save:
        modules = {**cells.models, **mapped.modules}
        netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates)
        solved = configuration.format.bits <= _SOLVED_BITS
        steps += (Solved if solved else Enumerated)(netlist, configuration).steps()
    steps.append(("control", lambda: prove_control(mapped, cells, configuration)))
    for claim, step in steps:
        start = time.perf_counter()
        method = step()
        yield Proof(claim, method, time.perf_counter() - start)
