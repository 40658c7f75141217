"""What whoever prepares the weights of a design has to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dintmac.golden.formats import Format

__all__ = ["WeightTable"]


@dataclass(frozen=True)
class WeightTable:
    """What a design takes and makes of the weights of a format, code by code.

    It is all that :meth:`~dintmac.hdl.configuration.Configuration.encode` and ``correction`` know,
    for those who prepare weights without Python (docs/arithmetic.md, section 2). The correction of
    a sum is the sum of

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
