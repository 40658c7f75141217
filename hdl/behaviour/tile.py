"""The systolic tile, in terms of transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.behaviour.behaviour import (
    Behaviour,
    Flags,
    Inputs,
    Integers,
    Output,
    Pipeline,
    described,
    flags,
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
        #: Words of the rows in wait, the last of them first to come, and how many were loaded.
        width = sums * sizes.lanes
        self._shadow = np.zeros((sizes.rows, copies, width), dtype=np.uint8)
        self._shadow_known = np.zeros((sizes.rows, copies), dtype=bool)
        self._loaded = np.zeros(copies, dtype=np.int64)
        #: Sets by number: codes and units of shape (copies, sums, products), their correction.
        self._set = np.zeros(copies, dtype=np.int64)
        self._codes = np.zeros((_SETS, copies, sums, products), dtype=np.uint8)
        self._units = np.zeros((copies, sums, products), dtype=np.int64)
        self._correction = np.zeros((copies, sums), dtype=np.int64)
        self._known = np.zeros(copies, dtype=bool)
        #: Swaps on their way to the last element, and whether one is.
        distance = sizes.rows + sizes.columns - 2 + stages.operand_register
        self._swaps = Pipeline(distance, copies, swap=1) if distance else None
        self._swapping = np.zeros(copies, dtype=bool)
        self._vectors = Pipeline(
            configuration.latency, copies, valid=1, known=1, set=1, sums=sums, activations=products
        )

    def _ready(self, inputs: Inputs) -> tuple[Flags, Flags, Flags]:
        """Whether the pipeline moves, a vector is taken if there is one, and a row of weights."""
        advance = ~self._vectors.flag("valid") | flags(inputs["o_ready"])
        swap, complete = flags(inputs["i_swap"]), self._loaded == self._rows
        loadable = ~complete
        if not self._double_buffered:
            loadable &= flags(inputs["i_valid"]) & swap & ~self._vectors.any("valid")
        return advance, advance & (~swap | (complete & ~self._swapping)), loadable

    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        always, valid = np.ones(self.copies, dtype=bool), self._vectors.flag("valid")
        _, ready, weight_ready = self._ready(inputs)
        known = valid & self._vectors.flag("known")
        return {
            "i_ready": Output(ready, always),
            "i_weight_ready": Output(weight_ready, always),
            "o_valid": Output(valid, always),
            "o_partial_sums": Output(self._vectors["sums"], known),
        }

    def tick(self, inputs: Inputs) -> None:
        advance, ready, weight_ready = self._ready(inputs)
        given = advance & self._vectors.flag("valid")
        self.count(given, self._vectors.flag("known"), self.configuration.sizes.sums)
        reset = flags(inputs["rst"])
        taken = ready & flags(inputs["i_valid"])
        swap = taken & flags(inputs["i_swap"])
        load = weight_ready & flags(inputs["i_weight_valid"])

        self._take_set(swap)
        self._take_vector(inputs, taken, advance)
        self._vectors.clear("valid", reset)
        self._load(inputs["i_weight_weights"], load)
        passed = self._pass_on(swap, advance, reset) if self._double_buffered else swap
        if not self._double_buffered:
            self._known &= ~load
        self._loaded = np.where(passed | reset, 0, self._loaded)

    def _pass_on(self, swap: Flags, advance: Flags, reset: Flags) -> Flags:
        """Swaps go from element to element; where the last of them takes its weights."""
        passed = advance & swap
        if self._swaps is not None:
            passed = advance & self._swaps.flag("swap")
            self._swaps.move(advance, swap=swap)
            self._swaps.clear("swap", reset)
        # Elements that a swap has not reached at a reset keep the set before it.
        self._known &= ~(reset & (self._swapping | swap))
        self._swapping = (self._swapping | swap) & ~passed & ~reset
        return passed

    def _take_set(self, swap: Flags) -> None:
        if not swap.any():
            return
        self._set += swap
        # By row, copy and sum; wanted by copy and sum, lane after lane of the rows.
        sums = self.configuration.sizes.sums
        words = self._shadow[:, swap].reshape(self._rows, int(swap.sum()), sums, -1)
        codes = self.configuration.decode(np.moveaxis(words, 0, 2))
        codes = codes.reshape(-1, *self._codes.shape[2:])
        self._codes[self._set[swap] % _SETS, np.flatnonzero(swap)] = codes
        self._units[swap] = self.configuration.format.to_units(codes)
        self._correction[swap] = self.configuration.correction(codes)
        self._known[swap] = self._shadow_known[:, swap].all(axis=0)

    def _take_vector(self, inputs: Inputs, taken: Flags, advance: Flags) -> None:
        activations = inputs["i_activations"].astype(np.int64)
        sums = np.einsum("cp,csp->cs", activations, self._units) + self._correction
        sums = narrow(sums + inputs["i_partial_sums"], self.configuration.width, Overflow.WRAP)
        self._vectors.move(
            advance,
            valid=taken,
            known=self._known,
            set=self._set,
            sums=sums,
            activations=activations,
        )

    def _load(self, words: Integers, load: Flags) -> None:
        """The last row comes first and moves on from row to row."""
        if not load.any():
            return
        self._shadow[1:, load] = self._shadow[:-1, load]
        self._shadow[0, load] = words[load]
        self._shadow_known[1:, load] = self._shadow_known[:-1, load]
        self._shadow_known[0, load] = True
        self._loaded += load

    def explain(self, copy: int) -> str:
        codes = self._codes[int(self._vectors["set"][copy, 0]) % _SETS, copy]
        return described(self.configuration.format, self._vectors["activations"][copy], codes)
