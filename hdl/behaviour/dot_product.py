"""The dot product that accumulates, and the MAC, which is one of a single lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.behaviour.behaviour import (
    Behaviour,
    Flags,
    Inputs,
    Output,
    Pipeline,
    described,
    flags,
)

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["DotProductBehaviour"]


class DotProductBehaviour(Behaviour):
    """Sums from ``first`` to ``last``, ``latency`` cycles after the transfer with ``last``."""

    def __init__(self, configuration: Configuration, copies: int) -> None:
        super().__init__(configuration, copies)
        lanes = configuration.sizes.lanes
        self._total = np.zeros(copies, dtype=np.int64)
        self._known = np.zeros(copies, dtype=bool)
        self._transfers = Pipeline(
            configuration.latency, copies, ends=1, sum=1, known=1, activations=lanes, codes=lanes
        )

    def _advance(self, inputs: Inputs) -> Flags:
        return ~self._transfers.flag("ends") | flags(inputs["o_ready"])

    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        always, valid = np.ones(self.copies, dtype=bool), self._transfers.flag("ends")
        known = valid & self._transfers.flag("known")
        return {
            "i_ready": Output(self._advance(inputs), always),
            "o_valid": Output(valid, always),
            "o_sum": Output(self._transfers["sum"], known),
        }

    def tick(self, inputs: Inputs) -> None:
        advance, reset = self._advance(inputs), flags(inputs["rst"])
        given = advance & self._transfers.flag("ends")
        self.count(given, self._transfers.flag("known"), 1)
        taken = advance & flags(inputs["i_valid"])
        first, last = flags(inputs["i_first"]), flags(inputs["i_last"])
        activations = inputs["i_activations"].astype(np.int64)
        codes = self.configuration.decode(inputs["i_weights"].astype(np.uint8))
        products = (activations * self.configuration.format.to_units(codes)).sum(axis=1)
        total = np.where(first, 0, self._total) + products + self.configuration.correction(codes)
        # Sums of products fit; what a correction adds to them may wrap.
        total = narrow(total, self.configuration.width, Overflow.WRAP)
        self._total = np.where(taken, total, self._total)
        # What a reset leaves in the accumulator is not said.
        self._known = np.where(taken, first | self._known, self._known) & ~reset
        self._transfers.move(
            advance,
            ends=taken & last,
            sum=self._total,
            known=self._known,
            activations=activations,
            codes=codes,
        )
        self._transfers.clear("ends", reset)

    def explain(self, copy: int) -> str:
        """Operands of the last transfer of the sum."""
        activations, codes = self._transfers["activations"][copy], self._transfers["codes"][copy]
        return described(self.configuration.format, activations, codes)
