"""The processing element, for one precision or for two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.arithmetic import Overflow, narrow
from dintmac.hdl.behaviour.behaviour import Behaviour, Flags, Inputs, Output, described, flags

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["ElementBehaviour"]


class ElementBehaviour(Behaviour):
    """Products of the vectors, with the weights that are held as they are multiplied.

    A set of weights has a *mode*: which of :attr:`Configuration.weight_formats` its words are of.
    """

    def __init__(self, configuration: Configuration, copies: int) -> None:
        super().__init__(configuration, copies)
        sizes, stages = configuration.sizes, configuration.stages
        self._formats = configuration.weight_formats
        self._double_buffered = bool(stages.double_buffered)
        self._shape = copies, sizes.outputs, sizes.lanes
        self._loaded = _Weights(self._shape)
        self._held = _Weights(self._shape) if self._double_buffered else self._loaded
        #: Weights that are multiplied in hardware units, by lane, and their correction.
        self._units = np.zeros(self._shape, dtype=np.int64)
        self._correction = np.zeros((copies, sizes.outputs), dtype=np.int64)
        #: Whether there is a vector in each stage before the sums, and where it still is one.
        self._valid = np.zeros((configuration.latency - 1, copies), dtype=bool)
        self._activations = np.zeros((1 + stages.operand_register, copies, sizes.lanes), np.int64)
        self._swap = np.zeros(copies, dtype=bool)
        self._taken = np.zeros(copies, dtype=bool)
        self._tree = _Products(self._shape) if stages.tree_register else None
        self._added = _Products(self._shape)

    def outputs(self, inputs: Inputs) -> dict[str, Output]:
        always, loaded = np.ones(self.copies, dtype=bool), self._loaded
        found = {
            "o_weights": Output(loaded.words.reshape(self.copies, -1), loaded.known),
            "o_valid": Output(self._valid[0], always),
            "o_swap": Output(self._swap, self._taken),
            "o_activations": Output(self._activations[0], self._taken),
            "o_partial_sums": Output(self._added.sums, self._added.known),
        }
        if len(self._formats) > 1:
            found["o_int8"] = Output(loaded.modes != 0, loaded.known)
        return found

    def tick(self, inputs: Inputs) -> None:
        enable, load = flags(inputs["enable"]), flags(inputs["load"])
        taken = enable & flags(inputs["i_valid"])
        swap, moves = flags(inputs["i_swap"]), enable & self._valid
        swaps = taken & swap
        if len(self._activations) > 1:
            swaps = moves[0] & self._swap

        products = self._products()
        if self._tree is not None:
            multiplied, products = products, self._tree.copy()
            self._tree.set(moves[-2], multiplied)
        products.sums = narrow(
            products.sums + inputs["i_partial_sums"], self.configuration.width, Overflow.WRAP
        )
        self._added.set(moves[-1], products)
        self.count(moves[-1], products.known, self._shape[1])

        if self._double_buffered:
            self._held.set(swaps, self._loaded)
        self._loaded.set(load, self._given(inputs))
        self._multiply_by(swaps if self._double_buffered else load)

        if len(self._activations) > 1:
            self._activations[1, moves[0]] = self._activations[0, moves[0]]
        self._activations[0, taken] = inputs["i_activations"][taken]
        self._swap = np.where(taken, swap, self._swap)
        self._taken |= taken
        entered = np.concatenate([flags(inputs["i_valid"])[np.newaxis], self._valid[:-1]])
        self._valid = np.where(enable, entered, self._valid) & ~flags(inputs["rst"])

    def _given(self, inputs: Inputs) -> _Weights:
        given = _Weights(self._shape)
        given.words = inputs["i_weights"].reshape(self._shape).astype(np.uint8)
        given.known = np.ones(self.copies, dtype=bool)
        if len(self._formats) > 1:
            given.modes = inputs["i_int8"].reshape(-1).astype(np.int64)
        return given

    def _multiply_by(self, changed: Flags) -> None:
        """Decode the weights that are held, where they changed."""
        for mode, format in enumerate(self._formats):
            chosen = changed & (self._held.modes == mode)
            if not chosen.any():
                continue
            codes = self.configuration.decode(self._held.words[chosen], format)
            step = self._shape[2] // codes.shape[-1]
            units = np.zeros((len(codes), *self._shape[1:]), dtype=np.int64)
            # Lanes that share a weight have the same activation: one of them counts.
            units[..., ::step] = format.to_units(codes, self.configuration.format)
            self._units[chosen] = units
            self._correction[chosen] = self.configuration.correction(codes, format)

    def _products(self) -> _Products:
        """What the last operands make with the weights that are held now."""
        made = _Products(self._shape)
        made.activations = self._activations[-1]
        made.weights = self._held
        made.sums = np.einsum("cl,col->co", made.activations, self._units) + self._correction
        made.known = self._held.known
        return made

    def explain(self, copy: int) -> str:
        activations, weights = self._added.activations[copy], self._added.weights
        format = self._formats[int(weights.modes[copy])]
        codes = self.configuration.decode(weights.words[copy], format)
        step = len(activations) // codes.shape[-1]
        return described(format, activations[::step], codes)


class _Registers:
    """Arrays whose first axis is the copies."""

    def set(self, changed: Flags, others: Any) -> None:
        """Take over the values of others in some copies."""
        if not changed.any():
            return
        for name, values in vars(others).items():
            if isinstance(values, _Registers):
                getattr(self, name).set(changed, values)
            else:
                mask = changed.reshape(-1, *[1] * (values.ndim - 1))
                setattr(self, name, np.where(mask, values, getattr(self, name)))


class _Weights(_Registers):
    """A set of weights, whether it is known, and its mode."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.words: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.known: Flags = np.zeros(shape[0], dtype=bool)
        self.modes: NDArray[np.int64] = np.zeros(shape[0], dtype=np.int64)


class _Products(_Registers):
    """Sums of products, whether they are known, and their operands."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        copies, outputs, lanes = shape
        self.sums: NDArray[np.int64] = np.zeros((copies, outputs), dtype=np.int64)
        self.known: Flags = np.zeros(copies, dtype=bool)
        self.activations: NDArray[np.int64] = np.zeros((copies, lanes), dtype=np.int64)
        self.weights = _Weights(shape)

    def copy(self) -> _Products:
        """The same, for what changes afterwards."""
        shape = *self.sums.shape, self.activations.shape[1]
        other = _Products(shape)
        other.set(np.ones(shape[0], dtype=bool), self)
        return other
