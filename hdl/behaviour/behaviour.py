"""What all behaviours have in common."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import Format

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["Behaviour", "Flags", "Inputs", "Integers", "Output", "Pipeline", "described", "flags"]

Flags = NDArray[np.bool_]
Integers = NDArray[np.integer[Any]]
#: Values of the input ports and of ``rst``.
Inputs = Mapping[str, NDArray[Any]]


class Output(NamedTuple):
    """Values of an output port, and in which copies they are known.

    An output is not known where the documentation of the design leaves it open: the payload of a
    stream that is not valid, or what comes of a register that nothing has written yet. Values of
    a port of signed numbers are of a signed type.
    """

    values: NDArray[Any]
    known: Flags


class Behaviour(ABC):
    """Copies of a design from a reset on: in each cycle :meth:`outputs`, then :meth:`tick`.

    Ports are those of the export. A vector has shape (copies, elements), whatever its axes, and a
    flag has shape (copies,). Weights are words as they are stored. Sums are int64.

    Parameters
    ----------
    configuration : Configuration
    copies : int

    Attributes
    ----------
    sums : int
        Sums of known operands that all copies have given so far.
    unknown : int
        Sums of others: a bench or a check that meets one has compared less than it seems.
    """

    def __init__(self, configuration: Configuration, copies: int) -> None:
        self.configuration = configuration
        self.copies = copies
        self.sums = 0
        self.unknown = 0

    @abstractmethod
    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        """Every output port in this cycle."""

    @abstractmethod
    def tick(self, inputs: Inputs) -> None:
        """The rising edge that ends a cycle with these inputs."""

    def count(self, given: Flags, known: Flags, sums: int) -> None:
        """Count ``sums`` sums of each copy that gives them in this cycle."""
        self.sums += int((given & known).sum()) * sums
        self.unknown += int((given & ~known).sum()) * sums

    @abstractmethod
    def explain(self, copy: int) -> str:
        """The operands of the sum that a copy gives, decoded."""


def flags(values: NDArray[Any]) -> Flags:
    """A port of one bit as truth values."""
    return values.reshape(-1) != 0


class Pipeline:
    """Numbers that move from stage to stage together, in all copies or in some.

    Parameters
    ----------
    stages, copies : int
    **widths : int
        How many numbers of each name a stage holds.
    """

    def __init__(self, stages: int, copies: int, **widths: int) -> None:
        ends = list(itertools.accumulate(widths.values()))
        named = zip(widths.items(), ends, strict=True)
        self._places = {name: slice(end - width, end) for (name, width), end in named}
        self._held = np.zeros((stages, copies, ends[-1]), dtype=np.int64)

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        """The last stage, shape (copies, width)."""
        return self._held[-1, :, self._places[name]]

    def flag(self, name: str) -> Flags:
        """A number of the last stage as truth values, shape (copies,)."""
        return self[name][:, 0] != 0

    def any(self, name: str) -> Flags:
        """Whether a number of any stage is not zero, shape (copies,)."""
        found: Flags = (self._held[:, :, self._places[name].start] != 0).any(axis=0)
        return found

    def clear(self, name: str, chosen: Flags) -> None:
        """Set numbers of all stages to zero in some copies."""
        if chosen.any():
            self._held[:, chosen, self._places[name]] = 0

    def move(self, moves: Flags, **entering: NDArray[Any]) -> None:
        """One step, in the copies that move."""
        rows = [entering[name].reshape(len(moves), -1) for name in self._places]
        after = np.concatenate([np.concatenate(rows, axis=1)[np.newaxis], self._held[:-1]])
        self._held = after if moves.all() else np.where(moves[:, np.newaxis], after, self._held)


def described(format: Format, activations: Integers, codes: Integers) -> str:
    """Operands, decoded."""
    units = format.to_units(codes.astype(np.uint8))
    return (
        f"activations {activations.tolist()} and {format.name} codes {codes.tolist()} "
        f"(units {units.tolist()})"
    )
