"""The parameters of designs, each declared once.

Checks, options of the command line and their help, and tables of the documentation follow from
what is declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["MAX_DEPTH", "PARAMETERS", "Parameter", "Sizes", "Stages"]

#: Sums of so many products fit the 64-bit integers that they are checked against, in any format.
MAX_DEPTH = 1 << 32


@dataclass(frozen=True)
class Parameter:
    """A whole number that fixes the hardware of a design.

    Attributes
    ----------
    name : str
    summary : str
        One line for people.
    default : int
        Of designs that say nothing else.
    least : int
    most : int or None
    """

    name: str
    summary: str
    default: int
    least: int
    most: int | None

    def check(self, value: object) -> None:
        """Refuse what is no value of the parameter.

        Raises
        ------
        TypeError
            If ``value`` is not an int.
        ValueError
            If it is out of range.
        """
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{self.name} must be an int, not {value!r}")
        if (self.least, self.most) == (0, 1) and value not in (0, 1):
            raise ValueError(f"{self.name} must be 0 or 1, not {value}")
        if value < self.least:
            must = "must be positive" if self.least else "must not be negative"
            raise ValueError(f"{self.name} {must}, not {value}")
        if self.most is not None and value > self.most:
            raise ValueError(f"{self.name} must be at most {self.most}, not {value}")


def _parameter(summary: str, default: int, least: int, most: int | None = None) -> Any:
    return field(default=default, metadata={"summary": summary, "least": least, "most": most})


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is. What a design does not have counts as one."""

    depth: int = _parameter(
        "greatest number of products in a sum; fixes the accumulator's width", 4096, 1, MAX_DEPTH
    )
    lanes: int = _parameter("products that a dot product or processing element adds", 1, 1)
    outputs: int = _parameter("sums of a processing element that share its activations", 1, 1)
    rows: int = _parameter("processing elements that a partial sum passes", 1, 1)
    columns: int = _parameter("processing elements that an activation passes", 1, 1)

    @property
    def products(self) -> int:
        """Products that a pass adds to a sum."""
        return self.rows * self.lanes

    @property
    def sums(self) -> int:
        """Sums that a pass works on."""
        return self.columns * self.outputs


@dataclass(frozen=True)
class Stages:
    """Registers and adders that a design may have."""

    operand_register: int = _parameter("1: a stage for what depends on activations alone", 0, 0, 1)
    tree_register: int = _parameter(
        "rows of the register amid the adder tree, such as 2 before the last adder; 0: none", 0, 0
    )
    fast_adder: int = _parameter(
        "1: the last adder is a parallel-prefix adder; 0: a ripple", 0, 0, 1
    )
    carry_save: int = _parameter(
        "1: the carries of the accumulator are resolved at the end of a sum", 0, 0, 1
    )
    double_buffered: int = _parameter("1: weights can be loaded while others are in use", 1, 0, 1)

    @property
    def latency(self) -> int:
        """Cycles that the registers before the accumulator or partial sum add."""
        return self.operand_register + bool(self.tree_register)


def _declared(of: type[Sizes] | type[Stages]) -> Mapping[str, Parameter]:
    defaults = of()
    return {
        f.name: Parameter(f.name, default=getattr(defaults, f.name), **f.metadata)
        for f in fields(of)
    }


#: All parameters by name: sizes, then stages.
PARAMETERS: dict[str, Parameter] = {**_declared(Sizes), **_declared(Stages)}
