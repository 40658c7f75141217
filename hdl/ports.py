"""Plain ports, packed and described, in the place of a component's streams and layouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Elaboratable, Module, Shape, Signal, Value
from amaranth.lib import data, stream, wiring

from dintmac.hdl.hierarchy import place

__all__ = ["FlatPorts", "Image", "Port"]

#: What the axes of a vector count, from the last (fastest) backwards.
_AXES = {
    "activations": ("row", "lane"),
    "weights": ("column", "output", "lane"),
    "partial_sums": ("column", "output"),
}

#: What ports are for, by the end of their names.
_MEANINGS = {
    "activations": "INT8 activations",
    "weights": "weights, as stored",
    "i_partial_sums": "what sums begin with",
    "o_partial_sums": "sums",
    "sum": "the sum",
    "first": "1 with the first products of a sum",
    "last": "1 with the last products of a sum",
    "swap": "1 with the first vector for the weights that wait",
    "int8": "1 if the weights are INT8",
    "enable": "1 if the pipeline moves",
    "load": "1 if weights are taken",
    "valid": "1 if there is data",
    "ready": "1 if it can be taken",
}


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
    meaning : str
        What it is for.
    """

    name: str
    direction: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    element_bits: int
    signed: bool
    stream: str | None
    role: str
    meaning: str = ""

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
            "meaning": self.meaning,
        }


@dataclass(frozen=True)
class Image:
    """Words of a port for Verilog's ``$readmemh``, one in each line of a file.

    Attributes
    ----------
    file : str
        Name of the file.
    port : Port
    axes : tuple of str
        What the words count, from the slowest to the fastest.
    shape : tuple of int
        Words along each axis.
    meaning : str
    words : tuple of int
    """

    file: str
    port: Port
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    meaning: str
    words: tuple[int, ...] = field(repr=False)

    @property
    def text(self) -> str:
        """Content of the file."""
        digits = -(-self.port.width // 4)
        return "".join(f"{word:0{digits}x}\n" for word in self.words)

    def to_json(self) -> dict[str, Any]:
        """All but the words as JSON values."""
        return {
            "file": self.file,
            "port": self.port.name,
            "width": self.port.width,
            "axes": list(self.axes),
            "shape": list(self.shape),
            "meaning": self.meaning,
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
        for part, described in layout:
            self._add(
                f"{name}_{part}",
                described.shape,
                value.payload[part],
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
            meaning=next((text for end, text in _MEANINGS.items() if name.endswith(end)), ""),
        )
        signal = Signal(port.width, name=name)
        self.ports[name] = (port, signal)
        value = Value.cast(value)
        self._connections.append((value, signal) if is_input else (signal, value))

    def elaborate(self, platform):
        m = Module()
        place(m, "core", self.component, platform)
        m.d.comb += [left.eq(right) for left, right in self._connections]
        return m


def _dimensions(shape: Any) -> tuple[tuple[int, ...], Shape]:
    """Lengths of nested arrays and the shape of their element."""
    lengths = []
    while isinstance(shape, data.ArrayLayout):
        lengths.append(shape.length)
        shape = shape.elem_shape
    return tuple(lengths), Shape.cast(shape)
