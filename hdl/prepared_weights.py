"""What whoever prepares the weights of a design has to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import Architecture

__all__ = ["PreparedWeights", "WeightTable", "corrections_by_code"]


@dataclass(frozen=True)
class WeightTable:
    """What a design takes and makes of the weights of a format, code by code.

    It is all that :meth:`PreparedWeights.stored` and :meth:`PreparedWeights.correction` know, for
    those who prepare weights without Python. The correction of a sum is the sum of

    - ``corrections[lane % len(corrections)][code]`` of all its weights,
    - ``pair_correction`` of the weights v and w in lanes 2k and 2k + 1 of an element,
    - ``constant_correction``, once for each element that it passes.

    Attributes
    ----------
    format : Format
        Of the weights.
    values : tuple of int
        What an activation is multiplied by, in hardware units.
    stored : tuple of int
        What goes into the design.
    corrections : tuple of tuple of int
    pair_correction : str
        An expression of two values, in the syntax of C, Verilog and Python; empty for none.
    constant_correction : int
    """

    format: Format
    values: tuple[int, ...]
    stored: tuple[int, ...]
    corrections: tuple[tuple[int, ...], ...]
    pair_correction: str = ""
    constant_correction: int = 0

    @property
    def is_folded(self) -> bool:
        """Whether there is anything to correct."""
        return any(map(any, self.corrections)) or self.pair_correction != ""

    @property
    def is_recoded(self) -> bool:
        """Whether weights are stored otherwise than as their codes."""
        return self.stored != tuple(range(self.format.codes))

    @property
    def asks_for(self) -> str:
        """What it asks of whoever prepares the weights; empty if that is nothing."""
        asked = ["encoded weights"] * self.is_recoded + ["a corrected bias"] * self.is_folded
        return " and ".join(asked)

    def to_json(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {
            "format": self.format.name,
            "values": list(self.values),
            "stored": list(self.stored),
            "correction": {
                "by_lane_and_code": [list(row) for row in self.corrections],
                "by_pair": self.pair_correction or None,
                "by_element": self.constant_correction,
            },
        }


def corrections_by_code(
    correction: Callable[[NDArray[np.uint8]], NDArray[np.int64]], format: Format, lanes: int
) -> tuple[tuple[int, ...], ...]:
    """What each code, in each lane of a group, adds to a correction where the others are zero.

    The rows are those of :class:`WeightTable`; the first has the correction of zeros in it.

    Parameters
    ----------
    correction : function of uint8, shape (n, lanes), to int64, shape (n,)
        That of a group.
    format : Format
    lanes : int
        Of a group.
    """
    rows = []
    for lane in range(lanes):
        codes = np.zeros((format.codes, lanes), dtype=np.uint8)
        codes[:, lane] = np.arange(format.codes)
        row = correction(codes)
        rows.append(tuple((row - row[0] if lane else row).tolist()))
    return tuple(rows)


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

    @property
    def architecture_summary(self) -> str:
        """What its architecture is, in a line."""
        return self._architecture.summary

    @property
    def weight_tables(self) -> tuple[WeightTable, ...]:
        """What it takes and makes of the codes, by format: of one alone."""
        format, architecture = self._format, self._architecture
        codes = np.arange(format.codes, dtype=np.uint8)
        table = WeightTable(
            format,
            tuple(format.to_units(codes).tolist()),
            tuple(self.stored(codes).tolist()),
            corrections_by_code(
                lambda codes: architecture.correction(format, codes), format, architecture.group
            ),
            architecture.pair_correction(format),
        )
        return (table,)

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
        int64, shape (…), in hardware units; zero for an architecture that is not resident.

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
