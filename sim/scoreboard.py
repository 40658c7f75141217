"""Compares, in order, what a design gives with what its model expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dintmac.hdl.ports import Port
from dintmac.sim.streams import CheckError, Payload, Transfer
from dintmac.sim.vectors import unpack

__all__ = ["Expected", "Model", "Scoreboard"]

#: Outputs that are compared at once; decoding them together is what makes it fast.
_BATCH = 4096


@dataclass(frozen=True)
class Expected:
    """Outputs that a model expects.

    Attributes
    ----------
    values : integer array, shape ``(T, *shape of the output)``
    explain : function of an index of ``values``
        The operands of that output, in hex and decoded.
    """

    values: NDArray[Any]
    explain: Callable[[int], str]


class Model(Protocol):
    """What a design is to do, in terms of transfers."""

    def observe(self, stream: str, payload: Payload) -> int:
        """Take an input; how many outputs it completes."""

    def expect(self, count: int) -> Expected:
        """The next ``count`` outputs, from the inputs observed so far."""

    def reset(self) -> None:
        """Forget unfinished work."""


class Scoreboard:
    """An in-order scoreboard for one output stream; the model sees what the input monitors see.

    Parameters
    ----------
    model : Model
    port : Port
        The output that is compared.
    field : str
        Its field in the payloads of the output stream.

    Attributes
    ----------
    compared : int
        Outputs that were compared and are right.
    outputs : list of Transfer
        All outputs since the last reset.
    inputs : list of int
        Cycles of the inputs that completed an output, since the last reset.
    """

    def __init__(self, model: Model, port: Port, field: str) -> None:
        self.compared = 0
        self._model = model
        self._port = port
        self._field = field
        self._forget()

    def _forget(self) -> None:
        self.outputs: list[Transfer] = []
        self.inputs: list[int] = []
        self._next = 0

    @property
    def outstanding(self) -> int:
        """Outputs that the inputs so far still owe."""
        return len(self.inputs) - len(self.outputs)

    def observe(self, stream: str, transfer: Transfer) -> None:
        """Take an input from its monitor."""
        completed = self._model.observe(stream, transfer.payload)
        self.inputs.extend([transfer.cycle] * completed)

    def receive(self, transfer: Transfer) -> None:
        """Take an output from its monitor.

        Raises
        ------
        CheckError
            If no input owes it, or if an output of the batch that it ends is wrong.
        """
        if self.outstanding == 0:
            value = transfer.payload[self._field]
            raise CheckError(
                f"{self._port.name} {value:#x} in cycle {transfer.cycle} belongs to no input"
            )
        self.outputs.append(transfer)
        if len(self.outputs) - self._next >= _BATCH:
            self.compare()

    def compare(self) -> None:
        """Compare what was received since the last comparison.

        Raises
        ------
        CheckError
            With the operands of the first wrong output.
        """
        received = self.outputs[self._next :]
        self._next = len(self.outputs)
        if not received:
            return
        expected = self._model.expect(len(received))
        actual = unpack([transfer.payload[self._field] for transfer in received], self._port)
        wrong = np.flatnonzero((actual != expected.values).reshape(len(received), -1).any(axis=1))
        if wrong.size:
            index = int(wrong[0])
            raise CheckError(
                f"output {self.compared + index}, in cycle {received[index].cycle}: "
                f"{self._port.name} is {received[index].payload[self._field]:#x} = "
                f"{actual[index].tolist()}, not {expected.values[index].tolist()}, "
                f"for {expected.explain(index)}"
            )
        self.compared += len(received)

    def reset(self) -> None:
        """Compare what came out and forget what will not come any more."""
        self.compare()
        self._model.reset()
        self._forget()

    def finish(self) -> None:
        """Compare the rest.

        Raises
        ------
        CheckError
            If an output is wrong or missing, or if none was ever compared.
        """
        self.compare()
        if self.outstanding:
            raise CheckError(f"{self.outstanding} outputs of {self._port.name} are missing")
        if self.compared == 0:
            raise CheckError(f"no output of {self._port.name} was compared")
