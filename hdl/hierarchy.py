"""One Verilog module for each distinct component, however many instances it has.

Amaranth elaborates every instance by itself and prunes ports that one of them leaves open. For
export, :func:`place` puts an instance of a named module in the place of a component, and the
module is converted once, with all ports of its signature.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

__all__ = ["Component", "Hierarchy", "Part", "place"]


class Part(StrEnum):
    """The part of a design that the logic of a component counts to, in areas and energies."""

    #: Partial products, and what the activations alone make of themselves for them.
    PRODUCTS = "products"
    #: The adders that partial products go into.
    ACCUMULATION = "accumulation"
    #: All other logic.
    CONTROL = "control"


class Component(wiring.Component):
    """A component that can be a module of its own.

    Attributes
    ----------
    identity : hashable
        Its class and what it was made from: equal for components that are alike.
    part : Part
        Where its own logic counts.
    """

    identity: Hashable
    part = Part.CONTROL

    def __new__(cls, *args: Any, src_loc_at: int = 0, **kwargs: Any) -> Self:
        """Keep the arguments of the constructor."""
        self: Self = super().__new__(cls, *args, src_loc_at=src_loc_at + 1, **kwargs)
        self.identity = (cls, args, frozenset(kwargs.items()))
        return self


@dataclass(frozen=True)
class _Module:
    name: str
    text: str
    part: Part

    def has_port(self, name: str) -> bool:
        return re.search(rf"(?m)^\s*wire .*input \d+\s+\\{name}$", self.text) is not None


class Hierarchy:
    """The modules of an export, as RTLIL; acts as the platform while components are elaborated.

    Parameters
    ----------
    prefix : str
        Begins the name of every module, so that several exports can live in one project.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._modules: dict[Hashable, _Module] = {}
        #: Names that are taken, also by modules whose inner ones are being converted.
        self._names: set[str] = set()

    @property
    def text(self) -> str:
        """RTLIL of all modules placed so far."""
        return "\n".join(module.text for module in self._modules.values())

    @property
    def parts(self) -> dict[str, Part]:
        """The part that each module placed so far is, by the module's name."""
        return {module.name: module.part for module in self._modules.values()}

    def instance(self, component: Component, name: str) -> Instance:
        """An instance of the module of ``component``, connected to its ports.

        What it is connected to gets the names of the instance and of the ports.
        """
        module = self._module(component)
        ports: dict[str, Any] = {}
        if module.has_port("clk"):
            ports["i_clk"] = ClockSignal()
        if module.has_port("rst"):
            ports["i_rst"] = ResetSignal()
        for path, member, value in component.signature.flatten(component):
            direction = "i" if member.flow == wiring.In else "o"
            port, signal = "__".join(map(str, path)), Value.cast(value)
            signal.name = "" if direction == "i" else f"{name}_{port}"
            ports[f"{direction}_{port}"] = signal
        return Instance(module.name, **ports)

    def _module(self, component: Component) -> _Module:
        key = component.identity
        if key not in self._modules:
            name = self._fresh_name(type(component).__name__)
            text = rtlil.convert(component, name=name, platform=self, emit_src=False)
            self._modules[key] = _Module(name, text, component.part)
        return self._modules[key]

    def _fresh_name(self, class_name: str) -> str:
        """``tile_processing_element``; what differs from it gets a number."""
        stem = f"{self._prefix}_{re.sub(r'(?<!^)(?=[A-Z])', '_', class_name).lower()}"
        numbered = (f"{stem}_{number}" for number in itertools.count(2))
        names = itertools.chain([stem], numbered)
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name


def place(m: Module, name: str, component: Any, platform: object) -> None:
    """Add a component as the submodule ``name``, or on export an instance of its module."""
    if isinstance(platform, Hierarchy):
        component = platform.instance(component, name)
    m.submodules[name] = component
