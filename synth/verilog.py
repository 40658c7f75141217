"""Flat netlists as the Verilog that timing analysis reads."""

from __future__ import annotations

from dintmac.synth.netlist import FlatNetlist

__all__ = ["to_verilog"]


def to_verilog(netlist: FlatNetlist, module: str) -> str:
    """A flat netlist as structural Verilog.

    Names are plain, so that every reader takes them: cell ``i`` of the netlist is ``u<i>``, and a
    net is ``n<number>``, or a bit of the first port that it is at.
    """
    names = {0: "1'b0", 1: "1'b1"}
    bits = {port: _bits(port, nets) for port, nets in (netlist.inputs | netlist.outputs).items()}
    for port, nets in (netlist.inputs | netlist.outputs).items():
        for net, bit in zip(nets, bits[port], strict=True):
            names.setdefault(net, bit)
    lines = [f"module {module} ({', '.join(bits)});"]
    for direction, ports in (("input", netlist.inputs), ("output", netlist.outputs)):
        lines += [f"  {direction} {_range(nets)}{port};" for port, nets in ports.items()]
    for port, nets in netlist.outputs.items():
        drivers = zip(bits[port], (names[net] for net in nets), strict=True)
        lines += [f"  assign {bit} = {driver};" for bit, driver in drivers if bit != driver]
    for index, cell in enumerate(netlist.cells):
        pins = (f".{pin}({names.get(net, f'n{net}')})" for pin, net in cell.pins.items())
        lines.append(f"  {cell.kind} u{index} ({', '.join(pins)});")
    return "\n".join([*lines, "endmodule", ""])


def _bits(port: str, nets: tuple[int, ...]) -> list[str]:
    return [port] if len(nets) == 1 else [f"{port}[{i}]" for i in range(len(nets))]


def _range(nets: tuple[int, ...]) -> str:
    return "" if len(nets) == 1 else f"[{len(nets) - 1}:0] "
