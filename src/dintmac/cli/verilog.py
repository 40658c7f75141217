"""``dintmac verilog``."""

from __future__ import annotations

import argparse
from pathlib import Path

from dintmac.cli.options import add_configuration, configuration_of

SUMMARY = "export a design as Verilog-2005, with its port map as JSON beside it"


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_configuration(verb)
    verb.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.v",
        help="Verilog file; the port map goes to FILE.json, of a device or pipe nowhere",
    )
    verb.add_argument(
        "--module",
        metavar="NAME",
        help="name of the top module and prefix of all others (the design's name if not given)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.golden.files import is_stream, write_files
    from dintmac.hdl.verilog import export

    output: Path = options.output
    if output.is_dir() or output.suffix == ".json":
        raise ValueError(f"output must be a Verilog file, not {str(output)!r}")
    exported = export(configuration_of(options), options.module)
    if is_stream(output):
        # A device or pipe has no place for a second file, and may be standard output.
        write_files({output: exported.verilog})
        return 0
    port_map = output.with_suffix(".json")
    write_files({output: exported.verilog, port_map: exported.port_map()})
    print(f"{output}: module {exported.module}\n{port_map}: port map")
    return 0
