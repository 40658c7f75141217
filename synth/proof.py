"""Proves mapped netlists: sums of products, and the control logic around them.

The netlist's own simulation runs on symbols (:mod:`dintmac.synth.logic`) or on planes of copies.
What it is compared with comes from the tables of :mod:`dintmac.golden.formats` and from products,
not from partial products. docs/synthesis.md says what is proved and how it fits together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dintmac.hdl.configuration import Configuration
from dintmac.hdl.parameters import Stages
from dintmac.hdl.verilog import export
from dintmac.synth.cache import Cache
from dintmac.synth.cells import cells_of
from dintmac.synth.induction import prove_control
from dintmac.synth.liberty import Library
from dintmac.synth.logic import ProofError, find_solver
from dintmac.synth.netlist import Netlist
from dintmac.synth.properties import PROPERTIES, Properties
from dintmac.synth.sums import Enumerated, Solved
from dintmac.synth.synthesis import synthesize

__all__ = ["Proof", "ProofError", "probes_of", "prove", "prove_netlist"]

#: Widest weights whose products are left to the solver; those of others are enumerated.
_SOLVED_BITS = 4


@dataclass(frozen=True)
class Proof:
    """What was proved of a netlist.

    Attributes
    ----------
    claim : str
    method : str
        ``SAT``, ``exhaustive`` or ``induction, k = …``, with the number of cases.
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
        As for :func:`prove_netlist`. Proofs of sums take the longer the more lanes there are.
    library : Library
    store : Cache, optional
        Keeps what is known of the library; the user's cache folder by default.

    Yields
    ------
    Proof
        As each is finished.

    Raises
    ------
    ProofError, SolverError, ValueError
        As :func:`prove_netlist`.
    LibraryError, YosysError
        If the library cannot be used or a step of the synthesis fails.
    """
    find_solver()
    probes = probes_of(configuration)
    cells = cells_of(library, store)
    mapped = synthesize(export(configuration), library, cells)
    modules = {**cells.models, **mapped.modules}
    netlist = Netlist(modules, mapped.top, clock_gates=cells.clock_gates, probes=probes)
    yield from prove_netlist(netlist, configuration)


def probes_of(configuration: Configuration) -> tuple[str, ...]:
    """Nets that a netlist must have as ``probes`` to be proved.

    Raises
    ------
    ValueError
        If the design is none that can be proved, or its options are not the defaults.
    """
    return _properties(configuration).probes


def prove_netlist(netlist: Netlist, configuration: Configuration) -> Iterator[Proof]:
    """Prove all that can be proved of a netlist.

    Parameters
    ----------
    netlist : Netlist
        Mapped from the export of ``configuration``, with the probes of :func:`probes_of`.
    configuration : Configuration
        Of ``mac``, ``dot``, ``pe`` or ``tile``; of a tile the control logic alone is proved.

    Yields
    ------
    Proof
        As each is finished.

    Raises
    ------
    ValueError
        As :func:`probes_of`.
    ProofError
        With a counterexample that simulation confirms; or if induction does not end.
    SolverError
        If there is no SAT solver.
    """
    properties = _properties(configuration)
    steps: list[tuple[str, Callable[[], str]]] = []
    if configuration.design != "tile":
        solved = configuration.format.bits <= _SOLVED_BITS
        steps += (Solved if solved else Enumerated)(netlist, configuration).steps()
    steps.append(("control", lambda: prove_control(netlist, properties, configuration)))
    for claim, step in steps:
        start = time.perf_counter()
        method = step()
        yield Proof(claim, method, time.perf_counter() - start)


def _properties(configuration: Configuration) -> Properties:
    design = configuration.design
    if design not in PROPERTIES:
        raise ValueError(f"design must be one of {', '.join(PROPERTIES)}, not {design!r}")
    if configuration.stages != Stages():
        names = ", ".join(sorted(configuration.parameters.keys() & vars(Stages()).keys()))
        raise ValueError(f"{design} must have its default {names} to be proved")
    return PROPERTIES[design](configuration)
