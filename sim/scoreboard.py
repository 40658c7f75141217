"""Compares, cycle by cycle, what a design gives with what its behaviour says."""

from __future__ import annotations

import numpy as np

from dintmac.hdl.configuration import Configuration
from dintmac.sim.handle import RESET, Handle
from dintmac.sim.streams import CheckError, Transfer
from dintmac.sim.vectors import unpack

__all__ = ["Scoreboard"]

#: Cycles that are compared at once; decoding them together is what makes it fast.
_BATCH = 4096


class Scoreboard:
    """Every known output in every cycle, and the results that inputs owe.

    It begins with the cycle after a reset.

    Parameters
    ----------
    handle : Handle
    configuration : Configuration

    Attributes
    ----------
    inputs : list of int
        Cycles of the inputs that owe a result, since the last reset.
    outputs : list of Transfer
        All results since the last reset.
    """

    def __init__(self, handle: Handle, configuration: Configuration) -> None:
        self._handle = handle
        self._behaviour = configuration.behaviour(1)
        self._words: dict[str, list[int]] = {port: [] for port in handle.ports}
        self._resets: list[int] = []
        self._begins = handle.cycle
        self.forget()

    def forget(self) -> None:
        """Forget what is owed: a reset has ended it."""
        self.inputs: list[int] = []
        self.outputs: list[Transfer] = []

    @property
    def compared(self) -> int:
        """Sums that were compared and are right."""
        return self._behaviour.sums

    @property
    def outstanding(self) -> int:
        """Results that the inputs so far still owe."""
        return len(self.inputs) - len(self.outputs)

    def owe(self, transfer: Transfer) -> None:
        """Take an input that owes a result."""
        self.inputs.append(transfer.cycle)

    def receive(self, transfer: Transfer) -> None:
        """Take a result."""
        self.outputs.append(transfer)

    def sample(self, *, reset: bool = False) -> None:
        """Keep the ports of this cycle, and compare if there are many.

        Raises
        ------
        CheckError
            As :meth:`compare`.
        """
        for port, words in self._words.items():
            words.append(self._handle.get(port))
        self._resets.append(int(reset))
        if len(self._resets) >= _BATCH:
            self.compare()

    def compare(self) -> None:
        """Compare the cycles since the last comparison.

        Raises
        ------
        CheckError
            At the first output that differs, with the operands of the sum that is given then.
        """
        count = len(self._resets)
        values = {
            port: unpack(words, self._handle.ports[port]).reshape(count, -1)
            for port, words in self._words.items()
        }
        values[RESET] = np.array(self._resets).reshape(-1, 1)
        for cycle in range(count):
            now = {port: rows[cycle : cycle + 1] for port, rows in values.items()}
            for port, (expected, known) in self._behaviour.outputs(now).items():
                if known[0] and (expected.reshape(-1) != now[port][0]).any():
                    raise CheckError(
                        f"{port} must be {expected.reshape(-1).astype(int).tolist()}, "
                        f"not {now[port][0].tolist()}, in cycle {self._begins + cycle}, "
                        f"for {self._behaviour.explain(0)}"
                    )
            self._behaviour.tick(now)
        self._begins += count
        self._resets.clear()
        for words in self._words.values():
            words.clear()

    def finish(self) -> None:
        """Compare the rest.

        Raises
        ------
        CheckError
            If an output is wrong, a result is missing, or one was not compared, or none ever.
        """
        self.compare()
        if self.outstanding:
            raise CheckError(f"{self.outstanding} results are missing")
        if self.compared == 0:
            raise CheckError("no sum was compared")
        if self._behaviour.unknown:
            raise CheckError(f"{self._behaviour.unknown} sums were not compared")
