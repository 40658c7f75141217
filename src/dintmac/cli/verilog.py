"""``dintmac verilog``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dintmac.cli.options import add_configuration, configuration_of

if TYPE_CHECKING:
    from dintmac.hdl.verilog import Export

SUMMARY = "export a design as Verilog-2005, with its port map as JSON beside it"


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_configuration(verb)
    verb.add_argument(
        "--weights",
        type=Path,
        metavar="FILE.npz",
        help="write weights as they are stored, and biases less their correction, for $readmemh: "
        "of arrays 'weights' (uint8 codes, N×K) and 'format', and if they are there 'bias' (N) and "
        "'activations' (int8, M×K)",
    )
    verb.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.v",
        help="Verilog file; the port map goes to FILE.json, of a device or pipe nowhere, and what "
        "is for $readmemh to FILE.weights.hex and so on",
    )
    verb.add_argument(
        "--module",
        metavar="NAME",
        help="name of the top module and prefix of all others (the design's name if not given)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.golden.files import is_stream, write_files
    from dintmac.sim.images import IMAGES

    output: Path = options.output
    if output.is_dir() or output.suffix == ".json":
        raise ValueError(f"output must be a Verilog file, not {str(output)!r}")
    if is_stream(output):
        # A device or pipe has no place for a second file, and may be standard output.
        if options.weights:
            raise ValueError(f"output must be a file beside which weights go, not {str(output)!r}")
        write_files({output: _export(options).verilog})
        return 0
    exported = _export(options)
    port_map = output.with_suffix(".json")
    images = {output.with_name(image.file): image for image in exported.images}
    texts = {path: image.text for path, image in images.items()}
    # Those of an earlier export do not belong to this one.
    obsolete = {output.with_name(f"{output.stem}.{name}.hex") for name in IMAGES} - images.keys()
    write_files({output: exported.verilog, port_map: exported.port_map, **texts}, obsolete)
    print(f"{output}: module {exported.module}, architecture {exported.configuration.architecture}")
    print(f"{port_map}: port map")
    for path, image in images.items():
        print(f"{path}: {image.meaning}")
    print(_advice(exported))
    return 0


def _export(options: argparse.Namespace) -> Export:
    """The design, and what is stored of weights if there are any."""
    from dataclasses import replace

    from dintmac.golden.formats import parse
    from dintmac.golden.workload import load_layer
    from dintmac.hdl.verilog import export
    from dintmac.sim.images import images_of

    if options.weights is None:
        return export(configuration_of(options), options.module)
    layer = load_layer(options.weights, options.format and parse(options.format))
    exported = export(configuration_of(options, layer.format), options.module)
    return replace(exported, images=images_of(exported, layer, options.output.stem))


def _advice(exported: Export) -> str:
    """What the design asks of its user, or what a smaller one would."""
    from dintmac.hdl.architectures import smaller_architecture

    configuration = exported.configuration
    if asked := configuration.weight_tables[0].asks_for:
        return f"{configuration.architecture} asks for {asked}: see the head of the file"
    smaller = smaller_architecture(configuration.format)
    if smaller is None:
        return f"{configuration.architecture} asks for nothing but weights"
    asked = configuration.replace(architecture=smaller.name).weight_tables[0].asks_for
    return f"smaller: --architecture {smaller.name}, which asks for {asked} (--weights writes them)"
