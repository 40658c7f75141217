"""Multiplier architectures: ways to make the partial products of a weight and an activation.

An architecture is a function ``(format, activation, weight) -> PartialProducts`` on Amaranth
values. It is chosen by name; ``behavioural`` has no such function, it leaves products and sums to
the synthesis tool.
"""

from __future__ import annotations

from dataclasses import dataclass

from dintmac.golden.formats import Format
from dintmac.hdl.architectures.partial_products import Generator, PartialProducts
from dintmac.hdl.architectures.radix4 import radix4

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "PartialProducts",
    "architecture_for",
    "architectures_of",
]


@dataclass(frozen=True)
class Architecture:
    """A named architecture.

    Attributes
    ----------
    name : str
        Name on the command line and in records.
    summary : str
        One line for people.
    generator : function or None
        Makes the partial products; None leaves them to the synthesis tool.
    """

    name: str
    summary: str
    generator: Generator | None

    def supports(self, format: Format) -> bool:
        """Whether the architecture exists for a weight format."""
        return _SUPPORTS[self.name](format)


ARCHITECTURES = {
    a.name: a
    for a in (
        Architecture("booth", "radix-4 Booth digits of the weight in one bit heap", radix4),
        Architecture("digits", "radix-4 digits of a 4-bit code in one bit heap", radix4),
        Architecture("behavioural", "products and sums as the synthesis tool makes them", None),
    )
}

# One generator, two names: on wide integers radix-4 digits are what the field calls Booth's.
_SUPPORTS = {
    "booth": lambda format: not format.is_dint and format.bits > 4,
    "digits": lambda format: format.is_dint or format.bits <= 4,
    "behavioural": lambda format: True,
}


def architectures_of(format: Format) -> tuple[Architecture, ...]:
    """Architectures that exist for a weight format, the default first."""
    return tuple(a for a in ARCHITECTURES.values() if a.supports(format))


def architecture_for(format: Format, name: str | None = None) -> Architecture:
    """The architecture called ``name``, or the default of the format.

    Raises
    ------
    ValueError
        If there is none of that name for the format.
    """
    available = architectures_of(format)
    if name is None:
        return available[0]
    for architecture in available:
        if architecture.name == name:
            return architecture
    names = ", ".join(a.name for a in available)
    raise ValueError(f"architecture of {format.name} must be one of {names}, not {name!r}")
