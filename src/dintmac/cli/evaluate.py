"""``dintmac evaluate``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from dintmac.cli.console import counter
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
    "compare methods × formats × granularities on a model, against full precision, and write "
    "evaluate.json, evaluate.md and plots"
)


def add_options(verb: argparse.ArgumentParser) -> None:
    """Add the options."""
    verb.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    verb.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="text to evaluate on; a sentence a line for an encoder (80 sentences that come with "
        "dintmac if not given)",
    )
    for name, (meaning, _, defaults) in axes().items():
        if name == "format":
            meaning += ", nf4, or macs for all that a MAC can multiply"
        verb.add_argument(
            f"--{name}",
            action="append",
            metavar="NAME",
            help=f"{meaning}; can be repeated ({', '.join(defaults)} if not given)",
        )
    verb.add_argument(
        "--quantized",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="the model as dintmac quantize has written it, code by code; can be repeated; other "
        "rows are then only those that are asked for",
    )
    add_recipe(verb)
    add_calibration(verb)
    verb.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="tokens in a window of the perplexity (as --length if not given)",
    )
    verb.add_argument(
        "--stride",
        type=int,
        metavar="N",
        help="tokens from one window to the next (as --context if not given: no overlap)",
    )
    verb.add_argument(
        "--questions",
        type=Path,
        metavar="FILE.jsonl",
        help="multiple-choice questions in the form of MMLU, ARC, OpenBookQA, HellaSwag, PIQA, "
        "BoolQ or WinoGrande",
    )
    verb.add_argument(
        "--shots", type=int, default=0, metavar="N", help="solved questions before each one"
    )
    verb.add_argument(
        "--ranges",
        action="store_true",
        help="compare ranges of activations at --length, a quarter and a sixteenth of it",
    )
    verb.add_argument(
        "--integer", action="store_true", help="run layers in the exact integers of the hardware"
    )
    verb.add_argument(
        "--output",
        type=Path,
        default=Path("build/evaluate"),
        metavar="FOLDER",
        help="where to write",
    )
    verb.add_argument("--json", action="store_true", help="print evaluate.json instead of a table")


def run(options: argparse.Namespace) -> int:
    """Run the verb and return its exit status."""
    from dintmac.golden.evaluation import tasks
    from dintmac.golden.files import check_folder
    from dintmac.golden.quantization.variants import variants
    from dintmac.reports.evaluation import summary, write_evaluation

    if options.shots and options.questions is None:
        raise ValueError("shots must come with questions")
    check_folder(options.output)
    windows, lengths = windows_of(options), []
    if options.ranges:
        lengths = [max(windows.length // part, 1) for part in (16, 4, 1)]
    only_folders = options.quantized and not any(getattr(options, name) for name in axes())
    began = time.monotonic()
    with counter("layers") as progress:
        evaluation = tasks.evaluate(
            options.model,
            [] if only_folders else variants(*(_axis(options, name) for name in axes())),
            recipe_of(options),
            calibration=options.calibration or tasks.CALIBRATION,
            text=options.text or tasks.EVALUATION,
            windows=windows,
            context=options.context,
            stride=options.stride,
            questions=options.questions,
            shots=options.shots,
            lengths=lengths,
            integer=options.integer,
            quantized=options.quantized or [],
            progress=progress,
        )
    text = write_evaluation(evaluation, options.output)
    if options.json:
        print(text, end="")
        return 0
    print(summary(evaluation))
    print(f"\n{cost(began)}. Written to {options.output}: evaluate.md has it all.")
    return 0


def _axis(options: argparse.Namespace, name: str) -> list[str]:
    """The names of an axis of the table."""
    from dintmac.golden.quantization.variants import named_formats

    names: list[str] = getattr(options, name) or axes()[name][2]
    return named_formats(names) if name == "format" else names
