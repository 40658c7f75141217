"""Finds the verb and its options; a verb is a module of this package."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from dintmac import __version__
from dintmac.cli.console import Parser, VerbParser

__all__ = ["parse"]

_VERBS = ("report", "simulate", "verilog", "prove", "quantize", "evaluate", "front", "doctor")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a verb, and as ``run`` the function that takes them.

    Raises
    ------
    ValueError
        If they are wrong.
    """
    parser = Parser(
        prog="dintmac",
        description="MAC units for 4-bit dINT weights and 8-bit activations: simulate them, "
        "export Verilog, measure what they cost against INT8, and quantize models for them.",
    )
    parser.add_argument("--version", action="version", version=f"dintmac {__version__}")
    verbs = parser.add_subparsers(
        title="verbs", metavar="VERB", required=True, parser_class=VerbParser
    )
    for name in _VERBS:
        module = importlib.import_module(f"dintmac.cli.{name}")
        verb = verbs.add_parser(
            name, help=module.SUMMARY, description=module.SUMMARY, add_options=module.add_options
        )
        verb.set_defaults(run=module.run)
    return parser.parse_args(arguments)
