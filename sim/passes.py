"""A matrix product cut into the passes of a design.

A tile holds ``rows × lanes`` by ``columns × outputs`` weights, and a processing element, a dot
product or a MAC is a tile of one row and one column. The product of activations (M, K) and weights
(N, K) takes one pass for each block of that size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.workload import Layer, Workload
from dintmac.hdl.configuration import Configuration
from dintmac.hdl.parameters import Sizes

__all__ = ["Plan", "plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """A matrix product in the passes of a design.

    All blocks of outputs take a block of K before the next block of K begins, so that the partial
    sums of a pass are long there when they are due.

    Attributes
    ----------
    source : Workload or Layer
    sizes : Sizes
        Those of the design.
    """

    source: Workload | Layer
    sizes: Sizes

    @property
    def vectors(self) -> int:
        """Vectors in a pass, M."""
        return 0 if self.source.activations is None else len(self.source.activations)

    @property
    def block_depth(self) -> int:
        """Products that a pass adds to a sum."""
        return self.sizes.products

    @property
    def block_outputs(self) -> int:
        """Sums that a pass works on."""
        return self.sizes.sums

    @property
    def depth_blocks(self) -> int:
        """Blocks of K."""
        return -(-self.source.weights.shape[1] // self.block_depth)

    @property
    def output_blocks(self) -> int:
        """Blocks of N."""
        return -(-len(self.source.weights) // self.block_outputs)

    @property
    def passes(self) -> int:
        """Weight sets that are loaded."""
        return self.depth_blocks * self.output_blocks

    @property
    def cycles(self) -> int:
        """Cycles that the vectors take if none has to wait."""
        return self.passes * self.vectors

    def activations(self, depth_block: int) -> NDArray[np.int8]:
        """Activations of a block of K, shape (M, rows, lanes); zeros beyond K."""
        assert self.source.activations is not None
        start = depth_block * self.block_depth
        part = self.source.activations[:, start : start + self.block_depth]
        padded = np.pad(part, ((0, 0), (0, self.block_depth - part.shape[1])))
        return padded.reshape(self.vectors, self.sizes.rows, self.sizes.lanes)

    def weights(self, depth_block: int, output_block: int) -> NDArray[np.uint8]:
        """Codes of a pass, shape (rows, columns, outputs, lanes); zeros beyond K and N."""
        row, column = output_block * self.block_outputs, depth_block * self.block_depth
        part = self.source.weights[
            row : row + self.block_outputs, column : column + self.block_depth
        ]
        missing = (self.block_outputs - part.shape[0], self.block_depth - part.shape[1])
        padded = np.pad(part, ((0, missing[0]), (0, missing[1])))
        sizes = self.sizes
        by_output = padded.reshape(sizes.columns, sizes.outputs, sizes.rows, sizes.lanes)
        return np.moveaxis(by_output, 2, 0)

    def blocks(self, outputs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of each output, shape (…, N), in blocks: (output_blocks, …, columns, outputs).

        They are zeros beyond N.
        """
        missing = self.output_blocks * self.block_outputs - outputs.shape[-1]
        padded = np.pad(outputs, [(0, 0)] * (outputs.ndim - 1) + [(0, missing)])
        by_block = self.output_blocks, self.sizes.columns, self.sizes.outputs
        shape = (*outputs.shape[:-1], *by_block)
        return np.moveaxis(padded.reshape(shape), -3, 0)

    def assemble(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Outputs, shape (M, N), from the sums of the last block of K: undoes :meth:`blocks`.

        Parameters
        ----------
        sums : int64 array, shape (output_blocks, M, columns, outputs)
        """
        rows = np.moveaxis(sums, 0, 1).reshape(self.vectors, -1)
        return rows[:, : len(self.source.weights)]


def plan(source: Workload | Layer, configuration: Configuration) -> Plan:
    """How a design computes a workload or a layer.

    Raises
    ------
    ValueError
        If the design has another format, or its depth is less than K.
    """
    if configuration.format != source.format:
        raise ValueError(
            f"format must be {source.format.name} as in the workload, "
            f"not {configuration.format.name}"
        )
    sizes, depth = configuration.sizes, source.weights.shape[1]
    if sizes.depth < depth:
        raise ValueError(
            f"depth must be at least {depth}, the workload's inner axis, not {sizes.depth}"
        )
    return Plan(source, sizes)
