"""What users of an exported design are told, in the head of its Verilog and in its port map."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dintmac import __version__
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.design import first_line
from dintmac.hdl.ports import Port

if TYPE_CHECKING:
    from dintmac.hdl.verilog import Export

__all__ = ["head", "port_list", "port_map"]

#: What sums begin with, where it is a port, and where they come out.
_STARTS = "i_partial_sums"
_SUMS = ("o_partial_sums", "o_sum")
#: Codes that the head has a table of; those of wider weights are in the port map alone.
_CODES = 16

#: What ``verilator --lint-only -Wall`` is told not to report, and why.
_WAIVERS = """\
// One file for all modules:
/* verilator lint_off DECLFILENAME */
// Registers with a reset have the same value at power-up, as FPGAs provide it:
/* verilator lint_off PROCASSINIT */
// Fields of payloads are named though not all are read, and nothing reads what elements at the
// edge of a tile hand on:
/* verilator lint_off UNUSEDSIGNAL */
// The behavioural architecture adds signed numbers of different widths, which Verilog extends:
/* verilator lint_off WIDTHEXPAND */
"""


def port_map(export: Export) -> str:
    """What the head says, for programs, and every port, code and image, as JSON text."""
    description = {
        **_description(export),
        "clock": {"port": "clk", "edge": "rising"},
        "reset": {"port": "rst", "active": "high", "kind": "synchronous"},
        "ports": [port.to_json() for port in export.ports],
        "weights": [table.to_json() for table in export.configuration.weight_tables],
        "images": [image.to_json() for image in export.images],
    }
    text = json.dumps(description, indent=2, ensure_ascii=False)
    # A list of numbers or words is a line.
    return re.sub(r"\[[^][{}]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


def _description(export: Export) -> dict[str, Any]:
    configuration = export.configuration
    design = DESIGNS[configuration.design]
    return {
        "module": export.module,
        "version": __version__,
        "command": _command(export),
        "design": configuration.design,
        "summary": design.description,
        "format": configuration.format.name,
        "architecture": configuration.architecture,
        "architecture_summary": configuration.multiplier.summary,
        "folded": any(table.is_folded for table in configuration.weight_tables),
        "parameters": configuration.parameters,
        "accumulator_bits": configuration.width,
        "unit": "step" if configuration.units == 1 else "half step",
        "latency_cycles": configuration.latency,
        "latency": first_line(design.latency),
        "packing": "element 0 in the least significant bits, the last axis fastest",
    }


def _command(export: Export) -> str:
    """The command that makes an export."""
    configuration = export.configuration
    options = {
        "format": configuration.format.name.lower(),
        "architecture": configuration.architecture,
        **configuration.parameters,
        "module": export.module,
    }
    words = [f"--{name.replace('_', '-')} {value}" for name, value in options.items()]
    return " ".join(["dintmac verilog", configuration.design, *words, f"-o {export.module}.v"])


def _port(export: Export, *names: str) -> Port:
    return next(port for port in export.ports if port.name in names)


# The head


def head(export: Export) -> str:
    """The comment before the modules, and what Verilator is told."""
    parts = (_summary, _weights, _correction, _images, _template)
    paragraphs = [list(part(export)) for part in parts]
    text = "\n\n".join("\n".join(paragraph) for paragraph in paragraphs if paragraph)
    # A name of a file may have line ends.
    comment = "".join(f"// {line}".rstrip() + "\n" for line in text.splitlines())
    return f"{comment}//\n{_WAIVERS}"


def _summary(export: Export) -> Iterator[str]:
    says = _description(export)
    parameters = ", ".join(f"{name} {value}" for name, value in says["parameters"].items())
    yield f"{says['module']}: {says['summary']}"
    yield ""
    yield f"Made by dintmac {says['version']}:"
    yield f"  {says['command']}"
    yield ""
    yield f"Design        {says['design']}, {parameters}"
    yield f"Architecture  {says['architecture']}: {says['architecture_summary']}"
    yield f"Weights       {says['format']}"
    yield "Activations   INT8, two's complement"
    yield f"Sums          {says['accumulator_bits']} bits, two's complement, in {says['unit']}s"
    yield f"Latency       {says['latency_cycles']}. {says['latency']}"
    yield f"Ports         {says['packing']}"


def _weights(export: Export) -> Iterator[str]:
    """Codes, what they mean and how they are stored."""
    tables = export.configuration.weight_tables
    if any(table.is_recoded for table in tables):
        yield "WEIGHTS ARE RECODED: not a code goes in, but what is stored of it, as many bits."
    else:
        yield "Weights go in as their codes."
    for table in tables:
        yield ""
        if table.format.codes > _CODES:
            yield f"The codes of {table.format.name} are in the port map, under weights."
            continue
        columns = [range(table.format.codes), table.values, table.stored, *table.corrections]
        lanes = len(table.corrections)
        corrections = [f"correction in lane {lanes}k + {lane}" for lane in range(lanes)]
        names = ["code", "value", "stored", *(corrections if lanes > 1 else ["correction"])]
        for row in (names, *zip(*columns, strict=True)):
            yield f"  {table.format.name}" + "".join(
                f"  {cell:>{len(name)}}" for cell, name in zip(row, names, strict=True)
            )


def _correction(export: Export) -> Iterator[str]:
    """What sums have besides their products, and how that is taken off."""
    tables = [table for table in export.configuration.weight_tables if table.is_folded]
    if not tables:
        yield "Sums are those of the products: the correction is zero."
        return
    sums = _port(export, *_SUMS)
    yield "SUMS ARE OFFSET: besides their products they have a correction, which depends on the"
    yield f"weights alone. Take it off once, modulo 2 ** {sums.element_bits}:"
    if sums.name == "o_sum":
        yield "  sum = o_sum + bias - correction"
    else:
        yield f"  {_STARTS} = bias - correction, where a sum begins"
    yield "The correction of a sum is that of all its weights, of zeros in unused lanes as well."
    for table in tables:
        if table.pair_correction:
            yield (
                f"Add for the values v, w of {table.format.name} weights in lanes 2k and 2k + 1 of "
                f"an element: {table.pair_correction}"
            )
        if table.constant_correction:
            yield (
                f"Add {table.constant_correction} for each element that a sum passes with weights "
                f"of {table.format.name}."
            )
    if len(export.configuration.weight_formats) == 1:
        yield "With --weights FILE.npz, dintmac writes stored weights and corrected biases."


def _images(export: Export) -> Iterator[str]:
    if export.images:
        yield "Files for $readmemh, a word of a port in each line:"
    for image in export.images:
        shape = " x ".join(map(str, image.shape))
        yield f"  {image.file}: {image.meaning}"
        yield f"    {shape} words of {image.port.name}, by {', '.join(image.axes)}"


def _template(export: Export) -> Iterator[str]:
    yield "Instantiation:"
    yield f"  {export.module} u_{export.module} ("
    names = ["clk", "rst", *(port.name for port in export.ports)]
    width = max(map(len, names))
    connections = [f"    .{name:{width}} ({name})" for name in names]
    yield from ",\n".join(connections).splitlines()
    yield "  );"


# Ports


def port_list(ports: Sequence[Port]) -> str:
    """Declarations of clock, reset and all ports, in groups and with comments."""
    declared = [
        ("", "input  wire", "clk", "rising edge"),
        ("", "input  wire", "rst", "1 resets at the clock's edge: what is valid, not the data"),
    ]
    for port in ports:
        wide = f" [{port.width - 1}:0]" if port.width > 1 else ""
        declared.append(
            (port.stream or "", f"{port.direction:6} wire{wide}", port.name, _comment(port))
        )
    types, names = (max(len(entry[column]) for entry in declared) for column in (1, 2))
    lines: list[str] = []
    for stream, group in itertools.groupby(declared, key=lambda entry: entry[0]):
        if stream:
            lines.append(f"  // Stream {stream}: transferred where valid and ready are both 1")
        for _, kind, name, comment in group:
            comma = "" if name == declared[-1][2] else ","
            lines.append(f"  {kind:{types}} {name + comma:{names + 1}}  // {comment}")
    return "\n".join([*lines, ""])


def _comment(port: Port) -> str:
    axes = zip(port.shape, port.axes, strict=True)
    sizes = " x ".join(f"{length} {axis}{'s' * (length > 1)}" for length, axis in axes)
    sizes = f"{sizes} of {port.element_bits} bits, " if sizes else ""
    signed = "signed, " if port.signed else ""
    return f"{sizes}{signed}{port.meaning}"
