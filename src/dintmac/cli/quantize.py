"""``dintmac quantize``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from dintmac.cli.console import counter, print_json
from dintmac.cli.recipe import (
    MODEL_HELP,
    add_calibration,
    add_recipe,
    axes,
    cost,
    recipe_of,
    windows_of,
)

SUMMARY = (
    "quantize a model and write packed codes, scales, and a workload for each linear layer, "
    "which dintmac simulate runs"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    verb.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="a new or empty folder"
    )
    for name, (meaning, (default,), _) in axes().items():
        verb.add_argument(f"--{name}", metavar="NAME", default=default, help=meaning)
    add_recipe(verb)
    add_calibration(verb)
    verb.add_argument(
        "--json", action="store_true", help="print quantization.json instead of a summary"
    )


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.golden.evaluation import tasks
    from dintmac.golden.quantization.variants import Variant

    variant = Variant(options.method, options.format, options.granularity, options.scales)
    began = time.monotonic()
    with counter("quantizing layers") as progress:
        settings = tasks.quantize(
            options.model,
            options.output,
            variant.recipe(recipe_of(options)),
            calibration=options.calibration or tasks.CALIBRATION,
            windows=windows_of(options),
            progress=progress,
        )
    if options.json:
        print_json(settings)
        return 0
    layers = settings["layers"]
    weights = sum(layer["shape"][0] * layer["shape"][1] for layer in layers.values())
    print(
        f"{options.output}: {weights:,} weights of {len(layers)} linear layers in "
        f"{settings['format']}; {cost(began)}"
    )
    workloads = sorted((options.output / "workloads").iterdir())
    if workloads:
        print(f"Simulate one of them: dintmac simulate tile --workload {workloads[0]}")
    return 0
