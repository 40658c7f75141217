"""What whoever prepares the weights of a design has to know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Architecture

__all__ = ["PreparedWeights"]


class PreparedWeights:
    """The contract of a design's architecture (docs/arithmetic.md, section 2).

    A design of ``rows`` elements adds ``rows × lanes`` products in a pass.
    """

    _architecture: Architecture
    _format: Format
    _lanes: int
    _rows: int = 1

    def stored(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the design takes for codes: themselves, or what the architecture stores of them.

        Parameters
        ----------
        codes : uint8, any shape

        Returns
        -------
        uint8, same shape, of as many bits.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format.
        """
        return self._architecture.stored(self._format, codes)

    def restored(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The codes of what the design has taken: the inverse of :meth:`stored`."""
        return self._architecture.restored(self._format, stored)

    def correction(self, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        """What the weights of a pass add to a sum besides their products.

        Parameters
        ----------
        codes : uint8, shape (…, rows × lanes)
            Of all weights of a sum, those that fill up a tile included; not as they are stored.

        Returns
        -------
        int64, shape (…), in hardware units; nought for an architecture that is not resident.

        Raises
        ------
        TypeError, ValueError
            If ``codes`` are no codes of the format, or not of ``rows × lanes`` lanes.
        """
        products = self._rows * self._lanes
        if codes.shape[-1] != products:
            raise ValueError(f"codes must be of {products} lanes, not {codes.shape[-1]}")
        rows = codes.reshape(*codes.shape[:-1], self._rows, self._lanes)
        total: NDArray[np.int64] = self._architecture.correction(self._format, rows).sum(axis=-1)
        return total
