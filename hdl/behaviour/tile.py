"""The systolic tile, in terms of transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.behaviour.behaviour import (
    Behaviour,
    Flags,
    Inputs,
    Output,
    described,
    flags,
    shifted,
)

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["TileBehaviour"]

#: Sets of weights that vectors under way may have met.
_SETS = 4


class TileBehaviour(Behaviour):
    """Sums as a vector is taken, which come out ``latency`` steps later.

    A vector with ``swap`` takes the set that lies in wait. The next is loaded when the swap has
    passed the last element, or, where weights are not double-buffered, when nothing is under way.
    """

    def __init__(self, configuration: Configuration, copies: int) -> None:
        super().__init__(configuration, copies)
        sizes, stages = configuration.sizes, configuration.stages
        self._double_buffered = bool(stages.double_buffered)
        self._rows, products, sums = sizes.rows, sizes.products, sizes.sums
        #: Words of the rows in wait, the first row first, and how many were loaded.
        self._shadow = np.zeros((sizes.rows, copies, sums, sizes.lanes), dtype=np.uint8)
        self._shadow_known = np.zeros((sizes.rows, copies), dtype=bool)
        self._loaded = np.zeros(copies, dtype=np.int64)
        #: Sets by number: codes and units of shape (copies, sums, products), their correction.
        self._set = np.zeros(copies, dtype=np.int64)
        self._codes = np.zeros((_SETS, copies, sums, products), dtype=np.uint8)
        self._units = np.zeros((copies, sums, products), dtype=np.int64)
        self._correction = np.zeros((copies, sums), dtype=np.int64)
        self._known = np.zeros(copies, dtype=bool)
        #: Swaps on their way to the last element.
        distance = sizes.rows + sizes.columns - 2 + stages.operand_register
        self._swaps = np.zeros((distance, copies), dtype=bool)
        self._swapping = np.zeros(copies, dtype=bool)
        #: Vectors under way.
        latency = configuration.latency
        self._valid = np.zeros((latency, copies), dtype=bool)
        self._sums_known = np.zeros((latency, copies), dtype=bool)
        self._sums = np.zeros((latency, copies, sums), dtype=np.int64)
        self._sets = np.zeros((latency, copies), dtype=np.int64)
        self._activations = np.zeros((latency, copies, products), dtype=np.int64)

    def _ready(self, inputs: Inputs) -> tuple[Flags, Flags, Flags]:
        """Whether the pipeline moves, a vector is taken if there is one, and a row of weights."""
        advance = ~self._valid[-1] | flags(inputs["o_ready"])
        swap, complete = flags(inputs["i_swap"]), self._loaded == self._rows
        loadable = ~complete
        if not self._double_buffered:
            loadable &= flags(inputs["i_valid"]) & swap & ~self._valid.any(axis=0)
        return advance, advance & (~swap | (complete & ~self._swapping)), loadable

    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        always, valid = np.ones(self.copies, dtype=bool), self._valid[-1]
        _, ready, weight_ready = self._ready(inputs)
        return {
            "i_ready": Output(ready, always),
            "i_weight_ready": Output(weight_ready, always),
            "o_valid": Output(valid, always),
            "o_partial_sums": Output(self._sums[-1], valid & self._sums_known[-1]),
        }

    def tick(self, inputs: Inputs) -> None:
        advance, ready, weight_ready = self._ready(inputs)
        given = advance & self._valid[-1] & self._sums_known[-1]
        self.sums += int(given.sum()) * self.configuration.sizes.sums
        reset = flags(inputs["rst"])
        taken = ready & flags(inputs["i_valid"])
        swap = taken & flags(inputs["i_swap"])
        load = weight_ready & flags(inputs["i_weight_valid"])

        self._take_set(swap)
        self._take_vector(inputs, taken, advance)
        self._load(inputs, load)
        if self._double_buffered:
            entered = shifted(self._swaps, swap, advance) if len(self._swaps) else self._swaps
            passed = advance & (self._swaps[-1] if len(self._swaps) else swap)
            self._swaps = entered & ~reset
            # Elements that a swap has not reached yet keep the set before it.
            self._known &= ~(reset & (self._swapping | swap))
            self._swapping = (self._swapping | swap) & ~passed & ~reset
        else:
            passed = swap
            self._known &= ~load
        self._loaded = np.where(passed | reset, 0, self._loaded)
        self._valid &= ~reset

    def _take_set(self, swap: Flags) -> None:
        if not swap.any():
            return
        self._set += swap
        # By sum and by row, and then lane after lane.
        words = np.moveaxis(self._shadow[:, swap], 0, 2)
        codes = self.configuration.decode(words).reshape(-1, *self._codes.shape[2:])
        self._codes[self._set[swap] % _SETS, np.flatnonzero(swap)] = codes
        self._units[swap] = self.configuration.format.to_units(codes)
        self._correction[swap] = self.configuration.correction(codes)
        self._known[swap] = self._shadow_known[:, swap].all(axis=0)

    def _take_vector(self, inputs: Inputs, taken: Flags, advance: Flags) -> None:
        activations = inputs["i_activations"].astype(np.int64)
        sums = np.einsum("cp,csp->cs", activations, self._units) + self._correction
        sums = sums + inputs["i_partial_sums"]
        sums = narrow(sums, self.configuration.width, Overflow.WRAP)
        self._valid = shifted(self._valid, taken, advance)
        self._sums = shifted(self._sums, sums, advance)
        self._sums_known = shifted(self._sums_known, self._known, advance)
        self._sets = shifted(self._sets, self._set, advance)
        self._activations = shifted(self._activations, activations, advance)

    def _load(self, inputs: Inputs, load: Flags) -> None:
        """The last row comes first and moves on from row to row."""
        given = inputs["i_weight_weights"].reshape(self._shadow.shape[1:]).astype(np.uint8)
        self._shadow = shifted(self._shadow, given, load)
        self._shadow_known = shifted(self._shadow_known, np.ones_like(load), load)
        self._loaded = self._loaded + load

    def explain(self, copy: int) -> str:
        codes = self._codes[self._sets[-1, copy] % _SETS, copy]
        return described(self.configuration.format, self._activations[-1, copy], codes)
