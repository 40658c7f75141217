"""What all behaviours have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import Format

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["Behaviour", "Flags", "Inputs", "Integers", "Output", "described", "flags", "shifted"]

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
    """

    def __init__(self, configuration: Configuration, copies: int) -> None:
        self.configuration = configuration
        self.copies = copies
        self.sums = 0

    @abstractmethod
    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        """Every output port in this cycle."""

    @abstractmethod
    def tick(self, inputs: Inputs) -> None:
        """The rising edge that ends a cycle with these inputs."""

    @abstractmethod
    def explain(self, copy: int) -> str:
        """The operands of the sum that a copy gives, decoded."""


def flags(values: NDArray[Any]) -> Flags:
    """A port of one bit as truth values."""
    return values.reshape(-1) != 0


def shifted(stages: NDArray[Any], entering: NDArray[Any], moves: Flags) -> NDArray[Any]:
    """A pipeline, shape (stages, copies, …), one step later in the copies in which it moves."""
    after = np.concatenate([entering[np.newaxis], stages[:-1]])
    return np.where(moves.reshape(-1, *[1] * (stages.ndim - 2)), after, stages)


def described(format: Format, activations: Integers, codes: Integers) -> str:
    """Operands, decoded."""
    units = format.to_units(codes.astype(np.uint8))
    return (
        f"activations {activations.tolist()} and {format.name} codes {codes.tolist()} "
        f"(units {units.tolist()})"
    )
