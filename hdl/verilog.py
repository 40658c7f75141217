# amaranth: UnusedElaboratable=no
"""Verilog export, with a description of the ports."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring

from dintmac.hdl.architectures import ARCHITECTURES
from dintmac.hdl.designs import Configuration
from dintmac.hdl.hierarchy import Hierarchy, Part, place
from dintmac.hdl.yosys import find_yosys

__all__ = ["PART_ATTRIBUTE", "Export", "FlatPorts", "Port", "export"]

#: Attribute of a Verilog module: the :class:`Part` that its own logic counts to; of one without,
#: that is the control.
PART_ATTRIBUTE = "dintmac_part"

#: What the axes of a vector count, from the last (fastest) backwards.
_AXES = {
    "activations": ("row", "lane"),
    "weights": ("column", "output", "lane"),
    "partial_sums": ("column", "output"),
}


#: Where sums come out.
_SUMS = ("o_sum", "o_partial_sums")


@dataclass(frozen=True)
class Port:
    """A port of the exported module.

    Attributes
    ----------
    name : str
    direction : str
        ``input`` or ``output``.
    shape : tuple of int
        Elements along each axis, the last one fastest; empty for a scalar. Element 0 is in the
        least significant bits.
    axes : tuple of str
        What each axis counts: row, column, output or lane.
    element_bits : int
    signed : bool
        Whether elements are two's complement numbers; weights are codes and count as unsigned.
    stream : str or None
        The stream that the port belongs to.
    role : str
        ``payload``, ``valid`` or ``ready`` in a stream, ``plain`` elsewhere.
    """

    name: str
    direction: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    element_bits: int
    signed: bool
    stream: str | None
    role: str

    @property
    def width(self) -> int:
        """Bits of the whole port."""
        width = self.element_bits
        for length in self.shape:
            width *= length
        return width

    def to_json(self) -> dict[str, Any]:
        """All attributes as JSON values."""
        return {
            "name": self.name,
            "direction": self.direction,
            "width": self.width,
            "shape": list(self.shape),
            "axes": list(self.axes),
            "element_bits": self.element_bits,
            "signed": self.signed,
            "stream": self.stream,
            "role": self.role,
        }


class FlatPorts(Elaboratable):
    """A component behind plain ports, one for each field of each stream.

    Attributes
    ----------
    component : wiring.Component
    ports : dict of str to (Port, Signal)
        Without clock and reset.

    Raises
    ------
    ValueError
        If a stream of the component is always valid or always ready: an exported boundary has
        both signals of the handshake.
    """

    def __init__(self, component: wiring.Component):
        self.component = component
        self.ports: dict[str, tuple[Port, Signal]] = {}
        self._connections: list[tuple[Value, Value]] = []
        for name, member in component.signature.members.items():
            self._add_member(name, member, getattr(component, name))

    def _add_member(self, name: str, member: wiring.Member, value: Any) -> None:
        if member.is_port:
            is_input = member.flow == wiring.In
            self._add(name, member.shape, value, is_input=is_input, stream=None, role="plain")
            return
        signature = member.signature
        is_input = isinstance(signature, wiring.FlippedSignature)
        if is_input:
            signature = signature.flip()
        if not isinstance(signature, stream.Signature):
            raise TypeError(f"member {name} must be a port or a stream, not {signature!r}")
        if signature.always_valid or signature.always_ready:
            raise ValueError(f"stream {name} must have both valid and ready to be exported")
        layout = signature.members["payload"].shape
        for field, part in layout:
            self._add(
                f"{name}_{field}",
                part.shape,
                value.payload[field],
                is_input=is_input,
                stream=name,
                role="payload",
            )
        self._add(f"{name}_valid", 1, value.valid, is_input=is_input, stream=name, role="valid")
        self._add(f"{name}_ready", 1, value.ready, is_input=not is_input, stream=name, role="ready")

    def _add(
        self, name: str, shape: Any, value: Any, *, is_input: bool, stream: str | None, role: str
    ) -> None:
        lengths, element = _dimensions(shape)
        axes = next((axes for field, axes in _AXES.items() if name.endswith(field)), ())
        port = Port(
            name=name,
            direction="input" if is_input else "output",
            shape=lengths,
            axes=axes[len(axes) - len(lengths) :],
            element_bits=element.width,
            signed=element.signed,
            stream=stream,
            role=role,
        )
        signal = Signal(port.width, name=name)
        self.ports[name] = (port, signal)
        value = Value.cast(value)
        self._connections.append((value, signal) if is_input else (signal, value))

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = place(self.component, platform)
        m.d.comb += [left.eq(right) for left, right in self._connections]
        return m


def _dimensions(shape: Any) -> tuple[tuple[int, ...], Shape]:
    """Lengths of nested arrays and the shape of their element."""
    lengths = []
    while isinstance(shape, data.ArrayLayout):
        lengths.append(shape.length)
        shape = shape.elem_shape
    return tuple(lengths), Shape.cast(shape)


@dataclass(frozen=True)
class Export:
    """Verilog of a configuration and what its user needs to know.

    Attributes
    ----------
    module : str
        Name of the top module.
    verilog : str
    ports : tuple of Port
        Without ``clk`` and ``rst``.
    latency : int
        In cycles, as the design documents it.
    configuration : Configuration
    """

    module: str
    verilog: str
    ports: tuple[Port, ...]
    latency: int
    configuration: Configuration

    def port_map(self) -> str:
        """The ports, the format and the sizes as JSON text."""
        configuration = self.configuration
        description = {
            "module": self.module,
            "design": configuration.design,
            "format": configuration.format.name,
            "architecture": configuration.architecture,
            "parameters": configuration.parameters,
            "accumulator_bits": next(p.element_bits for p in self.ports if p.name in _SUMS),
            "unit": "step" if configuration.format.is_integer else "half step",
            "latency_cycles": self.latency,
            "clock": {"port": "clk", "edge": "rising"},
            "reset": {"port": "rst", "active": "high", "kind": "synchronous"},
            "packing": "element 0 in the least significant bits, the last axis fastest",
            "ports": [port.to_json() for port in self.ports],
        }
        architecture = ARCHITECTURES.get(configuration.architecture)
        if architecture is not None and architecture.encoding is not None:
            # By code; without it weights go in as codes.
            stored = architecture.encoding(configuration.format)
            description["stored_weights"] = stored.tolist()
        return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def export(configuration: Configuration, module: str | None = None) -> Export:
    """Verilog-2005 of a configuration.

    Components that are alike become one module, however many instances there are.

    Parameters
    ----------
    configuration : Configuration
    module : str or None
        Name of the top module, and beginning of the names of all others; the design's name if
        None.

    Raises
    ------
    ValueError
        If ``module`` is no Verilog identifier.
    YosysError
        If there is no Yosys.
    """
    name = configuration.design if module is None else module
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        raise ValueError(f"module must be a Verilog identifier, not {name!r}")
    component = configuration.build()
    flat = FlatPorts(component)
    ports = {port: (signal, None) for port, (_, signal) in flat.ports.items()}
    hierarchy = Hierarchy(name)
    top = rtlil.convert(flat, name=name, platform=hierarchy, ports=ports, emit_src=False)
    return Export(
        module=name,
        verilog=_to_verilog(f"{top}\n{hierarchy.text}", hierarchy.parts),
        ports=tuple(port for port, _ in flat.ports.values()),
        latency=component.latency,
        configuration=configuration,
    )


#: Internal names that only repeat others are dropped; what is left reads like the components.
_EXPORT_SCRIPT = """\
read_rtlil design.il
proc -nomux -norom
opt_clean -purge
write_verilog -norename -noattr design.v
"""

#: What ``verilator --lint-only -Wall`` is told not to report, and why.
_HEADER = """\
// Generated by dintmac. One file for all modules:
/* verilator lint_off DECLFILENAME */
// Registers with a reset have the same value at power-up, as FPGAs provide it:
/* verilator lint_off PROCASSINIT */
// Fields of payloads are named though not all are read, and nothing reads what elements at the
// edge of a tile hand on:
/* verilator lint_off UNUSEDSIGNAL */
// The behavioural architecture adds signed numbers of different widths, which Verilog extends:
/* verilator lint_off WIDTHEXPAND */

"""


def _to_verilog(rtlil_text: str, parts: Mapping[str, Part]) -> str:
    with tempfile.TemporaryDirectory(prefix="dintmac-") as name:
        folder = Path(name)
        (folder / "design.il").write_text(rtlil_text, "utf-8")
        find_yosys().run(_EXPORT_SCRIPT, folder)
        body = (folder / "design.v").read_text("utf-8")
    # The generator's own header names its version; the text is the same without it.
    body = re.sub(r"\A/\*.*?\*/\n*", "", body, flags=re.DOTALL)
    for module, part in parts.items():
        line = f"module {module}("
        body = body.replace(f"\n{line}", f'\n(* {PART_ATTRIBUTE} = "{part}" *)\n{line}')
    return _HEADER + body
