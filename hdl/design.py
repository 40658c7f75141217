"""What a design is, beside its component."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

from dintmac.golden.formats import Format
from dintmac.hdl.architectures import ARCHITECTURES, Architecture, architectures_of
from dintmac.hdl.behaviour import Behaviour
from dintmac.hdl.parameters import PARAMETERS

if TYPE_CHECKING:
    from dintmac.hdl.configuration import Configuration

__all__ = ["Design", "first_line"]


@dataclass(frozen=True)
class Design:
    """A kind of hardware with parameters: what a :class:`Configuration` chooses from.

    Attributes
    ----------
    summary : str
        What it is, in a few words.
    component : type of Component
        Takes a :class:`Configuration`. The first line of its documentation says what it does.
    behaviour : type of Behaviour
        What it does, copy by copy and cycle by cycle.
    latency : function
        Of a :class:`Configuration`, in cycles. The first line of its documentation says from what
        to what.
    sizes : mapping of str to int
        Its sizes, with its defaults.
    stages : tuple of str
        Names of its stages.
    architectures : mapping of str to Architecture
        Those that it can have; all that multiply lanes by default.
    check : function
        Refuses, with a ValueError, what else does not suit it in a :class:`Configuration`.
    is_compared : bool
        Whether a report has it unless told otherwise: its sizes are those of other designs.
    """

    summary: str
    component: type[wiring.Component]
    behaviour: type[Behaviour]
    latency: Callable[[Configuration], int]
    sizes: Mapping[str, int]
    stages: tuple[str, ...] = ()
    architectures: Mapping[str, Architecture] = field(default_factory=lambda: ARCHITECTURES)
    check: Callable[[Configuration], None] = lambda configuration: None
    is_compared: bool = True

    @property
    def defaults(self) -> dict[str, int]:
        """All its parameters, with their defaults: sizes, then stages."""
        return {**self.sizes, **{name: PARAMETERS[name].default for name in self.stages}}

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        return first_line(self.component)

    def architectures_of(self, format: Format) -> tuple[Architecture, ...]:
        """Those that it can have with a weight format, the default first."""
        return architectures_of(format, self.architectures)

    def built_architectures(self, format: Format) -> tuple[str, ...]:
        """Names of those that leave no products to the synthesis tool, the default first."""
        return tuple(a.name for a in self.architectures_of(format) if a.makes_products)


def first_line(documented: Any) -> str:
    """The summary of a docstring."""
    return (inspect.getdoc(documented) or "").splitlines()[0].replace("``", "")
